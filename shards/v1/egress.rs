//! Control frames on their way to one participant.

use elara_core::ClientAddr;
use elara_core::limits::ALERT_EVERY;
use elara_core::limits::V1_FRAME_MAX;
use elara_core::wire::Header;
use elara_core::wire::v1::Kind;
use elara_core::wire::v1::control::{Alert, Control, ControlWriter};

use crate::command::Notice;
use crate::cost;
use crate::forward::Forward;
use crate::io::Io;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Sends `messages`, which fit a frame, to where a participant is, if it is known to receive there.
    pub(super) fn tell_participant(&mut self, number: u32, messages: &[Control<'_>]) {
        let Some(them) = self.v1.participants.get(number).filter(|them| !them.stale) else {
            return;
        };
        let Some(place) = them.place else { return };
        let Some(room) = self.v1.rooms.get(place.room) else { return };
        let member = &room.members[place.member as usize];
        if !member.proven {
            return;
        }
        let (to, tag) = (member.addr, member.tag());
        let Some(len) = self.send_control(number, &to, tag, messages) else { return };
        if let Some(room) = self.v1.rooms.get_mut(place.room) {
            room.members[place.member as usize].count(1, len);
        }
    }

    /// Sends `messages`, which fit a frame, by a participant's active connection to `to`. Answers the
    /// frame's length; `None` when there is nothing to send it by.
    pub(super) fn send_control(
        &mut self,
        number: u32,
        to: &ClientAddr,
        tag: u32,
        messages: &[Control<'_>],
    ) -> Option<usize> {
        let them = self.v1.participants.get_mut(number)?;
        let (session, node) = (them.session, them.node);
        let link = &mut them.entry.active_mut()?.link;
        let mut buffer = [0; V1_FRAME_MAX];
        let header = Header::v1(link.suite as u8, session, node, Kind::Control);
        let mut writer = ControlWriter::new(&mut buffer, &header).ok()?;
        for message in messages {
            let fits = writer.put(message);
            debug_assert!(fits.is_ok(), "what is told at once fits a frame");
        }
        let frame = writer.finish().finish();
        // Refused only when all 2^32 numbers are used: a new handshake was due long ago.
        link.sending.control(frame).ok()?;
        self.io.send_bytes(to, frame, tag);
        self.counters.copies += 1;
        self.departures.spent += cost::SEND;
        self.counters.control_sent += 1;
        Some(frame.len())
    }

    /// Tells a participant why something of it was refused; seldom.
    #[cold]
    pub(super) fn alert(&mut self, number: u32, code: u16, arg: u32) {
        let Some(them) = self.v1.participants.get_mut(number) else { return };
        if self.now < them.next_alert {
            return;
        }
        them.next_alert = self.now + ALERT_EVERY;
        let alert = Alert { code: code.into(), arg: arg.into() };
        self.tell_participant(number, &[Control::Alert(&alert)]);
    }
}
