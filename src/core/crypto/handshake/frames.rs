//! The five handshake frames, byte for byte, and the codes that keep strangers out.
//!
//! ```text
//!  HELLO    512  header 30 | attempt 8 | cookie 24 | Noise 1: 32 + 48 + 354 | mac1 16
//!  RETRY     78  header 30 | attempt 8 | cookie 24 | HMAC16
//!  WELCOME  166  header 30 | attempt 8 | Noise 2: 32 + 96
//!  RESET     62  header 30 | reset_token 16 | HMAC16
//!  BUSY      58  header 30 | attempt 8 | retry_ms u32 | HMAC16
//! ```
//! Every answer is shorter than HELLO. `mac1` and HMAC16 are keyed by the relay's *public* key: they
//! keep out who does not know the join address, and prove nothing more. In the header of all five,
//! flags, time hint and number are 0; an answer repeats the session and node it answers.

use core::fmt;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::noise::{FIRST_ADDS, SECOND_ADDS};
use crate::crypto::exchange::ExchangePublic;
use crate::crypto::hash::{hmac16, sha256};
use crate::crypto::identity::{PUBLIC_KEY_LEN, Signature};
use crate::crypto::secret::equal;
use crate::crypto::suite::Suite;
use crate::crypto::token::Token;
use crate::ids::{ClientAddr, NodeId, SessionId};
use crate::limits::HEADER_LEN;
use crate::wire::v1::header::CLASS_HANDSHAKE;
use crate::wire::{Header, v1};

/// Bytes of HELLO.
pub const HELLO_LEN: usize = 512;
/// Bytes of RETRY.
pub const RETRY_LEN: usize = 78;
/// Bytes of WELCOME.
pub const WELCOME_LEN: usize = 166;
/// Bytes of RESET.
pub const RESET_LEN: usize = 62;
/// Bytes of BUSY.
pub const BUSY_LEN: usize = 58;
/// Bytes of a HELLO that Noise takes as its prologue, after `"ELARA1"`: header, attempt, cookie.
const PROLOGUED: usize = 62;
const MAC_LEN: usize = 16;

/// Which handshake frame: the header's profile byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A client asks to enter.
    Hello = 1,
    /// Ask again, with this cookie.
    Retry = 2,
    /// Come in.
    Welcome = 3,
    /// The relay does not know this connection; a hint.
    Reset = 4,
    /// Ask again later; a hint.
    Busy = 5,
}

/// What ties an answer to its HELLO: random, eight bytes.
pub type Attempt = [u8; 8];

macro_rules! layout {
    ($(#[$doc:meta])* $name:ident, $len:expr, {
        $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
        #[repr(C)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        const _: () = assert!(size_of::<$name>() == $len);
    };
}

layout! {
    /// What a loaded relay gives and wants back: proof that its holder receives at its address.
    #[derive(Debug, PartialEq, Eq)]
    Cookie, 24, {
        /// When it was made, in the relay's seconds since 1970.
        seconds: U32,
        /// Which key made it; 0.
        kid: u8,
        /// Zero.
        zero: [u8; 3],
        /// Over time, address, session and node.
        mac: [u8; MAC_LEN],
    }
}

layout! {
    /// A client asks to enter.
    Hello, HELLO_LEN, {
        /// Class handshake, profile [`Kind::Hello`].
        header: Header,
        /// Ties the answer to this HELLO.
        attempt: Attempt,
        /// All zero, or from a RETRY.
        cookie: Cookie,
        /// Noise message 1 around a [`HelloPayload`].
        noise: [u8; size_of::<HelloPayload>() + FIRST_ADDS],
        /// Over everything before it.
        mac1: [u8; MAC_LEN],
    }
}

layout! {
    /// What HELLO seals for the relay.
    HelloPayload, 338, {
        /// The client's identity.
        id: [u8; PUBLIC_KEY_LEN],
        /// Of the certificate of its static key.
        cert_not_after: U32,
        /// Of the certificate of its static key.
        cert_signature: Signature,
        /// What the client can do; unknown bits are ignored.
        caps: U32,
        /// The number of its last connection; 0xFF for none.
        last_conn: u8,
        /// How members share keys: 0 pre-shared, 1 group.
        e2e_mode: u8,
        /// Zero.
        zero: [u8; 2],
        /// What lets it in.
        token: Token,
        /// The client's clock, in ms since 1970; greater with every HELLO it makes.
        hello_ms: U64,
        /// Zero, and ignored: room to grow.
        padding: [u8; 94],
    }
}

layout! {
    /// Ask again, with this cookie.
    Retry, RETRY_LEN, {
        /// Class handshake, profile [`Kind::Retry`].
        header: Header,
        /// Of the HELLO it answers.
        attempt: Attempt,
        /// To be sent back.
        cookie: Cookie,
        /// HMAC16 over everything before it.
        mac: [u8; MAC_LEN],
    }
}

layout! {
    /// Come in.
    Welcome, WELCOME_LEN, {
        /// Class handshake, profile [`Kind::Welcome`].
        header: Header,
        /// Of the HELLO it answers.
        attempt: Attempt,
        /// Noise message 2 around a [`WelcomePayload`].
        noise: [u8; size_of::<WelcomePayload>() + SECOND_ADDS],
    }
}

layout! {
    /// What WELCOME seals for the client.
    WelcomePayload, 80, {
        /// The new connection's number.
        conn: u8,
        /// Zero.
        zero: u8,
        /// Longest frame the relay takes.
        max_frame: U16,
        /// Seconds of silence after which the client counts as gone.
        idle_s: U16,
        /// How often the relay wants to be pinged, in ms.
        ping_ms: U16,
        /// Most the client may send, in kbit/s.
        max_kbps: U32,
        /// Most datagrams the client may send a second.
        max_pps: U32,
        /// Where the relay saw HELLO come from.
        observed_ip: [u8; 16],
        /// Where the relay saw HELLO come from.
        observed_port: U16,
        /// Zero.
        zero2: [u8; 2],
        /// The relay's clock.
        relay_clock_us: U64,
        /// The roster's version.
        roster_version: U32,
        /// What a genuine RESET of this connection will carry.
        reset_token: [u8; 16],
        /// Zero, and ignored: room to grow.
        padding: [u8; 16],
    }
}

layout! {
    /// The relay does not know this connection; a hint.
    Reset, RESET_LEN, {
        /// Class handshake, profile [`Kind::Reset`].
        header: Header,
        /// As WELCOME gave it.
        reset_token: [u8; 16],
        /// HMAC16 over everything before it.
        mac: [u8; MAC_LEN],
    }
}

layout! {
    /// Ask again later; a hint.
    Busy, BUSY_LEN, {
        /// Class handshake, profile [`Kind::Busy`].
        header: Header,
        /// Of the HELLO it answers.
        attempt: Attempt,
        /// How much later.
        retry_ms: U32,
        /// HMAC16 over everything before it.
        mac: [u8; MAC_LEN],
    }
}

impl Cookie {
    /// No cookie: what the first HELLO carries.
    pub const NONE: Self = Self { seconds: U32::ZERO, kid: 0, zero: [0; 3], mac: [0; MAC_LEN] };
}

impl Hello {
    /// The client's ephemeral key: with the attempt, what makes two HELLOs the same.
    #[must_use]
    pub fn ephemeral(&self) -> &[u8] {
        &self.noise[..32]
    }

    /// What Noise mixes in first: `"ELARA1" | HELLO[0..62]`.
    pub(super) fn prologue(&self) -> [u8; 6 + PROLOGUED] {
        let mut prologue = [0; 6 + PROLOGUED];
        let (label, bytes) = prologue.split_at_mut(6);
        label.copy_from_slice(b"ELARA1");
        bytes.copy_from_slice(&self.as_bytes()[..PROLOGUED]);
        prologue
    }
}

/// What a relay grants with WELCOME.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Longest frame the relay takes, in bytes.
    pub max_frame: u16,
    /// Seconds of silence after which the client counts as gone.
    pub idle_s: u16,
    /// How often the relay wants to be pinged, in ms.
    pub ping_ms: u16,
    /// Most the client may send, in kbit/s.
    pub max_kbps: u32,
    /// Most datagrams the client may send a second.
    pub max_pps: u32,
    /// Where the relay saw HELLO come from.
    pub observed: ClientAddr,
    /// The relay's clock, in us.
    pub relay_clock_us: u64,
    /// The roster's version.
    pub roster_version: u32,
}

impl WelcomePayload {
    pub(super) fn new(conn: u8, terms: &Terms, reset_token: [u8; 16]) -> Self {
        Self {
            conn,
            zero: 0,
            max_frame: U16::new(terms.max_frame),
            idle_s: U16::new(terms.idle_s),
            ping_ms: U16::new(terms.ping_ms),
            max_kbps: U32::new(terms.max_kbps),
            max_pps: U32::new(terms.max_pps),
            observed_ip: *terms.observed.ip_bytes(),
            observed_port: U16::new(terms.observed.port()),
            zero2: [0; 2],
            relay_clock_us: U64::new(terms.relay_clock_us),
            roster_version: U32::new(terms.roster_version),
            reset_token,
            padding: [0; 16],
        }
    }

    pub(super) fn terms(&self) -> Terms {
        Terms {
            max_frame: self.max_frame.get(),
            idle_s: self.idle_s.get(),
            ping_ms: self.ping_ms.get(),
            max_kbps: self.max_kbps.get(),
            max_pps: self.max_pps.get(),
            observed: ClientAddr::new(self.observed_ip, self.observed_port.get(), 0),
            relay_clock_us: self.relay_clock_us.get(),
            roster_version: self.roster_version.get(),
        }
    }
}

/// The header of a handshake frame.
pub(super) fn header(kind: Kind, suite: Suite, session: SessionId, node: NodeId) -> Header {
    let mut header = Header::v1(suite as u8, session, node, v1::Kind::Handshake);
    header.profile = kind as u8;
    header
}

/// The suite of a handshake frame whose header is that of a `kind`, every byte of it.
pub(super) fn suite_of(header: &Header, kind: Kind) -> Option<Suite> {
    let suite = Suite::from_nibble(header.version_suite & 0x0F)?;
    let expected = self::header(kind, suite, header.session_id(), header.node_id());
    (*header == expected && !header.session_id().is_reserved()).then_some(suite)
}

/// The kind that a handshake frame says it is; `None` for other frames.
#[must_use]
pub fn kind_of(frame: &[u8]) -> Option<Kind> {
    let header = Header::peek(frame)?;
    if header.class != CLASS_HANDSHAKE || header.version() != 1 {
        return None;
    }
    match header.profile {
        1 => Some(Kind::Hello),
        2 => Some(Kind::Retry),
        3 => Some(Kind::Welcome),
        4 => Some(Kind::Reset),
        5 => Some(Kind::Busy),
        _ => None,
    }
}

/// The two keys that follow from a relay's public key, which everyone with a join address has.
#[derive(Clone)]
pub(super) struct Doorbell {
    mac0: [u8; 32],
    mac1: [u8; 32],
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Doorbell(..)")
    }
}

impl Doorbell {
    pub(super) fn of(relay: &ExchangePublic) -> Self {
        Self {
            mac0: sha256(&[b"ELARA1 mac0", relay.as_bytes()]),
            mac1: sha256(&[b"ELARA1 mac1", relay.as_bytes()]),
        }
    }

    /// The last sixteen bytes of a HELLO.
    pub(super) fn mac1(&self, hello: &Hello) -> [u8; MAC_LEN] {
        hmac16(&self.mac1, &[&hello.as_bytes()[..HELLO_LEN - MAC_LEN]])
    }

    /// The last sixteen bytes of RETRY, RESET and BUSY.
    pub(super) fn mac0(&self, answer: &[u8]) -> [u8; MAC_LEN] {
        hmac16(&self.mac0, &[&answer[..answer.len() - MAC_LEN]])
    }

    pub(super) fn rang(&self, hello: &Hello) -> bool {
        equal(&self.mac1(hello), &hello.mac1)
    }

    pub(super) fn answered(&self, answer: &[u8]) -> bool {
        equal(&self.mac0(answer), &answer[answer.len() - MAC_LEN..])
    }
}

// WIRE 3.2: what Noise hashes and what `mac1` covers end where the layouts say.
const _: () = assert!(HEADER_LEN + 8 + 24 == PROLOGUED);
const _: () = assert!(PROLOGUED + FIRST_ADDS + 338 + MAC_LEN == HELLO_LEN);
const _: () = assert!(HEADER_LEN + 8 + SECOND_ADDS + 80 == WELCOME_LEN);
// No answer is longer than its request.
const _: () = assert!(WELCOME_LEN < HELLO_LEN && RETRY_LEN < HELLO_LEN && BUSY_LEN < HELLO_LEN);
