//! Sessions of ten around a shard over the network in memory, for either wire.

use crate::support::frames::frame_of;
use crate::support::guest::{Club, Guest, Party};
use crate::support::room::{InMemory, Room, open_config};

/// Members of a session: what one says leaves nine times.
pub(crate) const PEERS: usize = 10;

/// Ten addresses that speak wire v0.
pub(crate) fn entered_v0() -> Room<InMemory> {
    let mut room = Room::<InMemory>::with(PEERS, open_config());
    (0..PEERS).for_each(|peer| room.say(peer, &frame_of(1, peer as u64, 120, 0)));
    room.settle();
    room
}

/// Ten guests of wire v1 who have heard all there is to hear.
pub(crate) fn entered(club: &mut Club) -> (Room<InMemory>, Vec<Guest>) {
    let mut room = Room::<InMemory>::with(PEERS, club.config());
    let mut guests: Vec<Guest> = (0..PEERS).map(|_| club.guest()).collect();
    for (peer, guest) in guests.iter_mut().enumerate() {
        room.pass(10);
        room.enter(peer, guest);
    }
    (0..PEERS).for_each(|peer| drop(room.heard(peer)));
    (room, guests)
}
