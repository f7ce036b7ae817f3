//! The shapes of traffic that are measured, and how a relay sends them.

use std::fmt;

use clap::ValueEnum;

use super::forwarder::Technique;

/// A shape of traffic, from docs/PERFORMANCE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Workload {
    /// 100 sessions of 10, one speaking, 50 frames of 120 B a second.
    #[value(name = "voice")]
    Voice,
    /// The same with three speaking.
    #[value(name = "voice3")]
    Voice3,
    /// One session of 50, all speaking.
    #[value(name = "bigroom")]
    Bigroom,
    /// 20 sessions of 10, one sending 30 bursts a second of 10 frames of 1,200 B.
    #[value(name = "video")]
    Video,
    /// One such sender, 1,000 receivers.
    #[value(name = "livestream")]
    Livestream,
    /// 1,000 sessions of two, one speaking, 50 frames of 120 B a second.
    #[value(name = "pair")]
    Pair,
    /// The same with frames of 1,200 B.
    #[value(name = "pair-large")]
    PairLarge,
}

/// The numbers of a shape.
pub(super) struct Shape {
    model: &'static str,
    pub(super) sessions: u32,
    pub(super) participants: u32,
    pub(super) senders: u32,
    pub(super) burst: u32,
}

impl Workload {
    /// Sends per second and sender, as people would have it.
    pub(super) const fn rate(self) -> f64 {
        match self {
            Self::Video | Self::Livestream => 30.0,
            _ => 50.0,
        }
    }

    /// Bytes of a frame; wire v1 has its own idea of a large one.
    pub(super) const fn size(self) -> usize {
        match self {
            Self::Video | Self::Livestream | Self::PairLarge => 1_200,
            _ => 120,
        }
    }

    pub(super) const fn shape(self) -> Shape {
        let (model, sessions, participants, senders, burst) = match self {
            Self::Voice => ("voice", 100, 10, 1, 1),
            Self::Voice3 => ("voice", 100, 10, 3, 1),
            Self::Bigroom => ("voice", 1, 50, 50, 1),
            Self::Video => ("video", 20, 10, 1, 10),
            Self::Livestream => ("video", 1, 1_001, 1, 10),
            Self::Pair => ("voice", 1_000, 2, 1, 1),
            Self::PairLarge => ("video", 1_000, 2, 1, 1),
        };
        Shape { model, sessions, participants, senders, burst }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Voice3 => "voice3",
            Self::Bigroom => "bigroom",
            Self::Video => "video",
            Self::Livestream => "livestream",
            Self::Pair => "pair",
            Self::PairLarge => "pair-large",
        }
    }
}

impl Shape {
    /// The same in so many sessions.
    pub(super) const fn in_sessions(self, sessions: u32) -> Self {
        Self { sessions, ..self }
    }

    /// As the load generator is told.
    pub(super) fn arguments(&self) -> Vec<String> {
        let Self { model, sessions, participants, senders, burst } = self;
        let mut arguments = vec!["--model".to_owned(), (*model).to_owned()];
        for (flag, value) in [
            ("--sessions", sessions),
            ("--participants", participants),
            ("--senders", senders),
            ("--burst", burst),
        ] {
            arguments.extend([flag.to_owned(), value.to_string()]);
        }
        arguments
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the participants speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Wire {
    V0,
    V1,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V0 => "v0",
            Self::V1 => "v1",
        })
    }
}

/// How a receiver's frames leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Each in a send of its own.
    Single,
    /// What came in a turn in one send (UDP_SEGMENT).
    Gather,
    /// What came within a moment in one datagram.
    Bundle,
}

/// What the relay runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Io {
    /// io_uring.
    Uring,
    /// recvmmsg and sendmmsg.
    Syscall,
}

impl Io {
    /// The floor that uses the kernel the same way.
    pub(super) const fn technique(self, manner: Manner) -> Technique {
        match (self, manner) {
            (Self::Uring, Manner::Single) => Technique::IoUring,
            (Self::Uring, Manner::Gather) => Technique::UringGso,
            (Self::Uring, Manner::Bundle) => Technique::UringBundle,
            (Self::Syscall, Manner::Single) => Technique::Mmsg,
            (Self::Syscall, Manner::Gather) => Technique::MmsgGso,
            (Self::Syscall, Manner::Bundle) => Technique::MmsgBundle,
        }
    }
}

impl fmt::Display for Io {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uring => "uring",
            Self::Syscall => "syscall",
        })
    }
}

/// A workload in a wire: what one row of the report is about, and its floor knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) workload: Workload,
    pub(super) wire: Wire,
    /// How long receivers let small frames wait, in milliseconds.
    pub(super) hold_ms: u8,
}

impl Case {
    /// Over wire v0.
    pub(super) const fn v0(workload: Workload) -> Self {
        Self { workload, wire: Wire::V0, hold_ms: 0 }
    }

    /// Every case of these: where frames may wait, without and with waiting.
    pub(super) fn all(workloads: &[Workload], wires: &[Wire]) -> Vec<Self> {
        let mut cases = Vec::new();
        for workload in workloads.iter().copied() {
            for wire in wires.iter().copied() {
                let holds: &[u8] = match (workload, wire) {
                    (Workload::Bigroom, Wire::V1) => &[0, 1, 5],
                    _ => &[0],
                };
                cases.extend(holds.iter().map(|hold_ms| Self {
                    workload,
                    wire,
                    hold_ms: *hold_ms,
                }));
            }
        }
        cases
    }

    /// Bytes of a frame. Wire v1 pads, and 1,200 is none of its lengths.
    pub(super) const fn size(self) -> usize {
        match (self.wire, self.workload.size()) {
            (Wire::V1, 1_200) => 1_232,
            (_, size) => size,
        }
    }

    /// How the relay sends here, and so its floor.
    pub(super) const fn manner(self) -> Manner {
        match self.workload {
            _ if self.hold_ms > 0 => Manner::Bundle,
            Workload::Voice | Workload::Pair | Workload::PairLarge => Manner::Single,
            Workload::Voice3 | Workload::Bigroom | Workload::Video | Workload::Livestream => {
                Manner::Gather
            }
        }
    }

    /// The workload, and how long its frames may wait where that is asked.
    pub(super) fn name(self) -> String {
        match (self.workload, self.wire) {
            (Workload::Bigroom, Wire::V1) => format!("{}, hold {} ms", self.workload, self.hold_ms),
            _ => self.workload.to_string(),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name(), self.wire)
    }
}

#[cfg(test)]
mod tests {
    use elara_core::limits::{BUNDLE_FRAMES_MIN, V1_PADDED};

    use super::*;

    #[test]
    fn every_workload_has_the_name_it_is_typed_with() {
        for workload in Workload::value_variants() {
            assert_eq!(workload.name(), workload.to_possible_value().unwrap().get_name());
        }
    }

    #[test]
    fn a_case_is_a_workload_in_a_wire_and_a_big_room_waits_three_ways() {
        let all = Case::all(Workload::value_variants(), Wire::value_variants());
        assert_eq!(all.len(), 2 * 7 + 2);
        for case in &all {
            let padded = V1_PADDED.contains(&case.size());
            assert!(case.wire == Wire::V0 || padded, "{case}");
            assert!(case.hold_ms == 0 || case.size() * BUNDLE_FRAMES_MIN < V1_PADDED[8], "{case}");
        }
        let names: Vec<String> = Case::all(&[Workload::Bigroom], Wire::value_variants())
            .iter()
            .map(|case| format!("{case}, {:?}", case.manner()))
            .collect();
        assert_eq!(
            names,
            [
                "bigroom v0, Gather",
                "bigroom, hold 0 ms v1, Gather",
                "bigroom, hold 1 ms v1, Bundle",
                "bigroom, hold 5 ms v1, Bundle",
            ]
        );
    }

    #[test]
    fn a_floor_uses_the_kernel_as_the_relay_does() {
        let single = Case::v0(Workload::Pair).manner();
        assert_eq!(Io::Uring.technique(single), Technique::IoUring);
        let gather = Case::v0(Workload::Livestream).manner();
        assert_eq!(Io::Syscall.technique(gather), Technique::MmsgGso);
    }
}
