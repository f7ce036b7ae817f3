//! After a welcome: which connection is half-open, active, old or gone, and what moves it on.

use super::*;
use crate::crypto::hop::HopKey;
use crate::wire::header::flags::PARITY;

#[test]
fn a_replayed_hello_never_activates_and_soon_is_not_even_read() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (mut client, mut link, mut entry) = scene.welcomed();
    let mut scratch = Scratch::new();
    let ping = scene.ping(&mut link);
    entry.control(&ping, &mut scratch, at(1)).unwrap();
    client.connect(at(1_000));
    let captured = scene.hello(&mut client, at(1_000));

    // The attacker is faster than the client, or the relay has restarted: half-open, no more.
    scene.answer(&mut entry, &captured, at(1_000)).unwrap();
    assert_eq!(entry.active().map(|active| active.link.conn), Some(0));
    let ping = scene.ping(&mut link);
    assert!(entry.control(&ping, &mut scratch, at(1_001)).is_ok(), "conn 0 goes on");
    assert!(!entry.expire(at(6_000)), "and outlives the half-open one");
    assert_eq!(entry.poll_timeout(), None);

    let mut link = scene.reconnect(&mut client, &mut entry, at(7_000));
    let ping = scene.ping(&mut link);
    entry.control(&ping, &mut scratch, at(7_001)).unwrap();
    let refused = scene.answer(&mut entry, &captured, at(7_002)).err();
    assert_eq!(refused, Some(HelloRefused::HelloReplayed));
}

#[test]
fn a_half_open_connection_waits_five_seconds() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (_, mut link, mut entry) = scene.welcomed();
    assert_eq!(entry.poll_timeout(), Some(at(5_000)));
    let ping = scene.ping(&mut link);
    let late = entry.control(&ping, &mut Scratch::new(), at(5_000)).err();
    assert_eq!(late, Some(Refused::NoConnection));
    assert!(!entry.expire(at(4_999)) && entry.expire(at(5_000)));
}

#[test]
fn forgeries_do_not_activate() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (_, mut link, mut entry) = scene.welcomed();
    let mut scratch = Scratch::new();
    let ping = scene.ping(&mut link);
    let other_parity = ping[1] ^ PARITY;
    for bit in 0..8 * ping.len() {
        assert!(entry.control(&flipped(&ping, bit), &mut scratch, at(1)).is_err(), "bit {bit}");
    }
    assert!(entry.active().is_none());
    let mut forged = ping.clone();
    forged[59] ^= 1;
    let refused = entry.control(&forged, &mut scratch, at(1)).err();
    assert_eq!(refused, Some(Refused::Hop(Refusal::BadTag)));
    forged[1] = other_parity;
    let refused = entry.control(&forged, &mut scratch, at(1)).err();
    assert_eq!(refused, Some(Refused::NoConnection));
    assert!(entry.control(&ping, &mut scratch, at(1)).is_ok());
}

#[test]
fn the_old_connection_receives_for_three_more_seconds() {
    let mut scene = Scene::new(Suite::ChaChaPoly);
    let (mut client, mut old, mut entry) = scene.welcomed();
    let mut scratch = Scratch::new();
    let mut hear = |entry: &mut Entry, frame: &[u8], ms| {
        entry.control(frame, &mut scratch, at(ms)).map(|(arrival, _)| arrival)
    };
    hear(&mut entry, &scene.ping(&mut old), 10).unwrap();
    let mut new = scene.reconnect(&mut client, &mut entry, at(1_000));
    assert_eq!((old.conn, new.conn), (0, 1));
    assert_ne!(old.inst, new.inst);
    assert!(hear(&mut entry, &scene.ping(&mut old), 1_001).unwrap().active, "until the new speaks");
    assert!(hear(&mut entry, &scene.ping(&mut new), 2_000).unwrap().activated);
    assert!(!hear(&mut entry, &scene.ping(&mut old), 4_999).unwrap().active);
    assert_eq!(entry.poll_timeout(), Some(at(5_000)));
    let late = hear(&mut entry, &scene.ping(&mut old), 5_000).err();
    assert_eq!(late, Some(Refused::NoConnection));
    assert!(!entry.expire(at(5_000)));
    assert!(hear(&mut entry, &scene.ping(&mut new), 9_000).is_ok());
}

#[test]
fn the_next_connection_takes_the_place_of_the_one_before_the_last() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (mut client, mut first, mut entry) = scene.welcomed();
    let mut scratch = Scratch::new();
    let mut hear = |entry: &mut Entry, frame: &[u8], ms| {
        entry.control(frame, &mut scratch, at(ms)).map(|(arrival, _)| arrival)
    };
    hear(&mut entry, &scene.ping(&mut first), 0).unwrap();
    let mut second = scene.reconnect(&mut client, &mut entry, at(10));
    hear(&mut entry, &scene.ping(&mut second), 11).unwrap();
    let mut third = scene.reconnect(&mut client, &mut entry, at(20));
    let gone = hear(&mut entry, &scene.ping(&mut first), 21).err();
    assert_eq!(gone, Some(Refused::Hop(Refusal::BadTag)), "its parity names the third");
    assert!(hear(&mut entry, &scene.ping(&mut second), 22).unwrap().active);
    assert!(hear(&mut entry, &scene.ping(&mut third), 23).unwrap().activated);
}

#[test]
fn a_restarted_relay_goes_on_counting_where_the_client_was() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (mut client, link, _) = scene.welcomed();
    let mut fresh = Entry::new(scene.membership.id);
    let next = scene.reconnect(&mut client, &mut fresh, at(50));
    assert_eq!((link.conn, next.conn), (0, 1));
}

#[test]
fn a_silent_participant_cools_and_goes_on_where_it_was() {
    for suite in Suite::ALL {
        let mut scene = Scene::new(suite);
        let (_, mut link, mut entry) = scene.welcomed();
        let mut scratch = Scratch::new();
        entry.control(&scene.ping(&mut link), &mut scratch, at(1)).unwrap();
        assert!(entry.is_cold(), "control needs no key kept");

        let secret = EpochSecret::from_session_key(&Secret::new([7; 32]));
        let sealer = Sealer::new(suite, &secret, &scene.membership.id, &link.inst, link.conn);
        let say = |link: &mut Link| {
            let mut voice = frame(suite, 1, 120);
            link.sending.data(&sealer, &mut voice).unwrap();
            voice
        };
        let first = say(&mut link);
        entry.data(&first, &mut scratch, at(2)).unwrap();
        assert!(!entry.is_cold());
        entry.cool();
        assert!(entry.is_cold());
        let again = entry.data(&first, &mut scratch, at(30_000)).err();
        assert_eq!(again, Some(Refused::Hop(Refusal::Replayed)), "cold, but not forgetful");

        let mut pong = frame(suite, CLASS_CONTROL, 80);
        entry.active_mut().unwrap().link.sending.control(&mut pong).unwrap();
        assert!(link.receiving.control(&pong, &mut scratch).is_ok());
        assert!(entry.is_cold());
        let arrival = entry.data(&say(&mut link), &mut scratch, at(30_001)).unwrap();
        assert!(arrival.received.newest && !entry.is_cold());
    }
}

#[test]
fn a_participant_at_rest_is_small() {
    // One of 100,000 that are silent may cost a relay 1.2 KiB in all, tables included. Here that is the
    // entry, which lies in a table, and one connection on the heap: 6 windows of 40 bytes, 6 counters of
    // 8, two secrets of 45 and their empty places, 64 bytes of claims. Allocators round up: 512 is a size
    // that the usual ones have, and the next one may be 640.
    assert!(size_of::<Connection>() <= 512, "{}", size_of::<Connection>());
    assert!(size_of::<Entry>() <= 96, "{}", size_of::<Entry>());
    // What resting saves, twice: no key lies expanded in a connection.
    assert!(size_of::<HopKey>() > 512, "{}", size_of::<HopKey>());
}

#[test]
fn connection_numbers_always_change_parity_and_never_mean_none() {
    assert_eq!((next_conn(None), next_conn(Some(NO_CONN))), (0, 0));
    let mut conn = 0;
    for _ in 0..1_000 {
        let next = next_conn(Some(conn));
        assert!(next != NO_CONN && next & 1 != conn & 1, "{conn} -> {next}");
        conn = next;
    }
}
