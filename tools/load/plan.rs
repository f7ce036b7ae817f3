//! What to do: who talks, how often, how much, for how long.
//!
//! A [`Plan`] is plain data. [`Plan::validate`] is the only judge: the binary, `elara demo` and the
//! benchmarks hear the same sentences, each of which says what, where, and what to do about it.

mod mistake;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use elara_core::SessionId;
use elara_core::crypto::Suite;
use elara_core::limits::{
    CONNECTION_LIFE, DATAGRAM_MAX, HEADER_LEN, HOLD_MS_MAX, REKEY_FRAMES, RESERVED_SESSION_LOW,
    SEGMENTS_MAX, TAG_LEN, V0_FRAME_MAX, V1_PADDED,
};
use elara_shards::sys::cpu;
use serde::{Serialize, Serializer};

pub use self::mistake::PlanError;
use crate::rtp::Wiring;
use crate::stamp::STAMP_LEN;
use crate::v1::{Pass, Visitors};

/// Shortest load frame: a header, a stamp and a tag.
pub const FRAME_MIN: usize = HEADER_LEN + STAMP_LEN + TAG_LEN;
/// Longest load frame, as wire v0 has it.
pub const FRAME_MAX: usize = V0_FRAME_MAX;
/// What a load frame of wire v1 may be long: what its frames are padded to, from where there is room.
pub const V1_SIZES: &[usize] = V1_PADDED.split_at(1).1;
/// Most joins per second.
pub const JOIN_RATE_MAX: f64 = 10_000.0;
/// Of a connection's life, what is left for joining: a run makes no new keys on its way.
const JOINING_MAX: Duration = Duration::from_secs(600);
/// Most frames in one burst.
pub const BURST_MAX: u32 = 1_024;
/// Most sends (frames, or bursts) per second and sender.
pub const RATE_MAX: f64 = 1_000_000.0;
/// Longest run, and longest warm-up.
pub const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);
/// Memory the bookkeeping of arrivals may take, in bytes.
pub const MEMORY_MAX: u64 = 1 << 30;
/// Descriptors the process needs besides its sockets.
const DESCRIPTORS_SPARE: u64 = 32;
/// Seconds' worth of its sender's frames by which a frame may come after a later one. Older: lost. In wire v1
/// that is how long whole frames are kept, to know them again.
const REORDER_SECS: f64 = 4.0;
const REORDER_SECS_V1: f64 = 1.0;

/// The protocol that participants speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Nobody proves anything: a participant is an address.
    #[default]
    V0,
    /// Handshakes, sealed frames, a tag on everything.
    V1,
    /// Neither: RTP, to a relay that was told where from and where to.
    Rtp,
}

/// The shape of the traffic. It sets the class and the profile of the frames, and the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// Small frames at an even pace: class Perceptual, profile VoiceStandard.
    Voice,
    /// Bursts of large frames, one per picture: class Enhancement, profile VideoStandard.
    Video,
}

/// Everything a run needs to know. Start from [`Plan::voice`] or [`Plan::video`] and change fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// The relay.
    pub target: SocketAddr,
    /// What participants speak.
    pub wire: Wire,
    /// Wire v1: what lets them in. It says nothing of itself in a report.
    #[serde(skip)]
    pub pass: Option<Pass>,
    /// RTP: what the relay was told.
    pub wiring: Option<Wiring>,
    /// Wire v1: how they encrypt.
    #[serde(serialize_with = "as_name")]
    pub suite: Suite,
    /// Wire v1: further participants that come and go while the load runs, per second.
    #[serde(rename = "join_rate_per_s")]
    pub join_rate: Option<f64>,
    /// Wire v1: how long participants let small frames wait to share a datagram, in milliseconds.
    pub hold_ms: u8,
    /// What the frames are.
    pub model: Model,
    /// Sessions.
    pub sessions: u32,
    /// Participants of each session, one socket each.
    pub participants: u32,
    /// How many of them send; everyone receives from everyone else.
    pub senders: u32,
    /// Sends per second and sender: frames when `burst` is 1, otherwise bursts.
    #[serde(rename = "rate_per_s")]
    pub rate: f64,
    /// Bytes of a frame, header and tag included.
    #[serde(rename = "size_bytes")]
    pub size: usize,
    /// Frames of one send, all due at the same instant.
    #[serde(rename = "burst_frames")]
    pub burst: u32,
    /// The measured window.
    #[serde(rename = "duration_s", serialize_with = "as_secs")]
    pub duration: Duration,
    /// Load before the window that is not measured.
    #[serde(rename = "warmup_s", serialize_with = "as_secs")]
    pub warmup: Duration,
    /// How long to wait after the window for what is still under way.
    #[serde(rename = "drain_s", serialize_with = "as_secs")]
    pub drain: Duration,
    /// How often a silent member speaks up so that the relay does not forget it. `None`: so that
    /// keep-alives stay near 1 % of the load, between 2 and 20 seconds.
    #[serde(skip)]
    pub keep_alive: Option<Duration>,
    /// The relay's process on this machine, to know its cost.
    pub pid: Option<u32>,
    /// The cpu to pin the calling thread to.
    pub cpu: Option<usize>,
    /// Where the senders' phases come from.
    pub seed: u64,
    /// The first session's id; the others follow.
    pub first_session: u64,
    /// Hand a burst to the kernel as one train (UDP_SEGMENT), not frame by frame.
    pub gso: bool,
    /// Let the kernel hand us trains (UDP_GRO), not datagram by datagram.
    pub gro: bool,
    /// Once everyone is known, deliveries go elsewhere: expect none, and measure only what is sent.
    pub one_way: bool,
}

impl Plan {
    /// 100 sessions of 10, one sender each, 50 frames of 120 bytes per second.
    #[must_use]
    pub fn voice() -> Self {
        Self {
            target: SocketAddr::from(([127, 0, 0, 1], 7840)),
            wire: Wire::V0,
            pass: None,
            wiring: None,
            suite: Suite::AesGcm,
            join_rate: None,
            hold_ms: 0,
            model: Model::Voice,
            sessions: 100,
            participants: 10,
            senders: 1,
            rate: 50.0,
            size: 120,
            burst: 1,
            duration: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            drain: Duration::from_secs(1),
            keep_alive: None,
            pid: None,
            cpu: None,
            seed: 1,
            first_session: 1,
            gso: true,
            gro: true,
            one_way: false,
        }
    }

    /// 20 sessions of 10, one sender each, 30 bursts of 10 frames of 1,200 bytes per second.
    #[must_use]
    pub fn video() -> Self {
        Self {
            model: Model::Video,
            sessions: 20,
            rate: 30.0,
            size: 1_200,
            burst: 10,
            ..Self::voice()
        }
    }

    /// Members of all sessions together: the sockets a run opens.
    #[must_use]
    pub const fn members(&self) -> u64 {
        self.sessions as u64 * self.participants as u64
    }

    /// Frames per second that all senders together offer.
    #[must_use]
    pub fn frames_per_s(&self) -> f64 {
        f64::from(self.sessions) * f64::from(self.senders) * self.rate * f64::from(self.burst)
    }

    /// Copies that `frames` sent should become where we can hear them.
    pub(crate) fn copies(&self, frames: u64) -> u64 {
        if self.one_way { 0 } else { frames * u64::from(self.participants - 1) }
    }

    /// The time between two keep-alives of one member.
    #[must_use]
    pub fn keep_alive_period(&self) -> Duration {
        self.keep_alive.unwrap_or_else(|| {
            let one_percent = 100.0 * self.members() as f64 / self.frames_per_s();
            Duration::from_secs_f64(one_percent.clamp(2.0, 20.0))
        })
    }

    /// Frames of one sender that a receiver keeps apart: a power of two, at least 64.
    #[must_use]
    pub(crate) fn reorder_frames(&self) -> u64 {
        let seconds = match self.wire {
            _ if self.one_way => 0.0,
            Wire::V0 | Wire::Rtp => REORDER_SECS,
            Wire::V1 => REORDER_SECS_V1,
        };
        let frames = self.rate * f64::from(self.burst) * seconds;
        (frames as u64).next_power_of_two().max(64)
    }

    /// Whether this can be run here and now. Raises the descriptor limit as far as it goes.
    ///
    /// # Errors
    /// The first mistake found.
    pub fn validate(&self) -> Result<(), PlanError> {
        self.validate_shape()?;
        match self.wire {
            Wire::V1 => self.validate_v1()?,
            _ if self.join_rate.is_some() => return Err(PlanError::NoVisitors),
            _ if self.hold_ms > 0 => return Err(PlanError::NoHold),
            Wire::V0 => {}
            Wire::Rtp => self.validate_rtp()?,
        }
        self.validate_time()?;
        self.validate_machine()
    }

    fn validate_shape(&self) -> Result<(), PlanError> {
        if self.target.port() == 0 || self.target.ip().is_unspecified() {
            return Err(PlanError::Target(self.target));
        }
        if self.sessions == 0 {
            return Err(PlanError::NoSessions);
        }
        if self.participants < 2 {
            return Err(PlanError::Alone(self.participants));
        }
        if self.senders == 0 || self.senders > self.participants {
            return Err(PlanError::Senders {
                senders: self.senders,
                participants: self.participants,
            });
        }
        if !(FRAME_MIN..=FRAME_MAX).contains(&self.size) {
            return Err(PlanError::Size(self.size));
        }
        if !(1..=BURST_MAX).contains(&self.burst) {
            return Err(PlanError::Burst(self.burst));
        }
        let sessions = u64::from(self.sessions);
        let Some(last) = self.first_session.checked_add(sessions - 1) else {
            return Err(PlanError::SessionsOverflow { first: self.first_session, sessions });
        };
        match first_reserved(self.first_session) {
            Some(reserved) if reserved <= last => {
                Err(PlanError::ReservedSession(SessionId(reserved)))
            }
            _ => Ok(()),
        }
    }

    fn validate_v1(&self) -> Result<(), PlanError> {
        let Some(pass) = &self.pass else { return Err(PlanError::NoPass) };
        if let Some((session, count)) = pass.given() {
            if self.members() != count as u64 || self.sessions != 1 {
                return Err(PlanError::Addresses { count, members: self.members() });
            }
            if self.join_rate.is_some() {
                return Err(PlanError::VisitorsUninvited);
            }
            if session.0 != self.first_session {
                return Err(PlanError::OtherSession(session));
            }
        }
        if self.hold_ms > HOLD_MS_MAX {
            return Err(PlanError::Hold(self.hold_ms));
        }
        if !V1_SIZES.contains(&self.size) {
            return Err(PlanError::Unpadded(self.size));
        }
        if self.participants > u32::from(u16::MAX) {
            return Err(PlanError::Places(self.participants));
        }
        let pace = self.rate * f64::from(self.burst);
        if pace > f64::from(u16::MAX) {
            return Err(PlanError::Pace(pace));
        }
        if let Some(rate) = self.join_rate
            && !(0.1..=JOIN_RATE_MAX).contains(&rate)
        {
            return Err(PlanError::JoinRate(rate));
        }
        let longest = Duration::from_nanos(CONNECTION_LIFE.as_nanos()) - JOINING_MAX;
        let run = self.warmup.saturating_add(self.duration);
        if run > longest || pace * run.as_secs_f64() > REKEY_FRAMES as f64 {
            return Err(PlanError::Rekey(longest));
        }
        Ok(())
    }

    fn validate_rtp(&self) -> Result<(), PlanError> {
        let Some(Wiring { to, first_port }) = &self.wiring else { return Err(PlanError::NoWiring) };
        if to.len() as u64 != u64::from(self.sessions) {
            return Err(PlanError::Wires { wires: to.len(), sessions: self.sessions });
        }
        if self.senders != 1 {
            return Err(PlanError::Voices(self.senders));
        }
        let last = u64::from(*first_port) + self.members() - 1;
        if *first_port == 0 || last > u64::from(u16::MAX) {
            return Err(PlanError::Ports { first: *first_port, members: self.members() });
        }
        let unreachable = |addr: &&SocketAddr| addr.port() == 0 || addr.ip().is_unspecified();
        to.iter().find(unreachable).map_or(Ok(()), |addr| Err(PlanError::Target(*addr)))
    }

    /// Participants that come and go besides the members.
    fn visitors(&self) -> u64 {
        self.join_rate.map_or(0, |rate| u64::from(Visitors::count(rate)))
    }

    fn validate_time(&self) -> Result<(), PlanError> {
        if !(0.001..=RATE_MAX).contains(&self.rate) {
            return Err(PlanError::Rate(self.rate));
        }
        for (flag, span, shortest) in [
            ("--duration", self.duration, Duration::from_millis(100)),
            ("--warmup", self.warmup, Duration::ZERO),
        ] {
            if span < shortest || span > DURATION_MAX {
                return Err(PlanError::Time { flag, span, shortest });
            }
        }
        if self.keep_alive.is_some_and(|period| period < Duration::from_millis(10)) {
            return Err(PlanError::KeepAlive);
        }
        let seconds = (self.warmup + self.duration).as_secs_f64();
        if self.rate * f64::from(self.burst) * seconds >= f64::from(u32::MAX) {
            return Err(PlanError::TooManyFrames);
        }
        Ok(())
    }

    fn validate_machine(&self) -> Result<(), PlanError> {
        let limit = cpu::raise_descriptor_limit();
        let most = limit.saturating_sub(DESCRIPTORS_SPARE);
        let sockets = self.members() + self.visitors();
        if sockets > most {
            return Err(PlanError::Descriptors { sockets, most });
        }
        let pairs = self.members() * u64::from(self.senders);
        let mut bytes = pairs.saturating_mul(self.reorder_frames() / 8);
        if self.wire == Wire::V1 {
            let speakers = u64::from(self.sessions) * u64::from(self.senders);
            let kept = self.reorder_frames().saturating_mul(self.size as u64);
            bytes = bytes.saturating_add(speakers.saturating_mul(kept));
        }
        if bytes > MEMORY_MAX {
            return Err(PlanError::Memory(bytes));
        }
        if let Some(pid) = self.pid
            // Thread ids have a /proc entry too, but only a process has a clock of all its threads.
            && (!Path::new(&format!("/proc/{pid}")).exists() || cpu::process_cpu_nanos(pid).is_err())
        {
            return Err(PlanError::NoProcess(pid));
        }
        if let Some(wanted) = self.cpu {
            let allowed = cpu::allowed();
            if !allowed.contains(&wanted) {
                return Err(PlanError::NoCpu { wanted, allowed });
            }
        }
        Ok(())
    }

    /// What the relay was told, where that is how it knows whom to forward to.
    pub(crate) fn wired(&self) -> Option<&Wiring> {
        self.wiring.as_ref().filter(|_| self.wire == Wire::Rtp)
    }

    /// The ports the relay hears the load at.
    pub(crate) fn relay_ports(&self) -> Vec<u16> {
        let ports = |wiring: &Wiring| wiring.to.iter().map(SocketAddr::port).collect();
        self.wired().map_or_else(|| vec![self.target.port()], ports)
    }

    /// Frames one send to the kernel carries when trains are allowed.
    pub(crate) fn frames_per_train(&self) -> usize {
        (DATAGRAM_MAX / self.size).min(SEGMENTS_MAX)
    }
}

/// The first session id from `first` on that looks like STUN.
fn first_reserved(first: u64) -> Option<u64> {
    let near = first & !u64::from(u32::MAX) | u64::from(RESERVED_SESSION_LOW);
    if near >= first { Some(near) } else { near.checked_add(1 << 32) }
}

fn as_name<S: Serializer>(suite: &Suite, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match suite {
        Suite::AesGcm => "aes_gcm",
        Suite::ChaChaPoly => "chacha_poly",
    })
}

fn as_secs<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(span.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_can_be_run_as_they_are() {
        assert_eq!(Plan::voice().validate(), Ok(()));
        assert_eq!(Plan::video().validate(), Ok(()));
        assert_eq!(Plan::voice().frames_per_s(), 5_000.0);
        assert_eq!(Plan::video().frames_per_s(), 6_000.0);
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        for size in [FRAME_MIN, FRAME_MAX] {
            assert_eq!(Plan { size, ..Plan::voice() }.validate(), Ok(()));
        }
        let first_session = 0x42A4_1222;
        assert_eq!(Plan { first_session, ..Plan::voice() }.validate(), Ok(()));
        let first_session = u64::MAX - 99;
        assert_eq!(Plan { first_session, ..Plan::voice() }.validate(), Ok(()));
        let pid = Some(std::process::id());
        assert_eq!(Plan { pid, senders: 10, ..Plan::voice() }.validate(), Ok(()));
    }

    #[test]
    fn keep_alives_stay_rare() {
        assert_eq!(Plan::voice().keep_alive_period(), Duration::from_secs(20));
        let busy = Plan { rate: 10_000.0, ..Plan::voice() };
        assert_eq!(busy.keep_alive_period(), Duration::from_secs(2));
        let told = Plan { keep_alive: Some(Duration::from_secs(5)), ..Plan::voice() };
        assert_eq!(told.keep_alive_period(), Duration::from_secs(5));
    }
}
