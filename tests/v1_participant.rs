//! Core's participant and the shipped shard, over memory: that what one says the other understands.

mod support;

use elara_core::limits::CONNECTION_LIFE;
use elara_core::participant::{Event, Head, MediaHead};
use elara_core::wire::header::Class;
use support::people::{People, voice};

fn text(frame: u32) -> MediaHead {
    let head = Head { class: Class::Core, profile: 0, time_hint: 0 };
    MediaHead { head, stream: 2, ..voice(frame) }
}

#[test]
fn digests_agree_where_nothing_is_lost_through_a_change_of_keys_too() {
    let mut room = People::enter(3);
    let mut heard = [0; 3];
    for frame in 0..901 {
        if frame == 300 {
            // Time flies, and all keys are an hour old.
            room.ms += CONNECTION_LIFE.as_nanos() / 1_000_000;
        }
        // The last round is for what is on its way.
        if frame < 900 {
            room.people[0].send_media(&text(frame), b"text").unwrap();
            room.people[1].send_media(&voice(frame), b"voice").unwrap();
        }
        room.pass();
        for (person, heard) in room.people.iter_mut().zip(&mut heard) {
            while let Some(event) = person.poll_event() {
                *heard += u32::from(matches!(event, Event::Media(_)));
            }
        }
    }
    assert_eq!(heard, [900, 900, 1_800]);
    for person in &room.people {
        let counters = person.counters();
        assert_eq!((counters.digest_mismatches, counters.gaps, counters.core_resent), (0, 0, 0));
        assert_eq!((counters.refused_open, counters.unknown_dropped), (0, 0));
        assert!(person.connection().is_some_and(|(conn, _)| conn == 1), "one change of keys");
    }
}
