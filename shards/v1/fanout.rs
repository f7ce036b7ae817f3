//! What leaves for the members of a room: to each what it asked for, but nothing of its own.

use std::ops::Range;

use elara_core::limits::MARK_EVERY;
use elara_core::wire::Class;

use super::V1;
use super::pack::pack;
use super::participant::Participant;
use super::room::{Member, PICKY};
use crate::command::Notice;
use crate::cost::Way;
use crate::departures::{Departure, Glance, Outlet, Passing, Wire};
use crate::egress::way_of;
use crate::forward::Forward;
use crate::io::{Io, Slice};
use crate::run::digest;
use crate::slab::Slab;

impl<I: Io, T: FnMut(Notice)> Forward<'_, I, T> {
    /// Sends a burst to everyone in a room; those who let small frames wait get them later.
    pub(crate) fn send_v1(&mut self, slot: u32, lane: usize, departures: &[Departure]) {
        let waits = if lane == 0 { self.wait(slot, departures) } else { None };
        self.send_v1_to(slot, 0..usize::MAX, waits, departures);
        if let Some(waits) = waits {
            self.hold_frames(slot, departures, waits == 0);
        }
    }

    /// Sends to those members of a room, but not to those who grant `waits` milliseconds or more.
    #[inline]
    pub(crate) fn send_v1_to(
        &mut self,
        slot: u32,
        places: Range<usize>,
        waits: Option<u8>,
        departures: &[Departure],
    ) {
        match (way_of(departures, Wire::V1).0, departures) {
            (Way::Run, [one]) => self.send_run(slot, places, waits, one),
            (Way::Bundle, _) => {
                let audience = Audience { places, least: 0, below: waits };
                self.send_bundles(slot, &audience, departures, None);
            }
            _ => self.send_segments(slot, places, waits, departures),
        }
    }

    #[inline]
    fn send_run(
        &mut self,
        slot: u32,
        places: Range<usize>,
        waits: Option<u8>,
        Departure { run, passing }: &Departure,
    ) {
        let v1 = &mut *self.v1;
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        let places = places.start..places.end.min(room.members.len());
        let digest = match passing.class {
            Class::Core => digest(self.io.bytes(run.slice()), run.segment()),
            _ => 0,
        };
        let mut copies = 0;
        for member in &mut room.members[places] {
            if member.participant == passing.number
                || waits.is_some_and(|waits| member.hold >= waits)
                || !is_wanted(&v1.participants, member, passing)
            {
                continue;
            }
            self.io.send(&member.addr, &[run.slice()], run.segment(), member.tag());
            member.count(run.frames(), run.slice().len());
            member.fresh = true;
            member.core_digest = member.core_digest.wrapping_add(digest);
            copies += run.frames();
        }
        self.sent_to(slot, copies, copies);
    }

    fn send_segments(
        &mut self,
        slot: u32,
        places: Range<usize>,
        waits: Option<u8>,
        departures: &[Departure],
    ) {
        let (v1, scratch) = (&mut *self.v1, &mut self.departures.scratch);
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        let places = places.start..places.end.min(room.members.len());
        scratch.shared.fill(self.io, departures.iter());
        let content = Content::of(departures);
        let mut copies = 0;
        for member in &mut room.members[places] {
            if waits.is_some_and(|waits| member.hold >= waits) {
                continue;
            }
            let plan = if content.wants_all(member, departures) {
                &scratch.shared
            } else {
                let wanted = departures.iter().filter(|it| gets(&v1.participants, member, it));
                scratch.own.fill(self.io, wanted);
                &scratch.own
            };
            if plan.frames == 0 {
                continue;
            }
            plan.send(self.io, &member.addr, member.tag());
            member.count(plan.frames, plan.bytes);
            member.fresh = true;
            member.core_digest = member.core_digest.wrapping_add(plan.core_digest);
            copies += plan.frames;
        }
        self.sent_to(slot, copies, copies);
    }

    /// Sends small frames in bundles to the members in `audience`. They lie in `row`, or in the back end.
    pub(super) fn send_bundles(
        &mut self,
        slot: u32,
        audience: &Audience,
        departures: &[Departure],
        row: Option<&[u8]>,
    ) {
        let v1 = &mut *self.v1;
        let Some(room) = v1.rooms.get_mut(slot) else { return };
        let session = room.id;
        let places = audience.places.start..audience.places.end.min(room.members.len());
        let content = Content::of(departures);
        let mut shared = None;
        let all_frames = departures.iter().map(|it| it.run.frames()).sum::<u64>();
        let (mut copies, mut copied_frames) = (0, 0);
        for member in &mut room.members[places] {
            if !audience.has(member.hold) {
                continue;
            }
            let io = &*self.io;
            let frames = |it: &Departure| {
                let class = it.passing.class;
                it.run.each().map(move |slice| (class, bytes_of(io, row, slice)))
            };
            // Most members want all of it and have sent none of it: put together once.
            let (packets, count) = if content.wants_all(member, departures) {
                let all = departures.iter().flat_map(frames);
                let count = *shared.get_or_insert_with(|| pack(session, all, &mut v1.shared));
                copied_frames += all_frames;
                (&v1.shared, count)
            } else {
                let wanted = departures.iter().filter(|it| gets(&v1.participants, member, it));
                copied_frames += wanted.clone().map(|it| it.run.frames()).sum::<u64>();
                let count = pack(session, wanted.flat_map(frames), &mut v1.single);
                (&v1.single, count)
            };
            for packet in &packets[..count] {
                self.io.send_bytes(&member.addr, &packet.bytes, member.tag());
                member.count(1, packet.bytes.len());
                member.core_digest = member.core_digest.wrapping_add(packet.core_digest);
                member.fresh = true;
            }
            copies += count as u64;
        }
        self.sent_to(slot, copies, copied_frames);
    }

    /// So many datagrams have left for a room, with so many frames in them.
    #[inline]
    fn sent_to(&mut self, slot: u32, copies: u64, frames: u64) {
        self.counters.copies += copies;
        self.counters.copied_frames += frames;
        if copies > 0
            && let Some(room) = self.v1.rooms.get_mut(slot)
            && room.marks_due.is_none()
        {
            room.marks_due = Some(self.now + MARK_EVERY);
            self.v1.arm_chores(slot, self.now);
        }
    }
}

impl V1 {
    /// What a room knows of its departures, and how many members it has.
    #[inline]
    pub(crate) fn outlet_mut(&mut self, slot: u32) -> Option<(&mut Outlet, usize)> {
        self.rooms.get_mut(slot).map(|room| (&mut room.outlet, room.members.len()))
    }
}

/// Some of the members: by place, and by how long their small frames may wait.
pub(super) struct Audience {
    pub(super) places: Range<usize>,
    /// Those who grant at least so many milliseconds,
    pub(super) least: u8,
    /// and less than so many.
    pub(super) below: Option<u8>,
}

impl Audience {
    const fn has(&self, hold: u8) -> bool {
        let below = match self.below {
            Some(below) => hold < below,
            None => true,
        };
        hold >= self.least && below
    }
}

/// What is in a burst: by it most members are seen to want it all.
struct Content {
    classes: u8,
    senders: Glance,
}

impl Content {
    fn of(departures: &[Departure]) -> Self {
        let classes = departures.iter().fold(0, |all, it| all | 1 << it.passing.class as u8);
        let senders = Glance::of(departures.iter().map(|it| it.passing.number.into()));
        Self { classes, senders }
    }

    /// Whether all of it goes to a member.
    #[inline]
    fn wants_all(&self, member: &Member, departures: &[Departure]) -> bool {
        let own = |it: &Departure| it.passing.number == member.participant;
        member.takes_all(self.classes)
            && !(self.senders.may_have(member.participant.into()) && departures.iter().any(own))
    }
}

/// Whether a member gets what departs.
#[inline]
fn gets(participants: &Slab<Participant>, member: &Member, departure: &Departure) -> bool {
    departure.passing.number != member.participant
        && is_wanted(participants, member, &departure.passing)
}

#[inline]
fn bytes_of<'b, I: Io>(io: &'b I, row: Option<&'b [u8]>, slice: Slice) -> &'b [u8] {
    match row {
        Some(row) => &row[slice.start as usize..][..slice.len()],
        None => io.bytes(slice),
    }
}

/// Whether a member asked for what passes.
#[inline]
pub(super) fn is_wanted(
    participants: &Slab<Participant>,
    member: &Member,
    passing: &Passing,
) -> bool {
    member.classes & 1 << passing.class as u8 != 0
        || member.classes & PICKY != 0
            && participants
                .get(member.participant)
                .is_some_and(|them| them.wants(passing.node, passing.stream, passing.class as u8))
}
