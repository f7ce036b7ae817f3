//! What happened, in order: a running digest of everything, and the last events for whoever must
//! find out why.

use std::fmt;
use std::io::Write;

use elara_core::ClientAddr;
use elara_core::time::Instant;
use elara_shards::Verdict;
use elara_shards::command::Notice;
use elara_shards::io::memory::Outcome;

use crate::digest;

/// Events kept for the report of a violation.
const TAIL: usize = 60;

/// Takes every event as a line of text.
pub type Sink<'a> = dyn Write + 'a;

/// One event.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The world did something to someone.
    Act {
        /// What.
        what: &'static str,
        /// To whom, or how much of it.
        number: u64,
    },
    /// A shard received a datagram.
    Heard {
        /// Which shard.
        shard: usize,
        /// From where.
        from: ClientAddr,
        /// Bytes.
        len: usize,
        /// Of the bytes.
        digest: u64,
        /// As the model has it.
        verdict: Verdict,
    },
    /// A shard of wire v1 received a datagram.
    Came {
        /// Which shard.
        shard: usize,
        /// From where.
        from: ClientAddr,
        /// Bytes.
        len: usize,
        /// Of the bytes.
        digest: u64,
        /// What the world knows it is.
        is: &'static str,
    },
    /// A shard sent a datagram.
    Sent {
        /// Which shard.
        shard: usize,
        /// Where to.
        to: ClientAddr,
        /// Bytes.
        len: usize,
        /// Of the bytes.
        digest: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A shard noticed something.
    Noticed {
        /// Which shard.
        shard: usize,
        /// What.
        notice: Notice,
    },
    /// A participant was handed a frame.
    Handed {
        /// Who.
        receiver: u32,
        /// Whose frame.
        sender: u32,
        /// Which of theirs.
        number: u32,
    },
}

impl Event {
    /// As numbers, for the digest. Addresses and ids enter by value, never by place in memory.
    fn numbers(&self) -> [u64; 5] {
        match *self {
            Self::Act { what, number } => [1, digest::of(what.as_bytes()), number, 0, 0],
            Self::Heard { shard, from, len, digest, verdict } => {
                [2, shard as u64, of_addr(&from), len as u64 ^ digest, verdict as u64]
            }
            Self::Came { shard, from, len, digest, is } => {
                let is = digest::of(is.as_bytes());
                [6, shard as u64, of_addr(&from), len as u64 ^ digest, is]
            }
            Self::Sent { shard, to, len, digest, outcome } => {
                [3, shard as u64, of_addr(&to), len as u64 ^ digest, outcome as u64]
            }
            Self::Noticed { shard, notice } => {
                let (kind, session, node, addr) = match notice {
                    Notice::SessionOpened { session } => (1, session.0, 0, 0),
                    Notice::SessionEnded { session } => (2, session.0, 0, 0),
                    Notice::Joined { session, node, addr } => {
                        (3, session.0, node.0, of_addr(&addr))
                    }
                    Notice::Moved { session, node, addr } => (4, session.0, node.0, of_addr(&addr)),
                    Notice::Left { session, node, why } => (5 + why as u64, session.0, node.0, 0),
                };
                [4 | (shard as u64) << 8, kind, session, node, addr]
            }
            Self::Handed { receiver, sender, number } => {
                [5, u64::from(receiver), u64::from(sender), u64::from(number), 0]
            }
        }
    }
}

fn of_addr(addr: &ClientAddr) -> u64 {
    digest::fold(
        digest::of(addr.ip_bytes()),
        u64::from(addr.port()) << 32 | u64::from(addr.scope()),
    )
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Act { what, number } => write!(f, "-- {what} {number}"),
            Self::Heard { shard, from, len, digest, verdict } => {
                write!(f, "{shard} heard {len} B {digest:016x} from {from}: {}", verdict.label())
            }
            Self::Came { shard, from, len, digest, is } => {
                write!(f, "{shard} heard {len} B {digest:016x} from {from}: {is}")
            }
            Self::Sent { shard, to, len, digest, outcome } => {
                write!(f, "{shard} sent  {len} B {digest:016x} to {to}: {outcome:?}")
            }
            Self::Noticed { shard, notice } => write!(f, "{shard} says {notice:?}"),
            Self::Handed { receiver, sender, number } => {
                write!(f, "participant {receiver} is handed frame {number} of {sender}")
            }
        }
    }
}

/// The story so far.
pub(crate) struct Trace<'a> {
    digest: u64,
    tail: Vec<(Instant, Event)>,
    oldest: usize,
    sink: Option<&'a mut Sink<'a>>,
}

impl<'a> Trace<'a> {
    pub(crate) fn new(sink: Option<&'a mut Sink<'a>>) -> Self {
        Self { digest: 0, tail: Vec::with_capacity(TAIL), oldest: 0, sink }
    }

    /// One more event, at a time since the world began.
    pub(crate) fn add(&mut self, at: Instant, event: Event) {
        self.digest = digest::fold(self.digest, at.as_nanos());
        for number in event.numbers() {
            self.digest = digest::fold(self.digest, number);
        }
        if self.tail.len() < TAIL {
            self.tail.push((at, event));
        } else {
            self.tail[self.oldest] = (at, event);
            self.oldest = (self.oldest + 1) % TAIL;
        }
        if let Some(sink) = &mut self.sink {
            // Whoever reads the trace may stop reading; the run goes on.
            let _ = writeln!(sink, "{}", line(at, &event));
        }
    }

    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// The last events, oldest first.
    pub(crate) fn tail(&self) -> Vec<String> {
        let (new, old) = self.tail.split_at(self.oldest);
        old.iter().chain(new).map(|(at, event)| line(*at, event)).collect()
    }
}

fn line(at: Instant, event: &Event) -> String {
    let nanos = at.as_nanos();
    format!("{:>4}.{:09} {event}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_events_in_order() {
        let mut trace = Trace::new(None);
        for number in 0..TAIL as u64 + 5 {
            trace.add(Instant::from_nanos(number), Event::Act { what: "tick", number });
        }
        let tail = trace.tail();
        assert!(tail.len() == TAIL && tail[0].ends_with("tick 5"), "{}", tail[0]);
        assert!(tail[TAIL - 1].ends_with(&format!("tick {}", TAIL + 4)));
    }

    #[test]
    fn order_and_time_are_part_of_the_digest() {
        let digest = |story: &[(u64, u64)]| {
            let mut trace = Trace::new(None);
            for (at, number) in story {
                trace.add(Instant::from_nanos(*at), Event::Act { what: "x", number: *number });
            }
            trace.digest()
        };
        assert_eq!(digest(&[(1, 1), (2, 2)]), digest(&[(1, 1), (2, 2)]));
        assert_ne!(digest(&[(1, 1), (2, 2)]), digest(&[(1, 2), (2, 1)]));
        assert_ne!(digest(&[(1, 1)]), digest(&[(2, 1)]));
    }
}
