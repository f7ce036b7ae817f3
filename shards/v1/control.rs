//! What participants say to the relay: pings, wishes, streams, goodbyes.

use elara_core::ClientAddr;
use elara_core::limits::{
    CONTROL_MAX, GET_EVERY, STREAMS_CHANGES, STREAMS_PER_PARTICIPANT_MAX, STREAMS_PER_SESSION_MAX,
};
use elara_core::wire::header::Class;
use elara_core::wire::v1::control::{
    Ack, Control, Controls, Get, OwnStream, Ping, Pong, Report, StreamsEntry, StreamsMine,
    Subscribe, alert, get, kind,
};
use elara_core::{NodeId, wire::Header, wire::header::flags};

use super::ingress::Origin;
use super::membership::{KICK, ended, line};
use super::participant::pages;
use crate::command::{Notice, Why};
use crate::forward::Forward;
use crate::io::{Io, Slice};
use crate::verdict::Verdict;

/// What one frame of messages is answered with, in one frame: of each kind the last.
#[derive(Default)]
struct Answers {
    /// The connection the messages came by, and whether it is the active one.
    conn: u8,
    active: bool,
    pong: Option<Pong>,
    subscribe: Option<u32>,
    streams: Option<u32>,
}

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// A control frame that names a participant.
    pub(super) fn handle_control(&mut self, origin: &Origin, slice: Slice, number: u32) -> Verdict {
        let frame = self.io.bytes(slice);
        let v1 = &mut *self.v1;
        let Some(them) = v1.participants.get_mut(number) else {
            return Verdict::UnknownParticipant;
        };
        let (arrival, opened) = match them.entry.control(frame, &mut v1.scratch, self.now) {
            Ok(opened) => opened,
            Err(why) => return self.refuse_frame(why, origin, slice),
        };
        let multipath =
            Header::peek(frame).is_some_and(|header| header.flags & flags::MULTIPATH != 0);
        // What the messages change may need the scratch.
        let mut text = [0; CONTROL_MAX];
        let text = &mut text[..opened.len()];
        text.copy_from_slice(opened);
        // They may change who is a receiver.
        self.flush_room_of(number);
        if let Some(refused) = self.hear(number, origin, &arrival) {
            return refused;
        }
        let Some(them) = self.v1.participants.get_mut(number) else {
            return Verdict::UnknownParticipant;
        };
        if !them.allowance.take(slice.len(), origin.begun(), self.now) {
            return Verdict::OverRate;
        }
        let mut answers =
            Answers { conn: arrival.conn, active: arrival.active, ..Answers::default() };
        for message in Controls::parse(text) {
            match message {
                Ok(message) => self.handle_message(number, &origin.from, &message, &mut answers),
                Err(_) => self.counters.control_faults += 1,
            }
        }
        // After its messages: one of them may say that it has moved.
        self.locate(number, origin, &arrival, multipath);
        self.answer(number, &answers);
        Verdict::Control
    }

    fn handle_message(
        &mut self,
        number: u32,
        from: &ClientAddr,
        message: &Control<'_>,
        answers: &mut Answers,
    ) {
        match message {
            Control::Ping(ping) => answers.pong = self.pong(number, answers.conn, ping),
            Control::PathResponse(value) => self.handle_path_response(number, from, value),
            // Versions begin anew with a connection: what the one before still says is older than all of it.
            Control::Subscribe(_) | Control::StreamsMine(_) if !answers.active => {}
            Control::Subscribe(wish) => answers.subscribe = self.handle_subscribe(number, wish),
            Control::StreamsMine(wish) => answers.streams = self.handle_streams(number, wish),
            Control::Leave(_) => self.depart(number, Why::Gone),
            Control::Kick(kick) => self.handle_kick(number, kick.node_id()),
            Control::Get(get) => self.handle_get(number, get),
            Control::Ack(ack) => self.handle_ack(number, ack),
            Control::Report(report) => self.handle_report(number, report),
            // Of no use to a relay, or answered by what is built on this.
            _ => {}
        }
    }

    /// One frame for all answers.
    fn answer(&mut self, number: u32, answers: &Answers) {
        let ack = |kind, version: Option<u32>| {
            version.map(|version| Ack { message: kind, version: version.into() })
        };
        let subscribe = ack(kind::SUBSCRIBE, answers.subscribe);
        let streams = ack(kind::STREAMS_MINE, answers.streams);
        let mut messages = [const { None }; 3];
        messages[0] = answers.pong.as_ref().map(Control::Pong);
        messages[1] = subscribe.as_ref().map(Control::Ack);
        messages[2] = streams.as_ref().map(Control::Ack);
        let mut said = [Control::PathChallenge(&[0; 8]); 3];
        let mut count = 0;
        for message in messages.into_iter().flatten() {
            said[count] = message;
            count += 1;
        }
        if count > 0 {
            self.tell_participant(number, &said[..count]);
        }
    }

    fn pong(&self, number: u32, conn: u8, ping: &Ping) -> Option<Pong> {
        let them = self.v1.participants.get(number)?;
        let receiving = &them.entry.connection(conn)?.link.receiving;
        let now_us = (self.now.as_nanos() / 1_000).into();
        Some(Pong {
            id: ping.id,
            t_client_us: ping.t_client_us,
            t_relay_rx_us: now_us,
            t_relay_tx_us: now_us,
            missing: receiving.missing(Class::Core as u8, ping.next_core.get()).into(),
        })
    }

    fn handle_subscribe(&mut self, number: u32, wish: &Subscribe<'_>) -> Option<u32> {
        let them = self.v1.participants.get_mut(number)?;
        if them.subscribed.handle(wish.version()) {
            them.wishes = wish.entries().into();
        }
        let version = them.subscribed.version();
        self.v1.refresh_member(number);
        if version == wish.version() {
            self.grant(number, wish.hold_ms());
        }
        Some(version)
    }

    /// The whole of what a participant publishes. Who may not send publishes nothing. What there is no room
    /// for, and what comes too soon, is not taken and not acknowledged.
    fn handle_streams(&mut self, number: u32, wish: &StreamsMine<'_>) -> Option<u32> {
        let (now, v1) = (self.now, &mut *self.v1);
        let them = v1.participants.get_mut(number)?;
        let place = them.place?;
        if wish.version() <= them.announced.version() {
            return Some(them.announced.version());
        }
        if !them.may_send() {
            self.alert(number, alert::PERMISSION, 0);
            return None;
        }
        let room = v1.rooms.get_mut(place.room)?;
        let count = wish.entries().len();
        let total = room.streams - them.streams.len() + count;
        if count > STREAMS_PER_PARTICIPANT_MAX || total > STREAMS_PER_SESSION_MAX {
            self.alert(number, alert::FULL, 0);
            return None;
        }
        if !them.changes.take(STREAMS_CHANGES, now) {
            return None;
        }
        them.announced.handle(wish.version());
        let before = std::mem::replace(&mut them.streams, wish.entries().into());
        room.streams = total;
        for change in changes(them.node, &before, &them.streams) {
            room.playbill.change(change, now);
        }
        v1.arm_chores(place.room, now);
        Some(wish.version())
    }

    fn handle_kick(&mut self, number: u32, node: NodeId) {
        let Some(them) = self.v1.participants.get(number) else { return };
        let session = them.session;
        if !them.permissions.allows(KICK) {
            self.alert(number, alert::PERMISSION, KICK.0.trailing_zeros());
        } else if node != them.node {
            self.kick(session, node);
        }
    }

    fn handle_get(&mut self, number: u32, get: &Get) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(room) = them.place.and_then(|place| v1.rooms.get(place.room)) else { return };
        let (index, wanted, version) = match get.what {
            get::ROSTER => (0, pages::ROSTER, room.roster.version()),
            get::STREAMS => (1, pages::STREAMS, room.playbill.version()),
            // Kept state frames: there are none yet.
            _ => return,
        };
        // Who has all of it asks only to be sure.
        if get.arg.get() != version.into() && now >= them.next_get[index] {
            them.next_get[index] = now + GET_EVERY;
            v1.want_pages(number, wanted);
        }
    }

    /// Every ping says which roster and which streams are held. Who holds old ones when all has been told
    /// has missed the last of it, and cannot know: it is sent the whole.
    fn handle_ack(&mut self, number: u32, ack: &Ack) {
        let (now, v1) = (self.now, &mut *self.v1);
        let Some(them) = v1.participants.get_mut(number) else { return };
        let Some(room) = them.place.and_then(|place| v1.rooms.get(place.room)) else { return };
        let (index, wanted, version, due) = match ack.message {
            kind::ROSTER => (0, pages::ROSTER, room.roster.version(), room.roster.due()),
            kind::STREAMS => (1, pages::STREAMS, room.playbill.version(), room.playbill.due()),
            _ => return,
        };
        if ack.version.get() < version && due.is_none() && now >= them.next_get[index] {
            them.next_get[index] = now + GET_EVERY;
            v1.want_pages(number, wanted);
        }
    }

    fn handle_report(&mut self, number: u32, report: &Report) {
        if let Some(them) = self.v1.participants.get_mut(number)
            && let Some(marks) = &mut them.marks
        {
            marks.handle(report);
        }
    }
}

/// The lines by which `after` differs from `before`.
fn changes(node: NodeId, before: &[OwnStream], after: &[OwnStream]) -> Vec<StreamsEntry> {
    let known = |stream: &&OwnStream| !before.contains(*stream);
    let gone = |stream: &&OwnStream| after.iter().all(|other| other.stream != stream.stream);
    let new = after.iter().filter(known).map(|stream| line(node, stream));
    new.chain(before.iter().filter(gone).map(|stream| ended(node, stream))).collect()
}
