//! Claims about the hop: what a tag covers, what a window forgives, what a sender refuses.

use alloc::vec;
use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::*;
use crate::crypto::identity::PublicKey;
use crate::crypto::seal::{EpochSecret, Sealer};
use crate::limits::TAG_LEN;
use crate::wire::Header;
use crate::wire::header::flags::PARITY;
use crate::wire::v1::Kind;
use crate::wire::v1::header::CLASS_CONTROL;
use crate::{NodeId, SessionId};

fn keys(suite: Suite) -> HopKeys {
    let split = Split { ki: Secret::new([1; 32]), kr: Secret::new([2; 32]), h: [3; 32] };
    HopKeys::derive(suite, &split)
}

fn sealer(suite: Suite) -> Sealer {
    let secret = EpochSecret::from_session_key(&Secret::new([4; 32]));
    Sealer::new(suite, &secret, &PublicKey([5; 32]), &Inst([6; 16]), 9)
}

/// An unsealed frame of `len` bytes with `tlvs` bytes of TLVs.
fn frame(suite: Suite, class: u8, tlvs: usize, len: usize) -> Vec<u8> {
    let kind = Kind::from_byte(class).expect("a class");
    let mut header = Header::v1(suite as u8, SessionId(0x77), NodeId(0x88), kind);
    header.header_len.set((HEADER_LEN + tlvs) as u16);
    let mut frame = vec![0xC3; len];
    frame[..HEADER_LEN].copy_from_slice(header.as_bytes());
    frame
}

fn ends(suite: Suite) -> (Sending, Receiving) {
    (Sending::new(keys(suite).up, 9), Receiving::new(keys(suite).up))
}

#[test]
fn what_is_sent_is_received_once() {
    for suite in Suite::ALL {
        let (mut sending, mut receiving) = ends(suite);
        let mut scratch = Scratch::new();
        for class in 0..5 {
            for len in [66, 80, 240, V1_FRAME_MAX] {
                let mut frame = frame(suite, class, 0, len);
                let seq = sending.data(&sealer(suite), &mut frame).unwrap();
                let received = receiving.data(&frame, &mut scratch);
                assert_eq!(received, Ok(Received { seq, newest: true }));
                assert_eq!(receiving.data(&frame, &mut scratch), Err(Refusal::Replayed));
            }
            assert_eq!(sending.next_seq(class), Some(4));
        }
    }
}

#[test]
fn a_tag_leaves_the_frame_it_covers_as_it_is() {
    for suite in Suite::ALL {
        let key = keys(suite).up.expand();
        for len in [46, 47, 80, 1_232] {
            let before = frame(suite, 1, 0, len);
            let mut after = before.clone();
            key.tag(&mut after).unwrap();
            assert_eq!(after[..len - TAG_LEN], before[..len - TAG_LEN]);
            assert_eq!(key.verify(&after, &mut Scratch::new()), Ok(()));
        }
    }
}

#[test]
fn every_bit_of_a_frame_is_covered() {
    for suite in Suite::ALL {
        for (class, tlvs) in [(0, 0), (1, 14), (CLASS_CONTROL, 0)] {
            let (mut sending, mut receiving) = ends(suite);
            let mut sent = frame(suite, class, tlvs, 120);
            let mut take = |frame: &[u8]| {
                let mut scratch = Scratch::new();
                match class {
                    CLASS_CONTROL => receiving.control(frame, &mut scratch).map(|_| ()),
                    _ => receiving.data(frame, &mut scratch).map(|_| ()),
                }
            };
            match class {
                CLASS_CONTROL => sending.control(&mut sent).map(|_| ()).unwrap(),
                _ => sending.data(&sealer(suite), &mut sent).map(|_| ()).unwrap(),
            }
            for bit in 0..8 * sent.len() {
                let mut broken = sent.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                assert!(take(&broken).is_err(), "{suite:?} class {class} bit {bit}");
            }
            for cut in 0..sent.len() {
                assert!(take(&sent[..cut]).is_err(), "{cut} bytes");
            }
            assert!(take(&[&sent[..], &[0]].concat()).is_err(), "one byte more");
            assert_eq!(take(&sent), Ok(()), "and none of them moved the window");
        }
    }
}

#[test]
fn forgeries_with_a_number_far_ahead_move_nothing() {
    let suite = Suite::AesGcm;
    let (mut sending, mut receiving) = ends(suite);
    let mut scratch = Scratch::new();
    let mut first = frame(suite, 1, 0, 120);
    sending.data(&sealer(suite), &mut first).unwrap();
    let mut forged = first.clone();
    forged[26..30].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(receiving.data(&forged, &mut scratch), Err(Refusal::BadTag));
    assert!(receiving.data(&first, &mut scratch).is_ok());
    assert_eq!(receiving.data(&first, &mut scratch), Err(Refusal::Replayed));
    assert_eq!((receiving.forgeries(), receiving.wants_rekey()), (1, false), "a replay is none");
}

#[test]
fn a_late_frame_is_taken_but_is_not_the_newest() {
    let suite = Suite::ChaChaPoly;
    let (mut sending, mut receiving) = ends(suite);
    let mut scratch = Scratch::new();
    let mut sent: Vec<_> = (0..300).map(|_| frame(suite, 2, 0, 80)).collect();
    for frame in &mut sent {
        sending.data(&sealer(suite), frame).unwrap();
    }
    let mut take = |at: usize| receiving.data(&sent[at], &mut scratch).map(|r| r.newest);
    assert_eq!(take(10), Ok(true));
    assert_eq!(take(5), Ok(false));
    assert_eq!(take(299), Ok(true));
    assert_eq!(take(11), Err(Refusal::TooOld));
    assert_eq!(take(44), Ok(false));
}

#[test]
fn classes_and_directions_do_not_mix() {
    for suite in Suite::ALL {
        let (mut sending, mut receiving) = ends(suite);
        let mut scratch = Scratch::new();
        let mut sent = frame(suite, 1, 0, 120);
        sending.data(&sealer(suite), &mut sent).unwrap();
        let down = keys(suite).down.expand();
        assert_eq!(down.verify(&sent, &mut scratch), Err(Refusal::BadTag));
        assert_eq!(receiving.control(&sent, &mut scratch).err(), Some(Refusal::Class));
        let mut control = frame(suite, CLASS_CONTROL, 0, 60);
        sending.control(&mut control).unwrap();
        assert_eq!(receiving.data(&control, &mut scratch), Err(Refusal::Class));
        let (_, messages) = receiving.control(&control, &mut scratch).unwrap();
        assert_eq!(messages, [0xC3; 14]);
        for class in [5, 0x7F, 0xF0, 0xF2, 0xFF] {
            let mut strange = sent.clone();
            strange[20] = class;
            assert_eq!(receiving.data(&strange, &mut scratch), Err(Refusal::Class), "{class}");
        }
    }
}

#[test]
fn a_sender_refuses_before_it_uses_a_number() {
    let suite = Suite::AesGcm;
    let (mut sending, _) = ends(suite);
    let sealer = sealer(suite);
    let mut data = |frame: &mut [u8]| sending.data(&sealer, frame).err();
    assert_eq!(data(&mut frame(suite, 1, 0, 65)), Some(SendRefused::Misshapen));
    assert_eq!(data(&mut frame(suite, 1, 14, 79)), Some(SendRefused::Misshapen));
    let mut strange = frame(suite, 1, 0, 80);
    strange[20] = 5;
    assert_eq!(data(&mut strange), Some(SendRefused::Class));
    assert_eq!(data(&mut frame(suite, CLASS_CONTROL, 0, 80)), Some(SendRefused::Class));
    assert_eq!(data(&mut frame(Suite::ChaChaPoly, 1, 0, 80)), Some(SendRefused::Suite));
    assert_eq!(sending.control(&mut frame(suite, 1, 0, 80)), Err(SendRefused::Class));
    assert_eq!(sending.next_seq(1), Some(0));
}

#[test]
fn the_last_number_is_sent_and_none_after_it() {
    let suite = Suite::AesGcm;
    let (mut sending, _) = ends(suite);
    assert!(!sending.wants_rekey());
    sending.skip_to(1, crate::limits::REKEY_FRAMES);
    assert!(sending.wants_rekey());
    sending.skip_to(1, u64::from(u32::MAX));
    let mut last = frame(suite, 1, 0, 80);
    assert_eq!(sending.data(&sealer(suite), &mut last), Ok(u32::MAX));
    assert_eq!(sending.data(&sealer(suite), &mut last), Err(SendRefused::Exhausted));
    assert!(sending.data(&sealer(suite), &mut frame(suite, 2, 0, 80)).is_ok());
}

#[test]
fn the_parity_of_the_connection_stands_in_the_flags() {
    let suite = Suite::AesGcm;
    for conn in [0, 1, 8, 9] {
        let mut sending = Sending::new(keys(suite).up, conn);
        let mut sent = frame(suite, 1, 0, 80);
        sending.data(&sealer(suite), &mut sent).unwrap();
        assert_eq!(sent[1] & PARITY != 0, conn & 1 == 1);
    }
}

#[test]
fn data_heats_a_key_and_control_does_not() {
    for suite in Suite::ALL {
        let (mut sending, mut receiving) = ends(suite);
        let mut scratch = Scratch::new();
        let both =
            |sending: &Sending, receiving: &Receiving| (sending.is_cold(), receiving.is_cold());
        for _ in 0..2 {
            let mut control = frame(suite, CLASS_CONTROL, 0, 60);
            sending.control(&mut control).unwrap();
            assert!(receiving.control(&control, &mut scratch).is_ok());
            assert_eq!(both(&sending, &receiving), (true, true));

            let mut data = frame(suite, 1, 0, 120);
            sending.data(&sealer(suite), &mut data).unwrap();
            let mut forged = data.clone();
            forged[119] ^= 1;
            assert_eq!(receiving.data(&forged, &mut scratch), Err(Refusal::BadTag));
            assert_eq!(both(&sending, &receiving), (false, true), "a forgery heats nothing");
            assert!(receiving.data(&data, &mut scratch).is_ok());
            assert_eq!(both(&sending, &receiving), (false, false));

            let mut control = frame(suite, CLASS_CONTROL, 0, 60);
            sending.control(&mut control).unwrap();
            assert!(receiving.control(&control, &mut scratch).is_ok(), "a hot key opens it too");
            sending.cool();
            receiving.cool();
            assert_eq!(receiving.data(&data, &mut scratch), Err(Refusal::Replayed));
        }
        assert_eq!((sending.next_seq(1), receiving.forgeries()), (Some(2), 2));
    }
}
