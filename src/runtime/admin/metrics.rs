//! The counters as Prometheus reads them (text format 0.0.4): each with its help, none ever missing.
//!
//! A verdict that was never given is there as zero, so that a dashboard can be made before anything has
//! gone wrong. The labels are `shard` and `verdict`, both bounded; nothing a stranger sends becomes one.

use std::fmt::{Display, Write};

use elara_shards::io::Backend;
use elara_shards::{Counters, Verdict};

use super::About;

/// What the page is.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

/// One number of a shard.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    read: fn(&Counters) -> u64,
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Counters) -> u64) -> Metric {
    Metric { name, kind: Kind::Counter, help, read }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Counters) -> u64) -> Metric {
    Metric { name, kind: Kind::Gauge, help, read }
}

/// Every number of a shard but its verdicts.
const METRICS: &[Metric] = &[
    counter(
        "elara_received_datagrams_total",
        "Datagrams taken from the socket: the sum of elara_datagrams_total and elara_hellos_waiting.",
        |shard| shard.datagrams,
    ),
    counter(
        "elara_received_bytes_total",
        "Bytes of the datagrams taken from the socket.",
        |shard| shard.bytes,
    ),
    counter(
        "elara_received_trains_total",
        "Messages taken from the socket; datagrams the kernel glued together are one.",
        |shard| shard.trains,
    ),
    counter(
        "elara_frames_total",
        "Data frames of wire v1 that verified, those in bundles one by one.",
        |shard| shard.frames,
    ),
    counter("elara_handshakes_total", "HELLOs that were computed.", |shard| shard.handshakes),
    counter(
        "elara_control_faults_total",
        "Malformed messages in control frames, stepped over.",
        |shard| shard.control_faults,
    ),
    counter(
        "elara_control_sent_total",
        "Control frames to participants, part of elara_copies_total.",
        |shard| shard.control_sent,
    ),
    counter(
        "elara_answers_sent_total",
        "Answers to strangers (WELCOME, RETRY, BUSY, RESET), part of elara_copies_total.",
        |shard| shard.answers_sent,
    ),
    counter("elara_answer_bytes_total", "Bytes of the answers to strangers.", |shard| {
        shard.answer_bytes
    }),
    counter(
        "elara_copies_total",
        "Datagrams to be sent: the sum of those sent, busy and failed, once the shard has settled.",
        |shard| shard.copies,
    ),
    counter(
        "elara_copied_frames_total",
        "Data frames in the datagrams to be sent: a bundle carries several.",
        |shard| shard.copied_frames,
    ),
    counter("elara_copies_sent_total", "Datagrams the kernel took for sending.", |shard| {
        shard.egress.sent
    }),
    counter(
        "elara_copies_busy_total",
        "Datagrams dropped because the socket's send buffer was full.",
        |shard| shard.egress.busy,
    ),
    counter(
        "elara_copies_failed_total",
        "Datagrams the kernel refused for another reason, such as no route.",
        |shard| shard.egress.failed,
    ),
    counter("elara_sent_bytes_total", "Bytes of the datagrams the kernel took.", |shard| {
        shard.egress.bytes
    }),
    counter("elara_cycles_total", "Passes of the shard's loop.", |shard| shard.cycles),
    counter(
        "elara_overruns_total",
        "Cycles that ended with datagrams still waiting in the kernel.",
        |shard| shard.overruns,
    ),
    counter("elara_starved_total", "Times the shard ran out of receive buffers.", |shard| {
        shard.starved
    }),
    counter(
        "elara_receive_overflow_total",
        "Messages the kernel dropped because the receive queue was full; a glued train is one.",
        |shard| shard.overflowed,
    ),
    gauge(
        "elara_load_permille",
        "How much of a cpu the shard worked lately; 1000 while it loses datagrams, either way.",
        |shard| shard.load,
    ),
    counter("elara_commands_total", "Commands taken from the control side.", |shard| {
        shard.commands
    }),
    counter(
        "elara_notices_lost_total",
        "Notices dropped because the control side did not fetch them in time.",
        |shard| shard.notices_lost,
    ),
    counter("elara_participants_joined_total", "Participants that joined.", |shard| shard.joined),
    counter(
        "elara_participants_moved_total",
        "Participants that came back from another address.",
        |shard| shard.moved,
    ),
    counter("elara_participants_left_total", "Participants that were forgotten.", |shard| {
        shard.left
    }),
    gauge("elara_hellos_waiting", "HELLOs that wait for their turn.", |shard| shard.hellos_waiting),
    gauge("elara_half_open", "Participants that were welcomed and have not spoken.", |shard| {
        shard.half_open
    }),
    gauge("elara_sessions", "Sessions there are.", |shard| shard.sessions),
    gauge("elara_participants", "Participants there are.", |shard| shard.participants),
    counter(
        "elara_turn_relayed_datagrams_total",
        "Datagrams passed on between TURN clients and their peers, either way.",
        |shard| shard.relayed,
    ),
    counter(
        "elara_turn_relayed_bytes_total",
        "Bytes of those datagrams, without what TURN adds.",
        |shard| shard.relayed_bytes,
    ),
    gauge("elara_turn_allocations", "TURN allocations there are.", |shard| shard.allocations),
    gauge("elara_turn_permissions", "Permissions of TURN allocations.", |shard| shard.permissions),
    gauge("elara_turn_channels", "Channels of TURN allocations.", |shard| shard.channels),
];

/// All there is to know about a node, in shard order.
pub(super) fn page(about: &About, started_s: u64, shards: &[Counters]) -> String {
    // Some 60 bytes a line.
    let mut page = Page(String::with_capacity(64 * (shards.len() + 2) * (50 + Verdict::COUNT)));
    page.head("elara_build_info", Kind::Gauge, "Which elara this is.");
    page.line("elara_build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.head("elara_node_info", Kind::Gauge, "Which node this is.");
    let io = match about.backend {
        Backend::Uring => "io_uring",
        Backend::Syscall => "syscall",
    };
    let node: [(&str, &dyn Display); 3] =
        [("node_id", &about.node), ("listen", &about.listen), ("io", &io)];
    page.line("elara_node_info", &node, 1);
    page.head("elara_start_time_seconds", Kind::Gauge, "When it started, in seconds since 1970.");
    page.line("elara_start_time_seconds", &[], started_s);

    page.head("elara_datagrams_total", Kind::Counter, "What became of each datagram taken in.");
    for (shard, counters) in shards.iter().enumerate() {
        for verdict in Verdict::ALL {
            let labels: [(&str, &dyn Display); 2] =
                [("shard", &shard), ("verdict", &verdict.label())];
            page.line("elara_datagrams_total", &labels, counters.of(*verdict));
        }
    }
    for metric in METRICS {
        page.head(metric.name, metric.kind, metric.help);
        for (shard, counters) in shards.iter().enumerate() {
            page.line(metric.name, &[("shard", &shard)], (metric.read)(counters));
        }
    }
    page.0
}

struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Values of labels are our own words and need no quoting.
    fn line(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: u64) {
        self.write(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            self.write(format_args!("{before}{label}=\"{text}\""));
        }
        let end = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{end} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a string takes what is written");
    }
}

#[cfg(test)]
mod tests {
    use elara_core::NodeId;
    use elara_shards::counters::Egress;

    use super::*;

    fn page_of(shards: &[Counters]) -> String {
        let about = About {
            node: NodeId(0xff),
            listen: "127.0.0.1:7840".parse().unwrap(),
            backend: Backend::Uring,
        };
        page(&about, 5, shards)
    }

    /// A counter that is added to the shard and forgotten here does not compile, or is not found.
    #[test]
    fn every_counter_is_published() {
        let mut next = 1_000;
        let mut fresh = || {
            next += 1;
            next
        };
        let mut shard = Counters { datagrams: fresh(), bytes: fresh(), ..Counters::default() };
        let Counters {
            datagrams: _,
            bytes: _,
            trains,
            verdicts: _,
            copies,
            copied_frames,
            egress: Egress { sent, bytes, busy, failed },
            cycles,
            overruns,
            starved,
            overflowed,
            load,
            commands,
            notices_lost,
            joined,
            moved,
            left,
            sessions,
            frames,
            handshakes,
            control_faults,
            control_sent,
            answers_sent,
            answer_bytes,
            hellos_waiting,
            half_open,
            participants,
            relayed,
            relayed_bytes,
            allocations,
            permissions,
            channels,
        } = &mut shard;
        for number in [
            trains,
            copies,
            copied_frames,
            sent,
            bytes,
            busy,
            failed,
            cycles,
            overruns,
            starved,
            overflowed,
            load,
            commands,
            notices_lost,
            joined,
            moved,
            left,
            sessions,
            frames,
            handshakes,
            control_faults,
            control_sent,
            answers_sent,
            answer_bytes,
            hellos_waiting,
            half_open,
            participants,
            relayed,
            relayed_bytes,
            allocations,
            permissions,
            channels,
        ] {
            *number = fresh();
        }
        let page = page_of(&[shard]);
        for number in 1_001..=1_034 {
            assert_eq!(page.matches(&format!(" {number}\n")).count(), 1, "{number} in {page}");
        }
    }

    #[test]
    fn every_verdict_of_every_shard_is_there_even_when_it_is_zero() {
        let mut busy = Counters::default();
        busy.count(Verdict::Forwarded);
        let page = page_of(&[Counters::default(), busy]);
        for verdict in Verdict::ALL {
            for shard in 0..2 {
                let given = u64::from(shard == 1 && *verdict == Verdict::Forwarded);
                let label = verdict.label();
                let line = format!(
                    "elara_datagrams_total{{shard=\"{shard}\",verdict=\"{label}\"}} {given}\n"
                );
                assert!(page.contains(&line), "{line}");
            }
        }
    }

    #[test]
    fn the_page_says_which_node_it_is_about() {
        let page = page_of(&[]);
        let version = env!("CARGO_PKG_VERSION");
        assert!(page.contains(&format!("elara_build_info{{version=\"{version}\"}} 1\n")));
        assert!(page.contains(
            "elara_node_info{node_id=\"00000000000000ff\",listen=\"127.0.0.1:7840\",io=\"io_uring\"} 1\n"
        ));
        assert!(
            page.contains("# TYPE elara_start_time_seconds gauge\nelara_start_time_seconds 5\n")
        );
    }
}
