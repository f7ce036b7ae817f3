//! Claims about seals: who can open what, and what a forgery moves.

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::*;
use crate::limits::{HEADER_LEN, V1_OVERHEAD};
use crate::wire::Header;
use crate::wire::v1::Kind;
use crate::{NodeId, SessionId};

const ID: PublicKey = PublicKey([5; 32]);
const INST: Inst = Inst([6; 16]);
const AUTHOR: Author = Author { id: ID, inst: INST };

fn secret() -> EpochSecret {
    EpochSecret::from_session_key(&Secret::new([4; 32]))
}

fn sealed(suite: Suite, class: u8, seq: u32, content: &[u8]) -> Vec<u8> {
    let kind = Kind::from_byte(class).expect("a class");
    let mut header = Header::v1(suite as u8, SessionId(0x77), NodeId(0x88), kind);
    header.set_seq_v1(seq);
    let mut frame = vec![0; V1_OVERHEAD + content.len()];
    frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
    frame[HEADER_LEN + KEY_NAME_LEN..][..content.len()].copy_from_slice(content);
    Sealer::new(suite, &secret(), &ID, &INST, 3).seal(&mut frame).unwrap();
    frame
}

#[test]
fn what_one_seals_the_other_opens() {
    for suite in Suite::ALL {
        let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
        for class in 0..5 {
            let frame = sealed(suite, class, 7, b"hello");
            assert_ne!(&frame[34..39], b"hello");
            let name = KeyName { epoch: 0.into(), conn: 3, generation: 0 };
            assert_eq!(key_name(&frame), Some(&name));
            let opened = openers.open_media(&secret(), &AUTHOR, &frame, &mut scratch);
            assert_eq!(opened, Ok(&b"hello"[..]));
        }
        assert_eq!(openers.len(), 5);
    }
}

#[test]
fn the_hop_tag_is_not_the_readers_business() {
    let mut frame = sealed(Suite::AesGcm, 1, 0, b"hello");
    let hop_tag = frame.len() - TAG_LEN;
    frame[hop_tag..].fill(0xEE);
    let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
    assert!(openers.open_media(&secret(), &AUTHOR, &frame, &mut scratch).is_ok());
}

#[test]
fn every_other_bit_is_covered_and_a_forgery_moves_nothing() {
    for suite in Suite::ALL {
        let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
        let frame = sealed(suite, 1, 9, b"some content");
        for bit in 0..8 * (frame.len() - TAG_LEN) {
            let mut broken = frame.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            let opened = openers.open_media(&secret(), &AUTHOR, &broken, &mut scratch);
            assert!(opened.is_err(), "{suite:?} bit {bit}");
            assert!(openers.is_empty(), "bit {bit} filed a key");
        }
        for cut in 0..frame.len() {
            let opened = openers.open_media(&secret(), &AUTHOR, &frame[..cut], &mut scratch);
            assert!(opened.is_err(), "{cut} bytes");
        }
        assert!(openers.open_media(&secret(), &AUTHOR, &frame, &mut scratch).is_ok());
    }
}

#[test]
fn only_the_right_key_opens() {
    let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
    let frame = sealed(Suite::AesGcm, 1, 0, b"hello");
    let mut open = |secret: &EpochSecret, author: Author| {
        openers.open_media(secret, &author, &frame, &mut scratch).err()
    };
    let other = EpochSecret::from_session_key(&Secret::new([9; 32]));
    assert_eq!(open(&other, AUTHOR), Some(OpenRefused::BadTag));
    let impostor = Author { id: PublicKey([1; 32]), ..AUTHOR };
    assert_eq!(open(&secret(), impostor), Some(OpenRefused::BadTag));
    let reconnected = Author { inst: Inst([7; 16]), ..AUTHOR };
    assert_eq!(open(&secret(), reconnected), Some(OpenRefused::BadTag));
    let group = EpochSecret::from_group(1, Secret::new([0; 32]));
    assert_eq!(open(&group, AUTHOR), Some(OpenRefused::Epoch));
    assert_eq!(open(&secret(), AUTHOR), None);
    assert_eq!(
        open(&secret(), impostor),
        Some(OpenRefused::BadTag),
        "a filed key serves its owner"
    );
}

#[test]
fn each_shape_that_is_no_sealed_frame_is_named() {
    let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
    let whole = sealed(Suite::AesGcm, 1, 0, b"hello");
    let mut broken = |at: usize, value: u8| {
        let mut frame = whole.clone();
        frame[at] = value;
        openers.open_media(&secret(), &AUTHOR, &frame, &mut scratch).err()
    };
    assert_eq!(broken(0, 0x12), Some(OpenRefused::Suite));
    assert_eq!(broken(0, 0x01), Some(OpenRefused::Suite));
    assert_eq!(broken(20, 5), Some(OpenRefused::Misshapen));
    assert_eq!(broken(2, 29), Some(OpenRefused::Misshapen));
    assert_eq!(broken(30, 1), Some(OpenRefused::Epoch));
    assert_eq!(broken(33, 1), Some(OpenRefused::Generation));
}

#[test]
fn media_comes_once_and_kept_frames_as_often_as_they_like() {
    let (mut openers, mut scratch) = (Openers::new(8), Scratch::new());
    let frame = |seq| sealed(Suite::AesGcm, 1, seq, b"hello");
    let mut open = |seq, once| {
        let opened = match once {
            true => openers.open_media(&secret(), &AUTHOR, &frame(seq), &mut scratch),
            false => openers.open_kept(&secret(), &AUTHOR, &frame(seq), &mut scratch),
        };
        opened.map(|_| ())
    };
    assert_eq!(open(2_000, true), Ok(()));
    assert_eq!(open(2_000, true), Err(OpenRefused::Replayed));
    assert_eq!(open(2_000, false), Ok(()));
    assert_eq!(open(977, true), Ok(()));
    assert_eq!(open(976, true), Err(OpenRefused::TooOld));
    assert_eq!(open(976, false), Ok(()));
    assert_eq!(open(5_000, false), Ok(()), "which moves no window");
    assert_eq!(open(1_999, true), Ok(()));
}

#[test]
fn the_key_longest_unused_makes_room() {
    let (mut openers, mut scratch) = (Openers::new(2), Scratch::new());
    let mut open = |class, seq| {
        let frame = sealed(Suite::AesGcm, class, seq, b"hello");
        openers.open_media(&secret(), &AUTHOR, &frame, &mut scratch).map(|_| ())
    };
    assert_eq!((open(0, 0), open(1, 0), open(0, 1)), (Ok(()), Ok(()), Ok(())));
    assert_eq!(open(2, 0), Ok(()), "class 1 makes room");
    assert_eq!(open(0, 1), Err(OpenRefused::Replayed), "class 0 was used since");
    assert_eq!(openers.len(), 2);
    openers.forget(&AUTHOR);
    assert!(openers.is_empty());
}
