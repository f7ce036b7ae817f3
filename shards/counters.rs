//! What a shard has done, as plain numbers on its own cache lines.
//!
//! Only the shard's thread writes them, with ordinary adds. Anyone else gets a copy through the
//! mailbox, so no cache line is ever written by two cpus.
//!
//! Two balances always hold:
//! - `datagrams == sum(verdicts) + hellos_waiting`: nothing vanishes on the way in;
//! - `copies == sent + busy + failed` once the back end has settled: nothing vanishes on the way out.

use crate::command::Notice;
use crate::verdict::Verdict;

/// A shard's counters. `Copy`, so a snapshot is a memcpy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(128))] // Two 64-byte lines: the adjacent-line prefetcher pulls pairs.
pub struct Counters {
    /// Datagrams taken from the socket (a GRO train counts once for each datagram in it).
    pub datagrams: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Messages taken from the socket (a GRO train counts once).
    pub trains: u64,
    /// How each datagram ended, by `Verdict as usize`.
    pub verdicts: [u64; Verdict::COUNT],
    /// v1 data frames that verified, those in bundles one by one.
    pub frames: u64,
    /// HELLOs that were computed: Noise, and what follows.
    pub handshakes: u64,
    /// Messages in control frames that were malformed, and stepped over.
    pub control_faults: u64,
    /// Datagrams the shard asked the back end to send.
    pub copies: u64,
    /// Data frames in them: a bundle carries several.
    pub copied_frames: u64,
    /// Copies that are control frames to participants.
    pub control_sent: u64,
    /// Those of them that answer strangers: WELCOME, RETRY, BUSY, RESET.
    pub answers_sent: u64,
    /// Their bytes.
    pub answer_bytes: u64,
    /// What became of them.
    pub egress: Egress,
    /// Passes of the loop.
    pub cycles: u64,
    /// Cycles that ended with datagrams still waiting in the kernel.
    pub overruns: u64,
    /// Times the back end ran out of receive buffers and had to ask again.
    pub starved: u64,
    /// Messages the kernel dropped because the receive queue was full, as last read (`limits::LOAD_EVERY`):
    /// datagrams that never came in, so no balance has them.
    pub overflowed: u64,
    /// How hard the shard worked between the last two readings, in permille of a cpu.
    pub load: u64,
    /// Commands taken from the mailbox.
    pub commands: u64,
    /// Notices dropped because nobody fetched the earlier ones.
    pub notices_lost: u64,
    /// Participants that joined.
    pub joined: u64,
    /// Participants that came back from another address.
    pub moved: u64,
    /// Participants that were forgotten, for whatever reason.
    pub left: u64,
    /// HELLOs that wait for their turn.
    pub hellos_waiting: u64,
    /// Participants that were welcomed and have not spoken.
    pub half_open: u64,
    /// Sessions in the table.
    pub sessions: u64,
    /// Participants in the table.
    pub participants: u64,
    /// Datagrams passed on between TURN clients and their peers, either way; a hairpin is one.
    pub relayed: u64,
    /// Their bytes, without what TURN adds.
    pub relayed_bytes: u64,
    /// TURN allocations there are.
    pub allocations: u64,
    /// Permissions they have.
    pub permissions: u64,
    /// Channels they have bound.
    pub channels: u64,
}

/// What the kernel did with what we gave it, in datagrams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Egress {
    /// Accepted by the kernel.
    pub sent: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Dropped because the socket's send buffer was full (EAGAIN, ENOBUFS): our own egress is too slow.
    pub busy: u64,
    /// Refused for another reason: no route, address family, too long for the path.
    pub failed: u64,
}

/// One send the kernel refused: whose it was, and what it would have carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The tag it was sent with.
    pub tag: u32,
    /// Datagrams it carried.
    pub datagrams: u32,
    /// Their bytes.
    pub bytes: u32,
}

/// Why the kernel did not take a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Our own egress is full.
    Busy,
    /// There is no way there, or not like this.
    Failed,
    /// It would have had to be cut, and the device it leaves by cannot.
    Uncut,
}

impl Default for Counters {
    fn default() -> Self {
        Self::ZERO
    }
}

impl Counters {
    /// Nothing has happened.
    pub const ZERO: Self = Self {
        datagrams: 0,
        bytes: 0,
        trains: 0,
        verdicts: [0; Verdict::COUNT],
        frames: 0,
        handshakes: 0,
        control_faults: 0,
        copies: 0,
        copied_frames: 0,
        control_sent: 0,
        answers_sent: 0,
        answer_bytes: 0,
        egress: Egress { sent: 0, bytes: 0, busy: 0, failed: 0 },
        cycles: 0,
        overruns: 0,
        starved: 0,
        overflowed: 0,
        load: 0,
        commands: 0,
        notices_lost: 0,
        joined: 0,
        moved: 0,
        left: 0,
        hellos_waiting: 0,
        half_open: 0,
        sessions: 0,
        participants: 0,
        relayed: 0,
        relayed_bytes: 0,
        allocations: 0,
        permissions: 0,
        channels: 0,
    };

    /// Counts one datagram's verdict.
    #[inline]
    pub fn count(&mut self, verdict: Verdict) {
        self.verdicts[verdict as usize] += 1;
    }

    /// Counts what a notice tells.
    pub(crate) const fn notice(&mut self, notice: &Notice) {
        match notice {
            Notice::Joined { .. } => self.joined += 1,
            Notice::Moved { .. } => self.moved += 1,
            Notice::Left { .. } => self.left += 1,
            Notice::SessionOpened { .. } | Notice::SessionEnded { .. } => {}
        }
    }

    /// How often `verdict` was given.
    #[must_use]
    pub const fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize]
    }

    /// Datagrams that were refused.
    #[must_use]
    pub fn refused(&self) -> u64 {
        Verdict::ALL
            .iter()
            .filter(|verdict| verdict.is_refusal())
            .map(|verdict| self.of(*verdict))
            .sum()
    }

    /// Whether every datagram that came in has a verdict, and every copy an outcome.
    #[must_use]
    pub fn balanced(&self) -> bool {
        self.datagrams == self.verdicts.iter().sum::<u64>() + self.hellos_waiting
            && self.copies == self.egress.sent + self.egress.busy + self.egress.failed
    }

    /// Adds another shard's counters to these.
    pub fn add(&mut self, other: &Self) {
        let mine = self.fields_mut();
        let mut theirs = *other;
        for (mine, theirs) in mine.into_iter().zip(theirs.fields_mut()) {
            *mine += *theirs;
        }
        for (mine, theirs) in self.verdicts.iter_mut().zip(other.verdicts) {
            *mine += theirs;
        }
    }

    fn fields_mut(&mut self) -> [&mut u64; 34] {
        [
            &mut self.datagrams,
            &mut self.bytes,
            &mut self.trains,
            &mut self.frames,
            &mut self.handshakes,
            &mut self.control_faults,
            &mut self.copies,
            &mut self.copied_frames,
            &mut self.control_sent,
            &mut self.answers_sent,
            &mut self.answer_bytes,
            &mut self.egress.sent,
            &mut self.egress.bytes,
            &mut self.egress.busy,
            &mut self.egress.failed,
            &mut self.cycles,
            &mut self.overruns,
            &mut self.starved,
            &mut self.overflowed,
            &mut self.load,
            &mut self.commands,
            &mut self.notices_lost,
            &mut self.joined,
            &mut self.moved,
            &mut self.left,
            &mut self.hellos_waiting,
            &mut self.half_open,
            &mut self.sessions,
            &mut self.participants,
            &mut self.relayed,
            &mut self.relayed_bytes,
            &mut self.allocations,
            &mut self.permissions,
            &mut self.channels,
        ]
    }
}
