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

    /// Taken in, but nobody else in its session asked for it.
    Unwanted = "unwanted": "taken in, but nobody else in its session asked for it",
    /// Opened: its messages are for the relay.
    Control = "control": "messages to the relay itself",
    /// A HELLO that was answered with WELCOME.
    Welcomed = "welcomed": "a HELLO that was answered with WELCOME",
    /// A HELLO that came again, and was answered with the same WELCOME.
    WelcomedAgain = "welcomed_again": "a HELLO that came again, and was answered with the same WELCOME",

    /// Data between a TURN client and its peer, passed on.
    Relayed = "relayed": "data between a TURN client and a peer, passed on",
    /// A request of STUN or TURN that was done as asked.
    Answered = "stun_answered": "a STUN or TURN request that was done as asked",
    /// A request of STUN or TURN that was answered with an error: that credentials are missing, for one.
    Declined = "stun_declined": "a STUN or TURN request that was answered with an error",

    // What it is could not be said, or nothing here serves it.
    /// Shorter than any frame.
    Runt = "runt": "shorter than any frame",
    /// Longer than any frame, or cut short by the kernel.
    TooLong = "too_long": "longer than any frame",
    /// Its first bytes belong to no protocol on this port.
    Unrecognised = "unrecognised": "its first bytes belong to no protocol on this port",
    /// Wire v0 from an address that v0 is not open for.
    V0Closed = "v0_closed": "wire v0 is not open for its source address",
    /// Wire v1, and the node has no relay key.
    V1Closed = "v1_closed": "wire v1 is not served here: the node has no relay key",
    /// STUN, which this node does not serve.
    StunClosed = "stun_closed": "STUN is not served here",
    /// TURN ChannelData, which this node does not serve.
    TurnClosed = "turn_closed": "TURN is not served here",

    // The frame is broken.
    /// `header_len` points inside the fixed header or past the payload.
    BadHeaderLength = "bad_header_length": "its header length cannot be true",
    /// The class byte names no class.
    BadClass = "bad_class": "it names no known class",
    /// Its suite is none, or not that of its sender's connection.
    BadSuite = "bad_suite": "its cipher suite is unknown, or not that of its connection",
    /// A flag is set that v1 forbids.
    BadFlags = "bad_flags": "it sets a flag that v1 forbids",
    /// Its TLVs are not STREAM, STATE or both, or say what cannot be.
    BadExtension = "bad_extension": "its extensions are not what v1 allows",
    /// A bundle whose parts do not fit it, or of several senders.
    BadBundle = "bad_bundle": "a bundle whose frames do not belong together",
    /// Its session id reads like STUN; such ids are never issued.
    ReservedSession = "reserved_session": "its session id is reserved",

    // A HELLO that leads nowhere.
    /// Of class handshake, and no HELLO.
    BadHello = "bad_hello": "a handshake that is no HELLO",
    /// Its sender does not know the relay's public key.
    BadMac1 = "bad_mac1": "a HELLO from someone without this relay's public key",
    /// Too many from its neighbourhood, or in all.
    HelloLimited = "hello_limited": "too many HELLOs from its part of the network",
    /// Without a good cookie, while the relay is loaded: answered with RETRY.
    HelloRetried = "hello_retried": "a HELLO that was asked for a cookie first",
    /// There is no time for it, or no room: answered with BUSY.
    HelloBusy = "hello_busy": "a HELLO that was told to come back later",
    /// It was not sealed for this relay.
    BadNoise = "bad_noise": "a HELLO that was not sealed for this relay",
    /// Its time is not above that of the last one accepted.
    HelloReplayed = "hello_replayed": "an old HELLO again",
    /// Its sender, or the bearer token it shows, is banned.
    Banned = "banned": "its sender is banned",
    /// The token does not let it in.
    BadToken = "bad_token": "a token that does not open this session, or not any more",
    /// The bearer token belongs to who showed it first.
    BearerTaken = "bearer_taken": "a bearer token that someone else has used",
    /// The static key is not certified by the identity, or not any more.
    BadCertificate = "bad_certificate": "a static key that its identity has not signed, or not for today",
    /// The node it names is not its identity's.
    NodeMismatch = "node_mismatch": "a node id that is not its identity's",
    /// Another identity with the same node id is here.
    NodeTaken = "node_taken": "a node id that another identity has here",
    /// Its session is one of the other wire version.
    OtherWire = "other_wire": "its session speaks the other wire version",

    // A v1 frame that proves nothing.
    /// Nobody in that session is called so.
    UnknownParticipant = "unknown_participant": "from nobody who is known here",
    /// Its sender has no such connection.
    NoConnection = "no_connection": "its sender has no such connection, or not any more",
    /// Its number has been seen.
    Replayed = "replayed": "a frame that has been seen",
    /// Its number is older than the window remembers.
    TooOld = "too_old": "a frame older than the window remembers",
    /// Its tag is not its sender's.
    BadTag = "bad_tag": "forged or damaged: its tag is not its sender's",
    /// Its token does not allow its class.
    Forbidden = "forbidden": "its sender's token does not allow this class",
    /// Its STATE names another's keys.
    ForeignInst = "foreign_inst": "its state names the keys of another connection",
    /// Faster than its token allows.
    OverRate = "over_rate": "faster than its sender's token allows",

    // STUN and TURN that lead nowhere.
    /// Not a STUN message, or without what it must have.
    BadStun = "bad_stun": "a broken STUN message, or one without what it must have",
    /// An answer nobody asked for, or an indication that says nothing to a server.
    StunIgnored = "stun_ignored": "a STUN message that no server answers",
    /// Too many from its neighbourhood, or in all, that prove nothing.
    StunLimited = "stun_limited": "too many STUN requests without credentials from its part of the network",
    /// Of a client without an allocation, or for a relayed address that has ended.
    NoAllocation = "no_allocation": "from a TURN client without an allocation, or to one that ended",
    /// Its client has no channel of that number.
    NoChannel = "no_channel": "on a TURN channel that its client does not have, or not any more",
    /// Its client has no permission for that peer, or never asked for it.
    NoPermission = "no_permission": "from or to a peer that its TURN client has no permission for",
    /// That peer is nobody's.
    PeerDenied = "peer_denied": "to a peer that nobody may reach",
    /// Faster than its allocation may go.
    OverBandwidth = "over_bandwidth": "faster than its TURN allocation may go",

    // The frame is sound, but not here or not now.
    /// Its session has so many members that the frames before it are still on their way.
    Congested = "congested": "its session is so large that the frames before it are still on their way",
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
        !matches!(
            self,
            Self::Forwarded
                | Self::Alone
                | Self::Unwanted
                | Self::Control
                | Self::Welcomed
                | Self::WelcomedAgain
                | Self::Relayed
                | Self::Answered
                | Self::Declined
        )
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
