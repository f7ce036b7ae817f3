//! Where a participant is: at home, somewhere else, or silent.
//!
//! The rules are [`Roaming`](super::roaming::Roaming)'s; here they meet the tables and the network.

use elara_core::ClientAddr;
use elara_core::crypto::handshake::Arrival;
use elara_core::limits::PATH_DATAGRAM_MIN;
use elara_core::random::Random;
use elara_core::wire::v1::control::Control;

use super::V1;
use super::ingress::Origin;
use super::participant::pages;
use super::roaming::Roaming;
use crate::command::Notice;
use crate::forward::Forward;
use crate::io::Io;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// A frame was taken in: is its sender still where it was? Only the newest of its class, by the active
    /// connection, says so.
    #[inline]
    pub(super) fn locate(
        &mut self,
        number: u32,
        origin: &Origin,
        arrival: &Arrival,
        multipath: bool,
    ) {
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(place) = them.place else { return };
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        let member = &mut room.members[place.member as usize];
        let newest = arrival.active && arrival.received.newest && !multipath;
        if member.addr == origin.from && member.proven {
            member.heard = self.now;
            if let Some(roaming) = them.roaming.as_mut().filter(|_| newest) {
                roaming.handle_home();
            }
            if them.stale {
                self.revive(number);
            }
        } else if newest && origin.datagram_len >= PATH_DATAGRAM_MIN {
            self.challenge(number, &origin.from);
        }
    }

    /// Asks whoever speaks for a participant from elsewhere to show that it receives there, and tells the
    /// participant at home, whose next word ends the matter.
    #[cold]
    fn challenge(&mut self, number: u32, from: &ClientAddr) {
        let now = self.now;
        let V1 { participants, random, .. } = &mut *self.v1;
        let Some(them) = participants.get_mut(number) else { return };
        let roaming = them.roaming.get_or_insert_with(|| Box::new(Roaming::new()));
        let mut fresh = || random.next_u64().to_le_bytes();
        let Some(there) = roaming.handle_elsewhere(*from, &mut fresh, now) else { return };
        let home = fresh();
        self.send_control(number, from, 0, &[Control::PathChallenge(&there)]);
        self.tell_participant(number, &[Control::PathChallenge(&home)]);
    }

    /// A challenge was answered, perhaps from where it was sent.
    pub(super) fn handle_path_response(&mut self, number: u32, from: &ClientAddr, value: &[u8; 8]) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let (session, node) = (them.session, them.node);
        let Some(roaming) = &mut them.roaming else { return };
        if !roaming.handle_response(from, value, now) {
            return;
        }
        let Some(place) = them.place else { return };
        let Some(room) = v1.rooms.get_mut(place.room) else { return };
        let member = &mut room.members[place.member as usize];
        let (moved, first) = (member.addr != *from, !member.proven);
        (member.addr, member.heard, member.proven) = (*from, now, true);
        if moved {
            self.note(Notice::Moved { session, node, addr: *from });
        }
        if first || self.v1.participants.get(number).is_some_and(|them| them.stale) {
            self.revive(number);
        }
    }

    /// Someone who was silent is heard at home again.
    #[cold]
    fn revive(&mut self, number: u32) {
        self.flush_room_of(number);
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        them.stale = false;
        let sends = them.may_send();
        self.v1.refresh_member(number);
        if sends {
            self.announce_member(number);
        }
        // It has missed what was told meanwhile.
        self.v1.want_pages(number, pages::BOTH);
        self.v1.arm(number, self.calendar.seconds(), self.now);
    }
}
