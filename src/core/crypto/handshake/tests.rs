//! Conversations between a client and a relay, and everything that is not part of one.

mod refusals;
mod scene;

use alloc::vec::Vec;

use zerocopy::IntoBytes;

use super::*;
use crate::ClientAddr;
use crate::crypto::bounds::{CONTROL, PARITY};
use crate::crypto::hop::{Refusal, Scratch};
use crate::crypto::seal::{EpochSecret, Sealer};
use crate::crypto::secret::Secret;
use crate::time::UnixMillis;

use scene::*;

#[test]
fn a_client_enters_and_both_sides_hear_each_other() {
    for suite in Suite::ALL {
        let mut scene = Scene::new(suite);
        let (client, mut link, mut entry) = scene.welcomed();
        assert!(!client.is_asking() && entry.active().is_none());
        let mut scratch = Scratch::new();

        let ping = scene.ping(&mut link);
        let (arrival, messages) = entry.control(&ping, &mut scratch, at(100)).unwrap();
        assert_eq!((arrival.activated, arrival.active, arrival.conn), (true, true, 0));
        assert_eq!(messages, [0; 14]);
        let connection = entry.active_mut().expect("active");
        assert_eq!((connection.claims, connection.link.inst), (scene.claims, link.inst));

        let mut pong = frame(suite, CONTROL, 80);
        connection.link.sending.control(&mut pong).unwrap();
        assert!(link.receiving.control(&pong, &mut scratch).is_ok());

        let secret = EpochSecret::from_session_key(&Secret::new([7; 32]));
        let sealer = Sealer::new(suite, &secret, &scene.membership.id, &link.inst, link.conn);
        let mut voice = frame(suite, 1, 120);
        link.sending.data(&sealer, &mut voice).unwrap();
        let arrival = entry.data(&voice, &mut scratch, at(101)).unwrap();
        assert!(!arrival.activated && arrival.active && arrival.received.newest);
        assert_eq!(entry.poll_timeout(), None);
    }
}

#[test]
fn a_lost_welcome_is_given_again() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let mut entry = Entry::new(scene.membership.id);
    let first = scene.hello(&mut client, at(0));
    let lost = scene.answer(&mut entry, &first, at(0)).unwrap();
    assert!(client.poll_hello(at(199), NOON, &mut scene.random).is_none());
    let again = scene.hello(&mut client, at(300));
    assert_eq!(again, first, "a repetition is the same bytes");
    assert_eq!(scene.answer(&mut entry, &again, at(300)).unwrap(), lost);
    assert!(matches!(client.handle_frame(&lost, at(301)), Ok(Heard::Welcome(..))));
}

#[test]
fn pauses_double_to_a_second_give_or_take_a_fifth() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        scene.hello(&mut client, now);
        let next = client.poll_timeout().unwrap();
        pauses.push(next.since(now).as_nanos() / 1_000_000);
        now = next;
    }
    for (pause, middle) in pauses.iter().zip([250, 500, 1_000, 1_000, 1_000, 1_000, 1_000, 1_000]) {
        assert!((middle * 4 / 5..=middle * 6 / 5).contains(pause), "{pauses:?}");
    }
}

#[test]
fn after_four_seconds_a_hello_is_made_anew() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let first = scene.hello(&mut client, at(0));
    let second = scene.hello(&mut client, at(4_000));
    assert_ne!(first[30..38], second[30..38]);
    let mut entry = Entry::new(scene.membership.id);
    let old = scene.answer(&mut entry, &first, at(4_000)).unwrap();
    let refused = client.handle_frame(&old, at(4_001)).err();
    assert_eq!(refused, Some(ClientRefused::NotAwaited));
    assert!(scene.answer(&mut entry, &second, at(4_000)).is_ok(), "the newest wins");
    let older = scene.answer(&mut entry, &first, at(4_000)).err();
    assert_eq!(older, Some(HelloRefused::HelloReplayed));
}

#[test]
fn under_load_a_cookie_is_asked_for_and_shown() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let hello = scene.relay.check_hello(&bytes).unwrap();
    let here = address(1);
    let later = |s: u64| UnixMillis(NOON.0 + s * 1_000);
    let checked = |hello, from: &ClientAddr, now| scene.relay.check_cookie(hello, from, now);
    assert_eq!(checked(hello, &here, NOON), Err(HelloRefused::Cookie));

    let retry = scene.relay.retry(hello, &here, NOON);
    for bit in 0..8 * RETRY_LEN {
        let broken = flipped(retry.as_bytes(), bit);
        assert!(client.handle_frame(&broken, at(1)).is_err(), "bit {bit}");
    }
    assert!(matches!(client.handle_frame(retry.as_bytes(), at(1)), Ok(Heard::Retry)));
    assert_eq!(client.poll_timeout(), Some(at(1)), "at once");
    let second = client.poll_hello(at(1), later(0), &mut scene.random).unwrap().to_vec();
    assert_ne!((&bytes[30..38], &bytes[62..94]), (&second[30..38], &second[62..94]), "anew");
    let hello = scene.relay.check_hello(&second).unwrap();
    let checked = |from: &ClientAddr, now| scene.relay.check_cookie(hello, from, now);
    assert_eq!(checked(&here, later(30)), Ok(()));
    assert_eq!(checked(&here, later(31)), Err(HelloRefused::Cookie));
    assert_eq!(checked(&address(2), NOON), Err(HelloRefused::Cookie));
    let elsewhere = ClientAddr::new([2; 16], 1, 0);
    assert_eq!(checked(&elsewhere, NOON), Err(HelloRefused::Cookie));
    let mut entry = Entry::new(scene.membership.id);
    assert!(scene.answer(&mut entry, &second, at(2)).is_ok());
}

#[test]
fn a_cookie_serves_one_session_and_node_and_all_of_it_counts() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let mut hello = *scene.relay.check_hello(&bytes).unwrap();
    hello.cookie = scene.relay.retry(&hello, &address(1), NOON).cookie;
    let check = |hello: &Hello| scene.relay.check_cookie(hello, &address(1), NOON);
    assert_eq!(check(&hello), Ok(()));
    for bit in 0..8 * 24 {
        let mut broken = hello;
        broken.cookie.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&broken), Err(HelloRefused::Cookie), "bit {bit}");
    }
    for bit in (4 * 8)..(20 * 8) {
        let mut broken = hello;
        broken.header.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(check(&broken), Err(HelloRefused::Cookie), "header bit {bit}");
    }
}

#[test]
fn a_second_retry_waits_for_the_clock() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    for round in 0..2 {
        let bytes = scene.hello(&mut client, at(round));
        let due = client.poll_timeout();
        let hello = scene.relay.check_hello(&bytes).unwrap();
        let retry = scene.relay.retry(hello, &address(1), NOON);
        assert!(matches!(client.handle_frame(retry.as_bytes(), at(1)), Ok(Heard::Retry)));
        let expected = if round == 0 { Some(at(1)) } else { due };
        assert_eq!(client.poll_timeout(), expected, "round {round}");
    }
}

#[test]
fn busy_is_believed_within_reason() {
    let mut scene = Scene::new(Suite::AesGcm);
    for (retry_ms, until) in [(7_000, 7_001), (u32::MAX, 60_001)] {
        let mut client = scene.client();
        let bytes = scene.hello(&mut client, at(0));
        let busy = scene.relay.busy(scene.relay.check_hello(&bytes).unwrap(), retry_ms);
        for bit in 0..8 * BUSY_LEN {
            let broken = flipped(busy.as_bytes(), bit);
            assert!(client.handle_frame(&broken, at(1)).is_err(), "bit {bit}");
        }
        let heard = client.handle_frame(busy.as_bytes(), at(1));
        assert!(matches!(heard, Ok(Heard::Busy(then)) if then == at(until)));
        client.connect(at(2));
        assert!(client.poll_hello(at(until - 1), NOON, &mut scene.random).is_none());
        assert!(client.poll_hello(at(until), NOON, &mut scene.random).is_some());
    }
}

#[test]
fn a_reset_makes_the_client_call_once_in_five_seconds() {
    let mut scene = Scene::new(Suite::AesGcm);
    let (mut client, mut link, mut entry) = scene.welcomed();
    let node = scene.membership.id.node_id();
    let reset = scene.relay.reset(Suite::AesGcm, SESSION, node);
    for bit in 0..8 * RESET_LEN {
        let broken = flipped(reset.as_bytes(), bit);
        assert!(client.handle_frame(&broken, at(10)).is_err(), "bit {bit}");
    }
    assert!(matches!(client.handle_frame(reset.as_bytes(), at(10)), Ok(Heard::Reset)));
    assert!(client.is_asking());
    let again = client.handle_frame(reset.as_bytes(), at(5_009)).err();
    assert_eq!(again, Some(ClientRefused::TooSoon));
    assert!(matches!(client.handle_frame(reset.as_bytes(), at(5_010)), Ok(Heard::Reset)));
    let ping = scene.ping(&mut link);
    assert!(entry.control(&ping, &mut Scratch::new(), at(11)).is_ok(), "the old link goes on");

    let mut stranger = scene.client();
    let refused = stranger.handle_frame(reset.as_bytes(), at(0)).err();
    assert_eq!(refused, Some(ClientRefused::ResetToken));
}

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
fn connection_numbers_always_change_parity_and_never_mean_none() {
    assert_eq!((next_conn(None), next_conn(Some(NO_CONN))), (0, 0));
    let mut conn = 0;
    for _ in 0..1_000 {
        let next = next_conn(Some(conn));
        assert!(next != NO_CONN && next & 1 != conn & 1, "{conn} -> {next}");
        conn = next;
    }
}

#[test]
fn hello_ms_grows_even_when_the_calendar_does_not() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let read = |scene: &mut Scene, client: &mut Client, now, calendar| {
        client.connect(now);
        let bytes = client.poll_hello(now, calendar, &mut scene.random).unwrap().to_vec();
        client.rest();
        scene.read(&bytes).unwrap().hello_ms()
    };
    let first = read(&mut scene, &mut client, at(0), NOON);
    assert_eq!(read(&mut scene, &mut client, at(1), NOON), first + 1);
    assert_eq!(read(&mut scene, &mut client, at(2), UnixMillis(0)), first + 2);
}
