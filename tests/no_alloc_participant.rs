//! A participant that has joined allocates nothing to send: a counting allocator around core's
//! participant and a shard over memory, which also shows that the two understand each other.

mod support;

use elara_core::limits::V1_FRAME_MAX;
use elara_core::participant::Event;
use elara_core::wire::header::Class;
use elara_shards::sys::counting::Counting;
use support::people::{People, voice};

#[global_allocator]
static HEAP: Counting = Counting;

#[test]
fn a_participant_that_has_joined_allocates_nothing_to_send() {
    let mut scene = People::enter(3);
    for person in &scene.people {
        assert_eq!((person.members().len(), person.streams().len()), (3, 3));
    }
    let mut out = [0; V1_FRAME_MAX];
    let content = [7; 160];
    scene.people[0].seal_frame(&voice(0), &content, &mut out).unwrap();

    let start = Counting::on_this_thread();
    for frame in 1..1_000 {
        let len = scene.people[0].seal_frame(&voice(frame), &content, &mut out).unwrap();
        std::hint::black_box(&out[..len]);
    }
    assert_eq!(Counting::on_this_thread() - start, 0, "into the caller's buffer");

    let mut allocations = 0;
    for frame in 1_000..1_050 {
        let (now, today) = (scene.now(), scene.today());
        let speaker = &mut scene.people[0];
        let start = Counting::on_this_thread();
        speaker.send_media(&voice(frame), &content).unwrap();
        let len = loop {
            // Pings are due now and then, and are no reason to allocate either.
            let len = speaker.poll_transmit(now, today, &mut scene.random, &mut out).unwrap();
            if out[20] == Class::Perceptual as u8 {
                break len;
            }
        };
        if frame > 1_000 {
            allocations += Counting::on_this_thread() - start;
        }
        scene.room.say(0, &out[..len]);
        scene.pass();
    }
    assert_eq!(allocations, 0, "by way of the queue");
    let mut heard = 0;
    while let Some(event) = scene.people[1].poll_event() {
        heard += usize::from(matches!(event, Event::Media(media) if media.content == content));
    }
    assert_eq!(heard, 50);
}
