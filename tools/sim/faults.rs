//! What is done to the relay, counted by kind, so that a run can say how unkind it was.

use std::fmt;

macro_rules! faults {
    ($($name:ident = $label:literal,)*) => {
        /// A kind of trouble.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the label beside each name says it")]
        pub enum Fault {
            $($name,)*
        }

        impl Fault {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// What it is, for people.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }
        }
    };
}

faults! {
    Lost = "datagrams lost",
    LostInBurst = "datagrams lost in bursts",
    Cut = "datagrams cut off by partitions",
    Reordered = "datagrams reordered",
    Duplicated = "datagrams duplicated",
    Flipped = "datagrams with flipped bits",
    Overflowed = "datagrams dropped by a full receive queue",
    Misdirected = "datagrams steered to the wrong shard",
    Truncated = "trains cut short by the kernel",
    Idle = "early returns with nothing",
    Starved = "times out of receive buffers",
    Busy = "sends that found the socket busy",
    Unreachable = "sends with no route",
    Partitioned = "partitions",
    Roamed = "address changes",
    Swapped = "address swaps",
    TakenOver = "addresses taken over",
    Hushed = "participants gone silent",
    Left = "participants gone and returned",
    Impersonated = "frames in another's name",
    Crowded = "frames of crowds",
    Multiplexed = "frames of many nodes from one address",
    Flooded = "frames of floods, each of a session of its own",
    Outsider = "frames from closed addresses",
    Junk = "datagrams that are no frames",
    Stalled = "stalls of a shard",
    Spurious = "wake-ups for nothing",
    Restarted = "shards killed and restarted",
    Rotated = "relay keys rotated",
    Banned = "bans",
    Kicked = "participants sent away",
    Rewished = "subscriptions changed",
    Replayed = "captured datagrams from elsewhere",
    Mangled = "captured datagrams with flipped bits",
    Forged = "frames of members with garbage for a tag",
    HelloReplayed = "captured HELLOs from elsewhere",
    HelloFlooded = "HELLOs of floods",
    Retried = "HELLOs that were asked for a cookie",
    PutOff = "HELLOs that were told to come back later",
    Flawed = "HELLOs with a bad token or certificate",
    Thrown = "datagrams thrown at participants",
    Knocked = "HELLOs of insiders",
    Abused = "frames that insiders sealed",
    Overreached = "frames of a class that their token does not allow",
    Borrowed = "frames with another's name or keys",
    Bundled = "bundles with a bad frame inside",
    Besieged = "extreme, senseless and malformed control messages",
}

/// How often each kind happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults([u64; Fault::ALL.len()]);

impl Default for Faults {
    fn default() -> Self {
        Self([0; Fault::ALL.len()])
    }
}

impl Faults {
    /// One more.
    pub const fn count(&mut self, fault: Fault) {
        self.add(fault, 1);
    }

    /// Some more.
    pub const fn add(&mut self, fault: Fault, times: u64) {
        self.0[fault as usize] += times;
    }

    /// How often `fault` happened.
    #[must_use]
    pub const fn of(&self, fault: Fault) -> u64 {
        self.0[fault as usize]
    }

    /// Adds another run's.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for fault in Fault::ALL {
            writeln!(f, "{:>12} {}", self.of(*fault), fault.label())?;
        }
        Ok(())
    }
}
