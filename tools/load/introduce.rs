//! Introductions in wire v0: a relay learns a participant from its first datagram, so everyone speaks once.
//!
//! Each introduction is forwarded to all who came before, so a session of a thousand costs half a
//! million datagrams: introductions wait until the earlier ones have come through, and so go as fast as
//! the relay does. A member is known once it has heard someone, or someone has heard it. Who is
//! not known speaks again, until there has been no news for [`PATIENCE`].

use elara_core::time::Span;
use elara_shards::sys::cpu::monotonic;

use crate::error::LoadError;
use crate::frame::{Frames, Seen};
use crate::plan::Plan;
use crate::swarm::Swarm;

/// Introductions or copies of them on their way at most: what the smallest usual receive buffer
/// (208 KiB) holds of small datagrams, halved.
const UNDER_WAY_MAX: u64 = 128;
/// Silence after which copies that have not come are lost. A relay that shares its cpu may well be
/// away for tens of milliseconds, and counting that as loss would bury it under introductions.
const SILENCE: Span = Span::from_millis(100);
/// Nobody hears the first member of a session, so those are paced by time: this for
/// [`UNDER_WAY_MAX`] of them.
const UNHEARD: Span = Span::from_millis(2);
/// Nothing more for this long: the introductions are over, and load may begin.
const QUIET: Span = Span::from_millis(20);
/// How long a round of introductions may take to come through.
const ROUND: Span = Span::from_millis(100);
/// No news for this long: whoever is not known stays unknown.
const PATIENCE: Span = Span::from_secs(5);

/// Makes every member known to the relay, and answers how many could not be.
///
/// # Errors
/// When not one member could be, or the kernel refuses.
pub(crate) fn introduce(plan: &Plan, frames: &Frames, swarm: &mut Swarm) -> Result<u32, LoadError> {
    let members = plan.members() as u32;
    let mut roll = Roll { known: vec![false; members as usize], unknown: members, refused: false };
    let mut news = monotonic();
    for round in 0.. {
        let before = roll.unknown;
        roll.call(plan, frames, swarm, round)?;
        let called = monotonic();
        while roll.unknown > 0 && monotonic().since(called) < ROUND {
            roll.listen(frames, swarm, Span::from_millis(10))?;
        }
        if roll.unknown == 0 {
            break;
        }
        if roll.unknown < before {
            news = monotonic();
        } else if monotonic().since(news) > PATIENCE {
            break;
        }
    }
    if roll.unknown == members {
        return Err(LoadError::Silence { target: plan.target, refused: roll.refused });
    }
    let called = monotonic();
    while roll.listen(frames, swarm, QUIET)? > 0 && monotonic().since(called) < PATIENCE {}
    Ok(roll.unknown)
}

/// Who is known.
struct Roll {
    known: Vec<bool>,
    unknown: u32,
    refused: bool,
}

impl Roll {
    /// Everyone not known says a word, one member of each session after the other.
    fn call(
        &mut self,
        plan: &Plan,
        frames: &Frames,
        swarm: &mut Swarm,
        round: u32,
    ) -> Result<(), LoadError> {
        let (mut under_way, mut unheard) = (0u64, 0u64);
        for place in 0..plan.participants {
            let copies = if round == 0 { place } else { plan.participants - 1 };
            for session in 0..plan.sessions {
                let member = session * plan.participants + place;
                if self.known[member as usize] {
                    continue;
                }
                let egress = swarm.send_frame(member, &frames.keep_alive(member, round));
                self.refused |= egress.failed > 0;
                unheard += u64::from(copies == 0);
                if unheard == UNDER_WAY_MAX {
                    unheard = 0;
                    self.listen(frames, swarm, UNHEARD)?;
                }
                under_way += u64::from(copies);
                while under_way > UNDER_WAY_MAX {
                    let heard = self.listen(frames, swarm, SILENCE)?;
                    under_way = if heard == 0 { 0 } else { under_way.saturating_sub(heard) };
                }
            }
        }
        Ok(())
    }

    /// Takes what has come, waiting for it at most `timeout`, and answers how many datagrams it was.
    fn listen(
        &mut self,
        frames: &Frames,
        swarm: &mut Swarm,
        timeout: Span,
    ) -> Result<u64, LoadError> {
        let mut heard = 0;
        for index in 0..swarm.wait(timeout)? {
            let receiver = swarm.ready(index);
            let received = swarm.receive(receiver)?;
            self.refused |= received.refused;
            for bytes in received.datagrams() {
                frames.inspect_all(receiver, bytes, |seen| {
                    heard += 1;
                    let Seen::KeepAlive(sender) = seen else { return };
                    for member in [sender, receiver] {
                        let known = &mut self.known[member as usize];
                        self.unknown -= u32::from(!*known);
                        *known = true;
                    }
                });
            }
        }
        Ok(heard)
    }
}
