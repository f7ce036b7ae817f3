//! What happened to a datagram. Every datagram gets exactly one [`Verdict`], and every verdict is a
//! counter: `datagrams in = sum of all verdicts`, always.

macro_rules! verdicts {
    ($($(#[$doc:meta])* $name:ident = $label:literal: $sentence:literal,)*) => {
        /// The fate of one datagram.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Verdict {
            $($(#[$doc])* $name,)*
        }

        impl Verdict {
            /// Every verdict, in counter order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name metrics use: lower case, underscores.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$name => $label,)* }
            }

            /// What it means, as a sentence for people.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

verdicts! {
    /// Passed on, byte for byte, to everyone else in its session.
    Forwarded = "forwarded": "passed on to everyone else in its session",
    /// Taken in, but nobody else is in the session to hear it.
    Alone = "alone": "taken in, but nobody else is in the session",

    // What it is could not be said, or nothing here serves it.
    /// Shorter than any frame.
    Runt = "runt": "shorter than any frame",
    /// Longer than any frame, or cut short by the kernel.
    TooLong = "too_long": "longer than any frame",
    /// Its first bytes belong to no protocol on this port.
    Unrecognised = "unrecognised": "its first bytes belong to no protocol on this port",
    /// Wire v0 from an address that v0 is not open for.
    V0Closed = "v0_closed": "wire v0 is not open for its source address",
    /// Wire v1, which this node does not serve.
    V1Closed = "v1_closed": "wire v1 is not served here",
    /// STUN, which this node does not serve.
    StunClosed = "stun_closed": "STUN is not served here",
    /// TURN ChannelData, which this node does not serve.
    TurnClosed = "turn_closed": "TURN is not served here",

    // The frame is broken.
    /// `header_len` points inside the fixed header or past the payload.
    BadHeaderLength = "bad_header_length": "its header length cannot be true",
    /// The class byte names no class.
    BadClass = "bad_class": "it names no known class",
    /// Its session id reads like STUN; such ids are never issued.
    ReservedSession = "reserved_session": "its session id is reserved",

    // The frame is sound, but not here or not now.
    /// Its session belongs to another shard.
    Stray = "stray": "its session belongs to another shard",
    /// It would open a session, and the table of sessions is full.
    SessionsFull = "sessions_full": "its shard has all the sessions it can hold",
    /// Its sender would join a session that has `max_peers` participants.
    SessionFull = "session_full": "its session has all the participants it may have",
    /// Its sender would join, and the table of participants is full.
    ParticipantsFull = "participants_full": "its shard has all the participants it can hold",
    /// Its sender would join, and its IP address has as many participants as one may have.
    IpFull = "ip_full": "its IP address has all the participants it may have on its shard",
}

impl Verdict {
    /// Whether the datagram was refused.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        !matches!(self, Self::Forwarded | Self::Alone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_and_verdicts_line_up() {
        for (index, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, index);
        }
    }

    #[test]
    fn labels_are_fit_for_metrics_and_distinct() {
        let mut labels: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.label()).collect();
        assert!(labels.iter().all(|label| {
            label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        }));
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Verdict::COUNT);
    }
}
