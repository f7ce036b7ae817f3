//! What is wrong with a plan, in sentences.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use elara_core::SessionId;
use elara_core::limits::{HEADER_LEN, HOLD_MS_MAX, TAG_LEN};

use super::{BURST_MAX, DURATION_MAX, FRAME_MAX, FRAME_MIN, JOIN_RATE_MAX, RATE_MAX, V1_SIZES};
use crate::stamp::STAMP_LEN;

/// Why a plan cannot be run. The sentences are the interface: they are printed as they are.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanError {
    /// Nobody can be reached there.
    Target(SocketAddr),
    /// No sessions.
    NoSessions,
    /// A session needs someone who listens.
    Alone(u32),
    /// No sender, or more of them than participants.
    Senders {
        /// Asked for.
        senders: u32,
        /// There are.
        participants: u32,
    },
    /// Frames too short or too long.
    Size(usize),
    /// Bursts too short or too long.
    Burst(u32),
    /// Sends too rare or too frequent, or not a number.
    Rate(f64),
    /// A duration out of bounds.
    Time {
        /// Which one.
        flag: &'static str,
        /// Asked for.
        span: Duration,
        /// The least that makes sense.
        shortest: Duration,
    },
    /// Keep-alives too frequent.
    KeepAlive,
    /// More frames than there are sequence numbers.
    TooManyFrames,
    /// Session ids past the last one.
    SessionsOverflow {
        /// The first id.
        first: u64,
        /// How many.
        sessions: u64,
    },
    /// A session id that no relay accepts.
    ReservedSession(SessionId),
    /// More sockets than this process may open.
    Descriptors {
        /// Needed.
        sockets: u64,
        /// Possible.
        most: u64,
    },
    /// Bookkeeping beyond reason, in bytes.
    Memory(u64),
    /// Visitors where nobody joins.
    NoVisitors,
    /// Frames that wait, where nobody can say so.
    NoHold,
    /// Frames that wait longer than wire v1 has it, in milliseconds.
    Hold(u8),
    /// Wire v1 without anything that lets in.
    NoPass,
    /// More or fewer participants than join addresses.
    Addresses {
        /// Addresses.
        count: usize,
        /// Members of all sessions.
        members: u64,
    },
    /// Visitors need tokens of their own, and addresses give none.
    VisitorsUninvited,
    /// The addresses lead into this session, not into the plan's.
    OtherSession(SessionId),
    /// Wire v1 pads its frames, and not to this.
    Unpadded(usize),
    /// More participants of a session than there are stream numbers.
    Places(u32),
    /// More frames per second and sender than a token allows.
    Pace(f64),
    /// Joins too rare or too frequent, or not a number.
    JoinRate(f64),
    /// RTP to a relay that nobody told anything.
    NoWiring,
    /// More or fewer addresses than sessions.
    Wires {
        /// Addresses.
        wires: usize,
        /// Sessions.
        sessions: u32,
    },
    /// RTP with so many senders in a session, and a relay was told of one.
    Voices(u32),
    /// More participants than there are ports.
    Ports {
        /// The first one's.
        first: u16,
        /// How many.
        members: u64,
    },
    /// A run in which wire v1 would make new keys.
    Rekey(Duration),
    /// No such process.
    NoProcess(u32),
    /// No such cpu, or not ours.
    NoCpu {
        /// Asked for.
        wanted: usize,
        /// There are.
        allowed: Vec<usize>,
    },
}

impl std::error::Error for PlanError {}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(target) => write!(
                f,
                "the target {target} is no address one can send to: give the relay's address and \
                 port, as in 127.0.0.1:7840"
            ),
            Self::NoSessions => write!(f, "--sessions 0 leaves nothing to do: give at least 1"),
            Self::Alone(participants) => write!(
                f,
                "--participants {participants} leaves nobody to listen: a session needs at least 2"
            ),
            Self::Senders { senders: 0, participants } => {
                write!(f, "--senders 0 offers no load: give 1 to {participants}")
            }
            Self::Senders { senders, participants } => write!(
                f,
                "--senders {senders} is more than the {participants} participants of a session: \
                 give at most {participants}, or raise --participants"
            ),
            Self::Size(size) => write!(
                f,
                "--size {size} does not fit: a frame has {FRAME_MIN} bytes (header {HEADER_LEN}, \
                 stamp {STAMP_LEN}, tag {TAG_LEN}) to {FRAME_MAX}"
            ),
            Self::Burst(burst) => {
                write!(f, "--burst {burst} does not fit: a burst has 1 to {BURST_MAX} frames")
            }
            Self::Rate(rate) => write!(
                f,
                "--rate {rate} does not fit: a sender sends 0.001 to {RATE_MAX} times per second"
            ),
            Self::Time { flag, span, shortest } => write!(
                f,
                "{flag} {} does not fit: give {} to {} seconds",
                span.as_secs_f64(),
                shortest.as_secs_f64(),
                DURATION_MAX.as_secs()
            ),
            Self::KeepAlive => {
                write!(f, "--keep-alive is too short: give at least 0.01 seconds")
            }
            Self::TooManyFrames => write!(
                f,
                "one sender would send more than {} frames, and its sequence numbers would repeat: \
                 lower --duration, --rate or --burst",
                u32::MAX
            ),
            Self::SessionsOverflow { first, sessions } => write!(
                f,
                "--first-session {first} leaves no room for {sessions} session ids: give at most {}",
                u64::MAX - (sessions - 1)
            ),
            Self::ReservedSession(id) => write!(
                f,
                "session {} looks like STUN on the wire and no relay accepts it: \
                 move --first-session so that the range leaves it out",
                id.0
            ),
            Self::Descriptors { sockets, most } => write!(
                f,
                "{sockets} participants need a socket each, and this process may open {most}: \
                 raise the limit (ulimit -n), or lower --sessions or --participants"
            ),
            Self::Memory(bytes) => write!(
                f,
                "keeping the books of so many receivers and senders would take {} MiB: lower \
                 --sessions, --participants, --senders or --rate",
                bytes >> 20
            ),
            Self::NoVisitors => write!(
                f,
                "--join-rate: only in wire v1 does anybody join: leave it out, or give --issuer-key \
                 for wire v1"
            ),
            Self::NoPass => write!(
                f,
                "wire v1 lets nobody in without a token: give --issuer-key FILE and --relay-key KEY, \
                 or --join ADDRESS.. (elara serve --dev prints them)"
            ),
            Self::Addresses { count, members } => write!(
                f,
                "{count} join addresses let in {count} participants of one session, and not \
                 {members}: leave out --sessions and --participants, or give --issuer-key"
            ),
            Self::VisitorsUninvited => write!(
                f,
                "--join-rate needs tokens for those who come: give --issuer-key FILE beside --join"
            ),
            Self::OtherSession(session) => write!(
                f,
                "the join addresses lead into session {session}: leave out --first-session"
            ),
            Self::NoHold => write!(
                f,
                "--hold is for wire v1: elsewhere nobody can say how long frames may wait: leave it out"
            ),
            Self::Hold(ms) => write!(
                f,
                "--hold {ms} is longer than wire v1 lets frames wait: give 0 to {HOLD_MS_MAX} milliseconds"
            ),
            Self::Unpadded(size) => write!(
                f,
                "--size {size} does not fit: frames of wire v1 have one of {V1_SIZES:?} bytes"
            ),
            Self::Places(participants) => write!(
                f,
                "--participants {participants} is more than a session of wire v1 has stream numbers \
                 for here: give at most {}",
                u16::MAX
            ),
            Self::Pace(pace) => write!(
                f,
                "one sender would send {pace} frames a second, and a token of wire v1 allows at most \
                 {}: lower --rate or --burst",
                u16::MAX
            ),
            Self::JoinRate(rate) => {
                write!(f, "--join-rate {rate} does not fit: give 0.1 to {JOIN_RATE_MAX} per second")
            }
            Self::NoWiring => write!(
                f,
                "RTP needs to know where the relay hears it: give --rtp ADDRESS,.. and --rtp-port PORT"
            ),
            Self::Wires { wires, sessions } => write!(
                f,
                "--rtp names {wires} addresses for {sessions} sessions: give one for each"
            ),
            Self::Voices(senders) => write!(
                f,
                "--senders {senders}: in a session of RTP one sends and the others hear: leave it out"
            ),
            Self::Ports { first, members } => write!(
                f,
                "--rtp-port {first} leaves no room for {members} participants with a port each: give \
                 1 to {}",
                (u64::from(u16::MAX) + 1).saturating_sub(*members)
            ),
            Self::Rekey(longest) => write!(
                f,
                "so long a run would outlive its keys: in wire v1 give at most {} seconds and fewer \
                 than 2^28 frames per sender",
                longest.as_secs()
            ),
            Self::NoProcess(pid) => write!(
                f,
                "--pid {pid}: there is no such process on this machine: give the relay's, \
                 as in --pid $(pidof elara)"
            ),
            Self::NoCpu { wanted, allowed } => {
                write!(f, "--cpu {wanted}: this process may not run there: give one of {allowed:?}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use elara_core::crypto::{ExchangePublic, Identity, Secret};

    use super::*;
    use crate::plan::{Plan, Wire, Wiring};
    use crate::v1::Pass;

    fn mistake(change: impl FnOnce(&mut Plan)) -> String {
        let mut plan = Plan::voice();
        change(&mut plan);
        plan.validate().expect_err("a mistake").to_string()
    }

    fn mistake_rtp(change: impl FnOnce(&mut Plan)) -> String {
        let to = vec![Plan::video().target; 20];
        mistake(|plan| {
            let wiring = Some(Wiring { to, first_port: 20_000 });
            *plan = Plan { wire: Wire::Rtp, wiring, ..Plan::video() };
            assert_eq!(plan.validate(), Ok(()));
            change(plan);
        })
    }

    fn rewire(plan: &mut Plan, change: impl FnOnce(&mut Wiring)) {
        change(plan.wiring.as_mut().expect("RTP is wired"));
    }

    fn mistake_v1(change: impl FnOnce(&mut Plan)) -> String {
        let issuer = Identity::from_seed(&Secret::new([1; 32]));
        let pass = Some(Pass::minted(ExchangePublic([9; 32]), issuer, 1));
        mistake(|plan| {
            (plan.wire, plan.pass) = (Wire::V1, pass);
            assert_eq!(plan.validate(), Ok(()));
            change(plan);
        })
    }

    #[test]
    fn each_mistake_says_what_where_and_what_to_do() {
        let pid = u32::MAX;
        for (said, parts) in [
            (mistake(|p| p.target.set_port(0)), ["target 127.0.0.1:0", "address and port"]),
            (mistake(|p| p.sessions = 0), ["--sessions 0", "at least 1"]),
            (mistake(|p| p.participants = 1), ["--participants 1", "at least 2"]),
            (mistake(|p| p.senders = 0), ["--senders 0", "1 to 10"]),
            (mistake(|p| p.senders = 11), ["--senders 11", "at most 10"]),
            (mistake(|p| p.size = FRAME_MIN - 1), ["--size 73", "74 bytes"]),
            (mistake(|p| p.size = FRAME_MAX + 1), ["--size 1401", "to 1400"]),
            (mistake(|p| p.burst = 0), ["--burst 0", "1 to 1024"]),
            (mistake(|p| p.burst = 1_025), ["--burst 1025", "1 to 1024"]),
            (mistake(|p| p.rate = 0.0), ["--rate 0", "0.001 to 1000000"]),
            (mistake(|p| p.rate = f64::NAN), ["--rate NaN", "0.001 to 1000000"]),
            (mistake(|p| p.duration = Duration::ZERO), ["--duration 0", "0.1 to 604800"]),
            (mistake(|p| p.warmup = Duration::MAX), ["--warmup", "0 to 604800"]),
            (mistake(|p| p.keep_alive = Some(Duration::ZERO)), ["--keep-alive", "0.01 seconds"]),
            (mistake(|p| (p.rate, p.duration) = (1e6, DURATION_MAX)), ["sequence", "lower"]),
            (mistake(|p| p.first_session = u64::MAX), ["--first-session", "at most"]),
            (mistake(|p| p.first_session = 0x42A4_1220), ["session 1118048801", "move"]),
            (mistake(|p| p.sessions = 1 << 30), ["10737418240 participants", "ulimit -n"]),
            (mistake(|p| (p.rate, p.senders) = (1e6, 10)), ["MiB", "lower"]),
            (mistake(|p| p.join_rate = Some(1.0)), ["--join-rate", "--issuer-key"]),
            (mistake(|p| p.hold_ms = 1), ["--hold", "leave it out"]),
            (mistake_v1(|p| p.hold_ms = 6), ["--hold 6", "0 to 5"]),
            (mistake_v1(|p| p.pass = None), ["--issuer-key FILE", "--join ADDRESS"]),
            (mistake_v1(|p| p.size = 80), ["--size 80", "one of [120, 160"]),
            (mistake_v1(|p| p.size = 1_200), ["--size 1200", "960, 1232]"]),
            (mistake_v1(|p| p.participants = 65_536), ["--participants 65536", "at most 65535"]),
            (mistake_v1(|p| p.rate = 65_536.0), ["65536 frames a second", "--rate or --burst"]),
            (mistake_v1(|p| p.join_rate = Some(0.0)), ["--join-rate 0", "0.1 to 10000"]),
            (mistake_v1(|p| p.duration = Duration::from_secs(3_000)), ["outlive", "3000 seconds"]),
            (mistake_rtp(|p| p.wiring = None), ["--rtp ADDRESS,..", "--rtp-port"]),
            (mistake_rtp(|p| p.sessions = 19), ["20 addresses for 19 sessions", "one for each"]),
            (mistake_rtp(|p| p.senders = 2), ["--senders 2", "leave it out"]),
            (
                mistake_rtp(|p| rewire(p, |w| w.first_port = 65_400)),
                ["--rtp-port 65400", "1 to 65336"],
            ),
            (
                mistake_rtp(|p| rewire(p, |w| w.first_port = 0)),
                ["--rtp-port 0", "200 participants"],
            ),
            (
                mistake_rtp(|p| rewire(p, |w| w.to[9].set_port(0))),
                ["127.0.0.1:0", "address and port"],
            ),
            (mistake_rtp(|p| p.hold_ms = 1), ["--hold", "leave it out"]),
            (mistake(|p| p.pid = Some(pid)), ["--pid 4294967295", "pidof"]),
            (mistake(|p| p.cpu = Some(9_999)), ["--cpu 9999", "one of ["]),
        ] {
            assert!(
                parts.iter().all(|part| said.contains(part)),
                "{said:?} lacks one of {parts:?}"
            );
        }
    }
}
