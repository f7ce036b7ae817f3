//! What a run found: numbers for machines (serde), a small table for people (`Display`).
//!
//! Field names carry their units and are stable. Frames are what senders send; datagrams are what
//! receivers get, so one frame should become `participants - 1` datagrams.

use std::fmt;

use elara_core::time::Span;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::plan::{Model, Plan, Wire};
use crate::tally::Tally;
use crate::v1::Joins;

/// Sends later than this, at the 99th percentile, and the load is not what the plan says, in ns.
const LATE: u64 = 5_000_000;
/// A thread that uses this much of a cpu has no time left.
const BUSY: f64 = 0.95;

/// The result of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What was asked for.
    pub plan: Plan,
    /// The run was stopped before its time.
    pub ended_early: bool,
    /// The measured window as it was, in seconds.
    pub measured_s: f64,
    /// Frames due in the window.
    pub offered: u64,
    /// The same per second.
    pub offered_per_s: f64,
    /// Of these, frames the kernel did not take, or that were not sent when the drain ended.
    pub unsent: u64,
    /// Frames that should have arrived: those sent x (participants - 1); none when the run is one-way.
    pub expected: u64,
    /// Datagrams that arrived as they should, in the window or the drain, each counted once.
    pub delivered: u64,
    /// Load datagrams that arrived inside the window, per second, whenever they were due: what the
    /// relay sustained, which under overload is less than what it was offered.
    pub delivered_per_s: f64,
    /// The same in bits per second of UDP payload.
    pub delivered_bits_per_s: f64,
    /// Delivered after the window: still queued somewhere when it ended.
    pub in_flight_at_end: u64,
    /// Expected and not delivered.
    pub lost: u64,
    /// `lost / expected`.
    pub loss_ratio: f64,
    /// Further copies of delivered datagrams.
    pub duplicates: u64,
    /// Delivered after a later one of the same sender (RFC 4737).
    pub reordered: u64,
    /// Lost, but arrived more than four seconds' worth of frames later (in wire v1 one second's).
    pub too_late: u64,
    /// Frames of one session at a socket of another. Must be 0.
    pub wrong_session: u64,
    /// Frames not as they were sent. Must be 0.
    pub corrupt: u64,
    /// Frames that came back to their sender. Must be 0.
    pub echoed: u64,
    /// Frames of another run: another generator used the same sessions. Must be 0.
    pub foreign: u64,
    /// Keep-alives sent beside the load, warm-up included.
    pub keep_alives: u64,
    /// Members that no introduction made known to the relay, or that it did not let in.
    pub members_silent: u32,
    /// Wire v1: control frames that arrived.
    pub control: u64,
    /// Wire v1: control frames with an ALERT: the relay did not like what was sent. Must be 0.
    pub alerts: u64,
    /// Wire v1: members sent away. Must be 0.
    pub kicked: u64,
    /// Wire v1: how the members came in, before the load.
    pub joins: Option<Joins>,
    /// Wire v1: how those came in who came and went while the load ran.
    pub visits: Option<Joins>,
    /// From scheduled send to arrival; null when nothing arrived.
    pub latency_ns: Option<Quantiles>,
    /// From scheduled send to actual send; null when nothing was sent.
    pub send_lateness_ns: Option<Quantiles>,
    /// User and system time of the relay's process from the window's begin to the drain's end.
    pub relay_cpu_ns: Option<u64>,
    /// Datagrams that came from the relay in that time as they should: keep-alives included, repeated,
    /// strayed and damaged ones not.
    pub relay_datagrams: u64,
    /// The cost: `relay_cpu_ns / relay_datagrams`.
    pub relay_cpu_ns_per_delivered: Option<f64>,
    /// Cpus the relay used during the window (1.0: one whole cpu).
    pub relay_cpu_share: Option<f64>,
    /// Datagrams dropped at the relay's own port, full receive buffer; null when it is elsewhere.
    pub relay_socket_drops: Option<u64>,
    /// Share of a cpu this generator's thread used during the window.
    pub generator_cpu_share: f64,
    /// Wire v1: share of a cpu its visitors' thread used while they came and went.
    pub visitors_cpu_share: Option<f64>,
    /// Datagrams dropped at our own sockets, full receive buffer.
    pub generator_socket_drops: Option<u64>,
    /// Frames our own send buffers had no room for.
    pub generator_send_busy: u64,
    /// Why the generator, and not only the relay, limited what was measured; null when it did not.
    pub bottleneck: Option<Vec<Bottleneck>>,
}

/// A distribution of times, in nanoseconds, to three significant digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Quantiles {
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// 99.9th percentile.
    pub p999: u64,
    /// The longest.
    pub max: u64,
}

/// In which way the generator itself was too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bottleneck {
    /// Its thread used at least 95 % of its cpu.
    Cpu,
    /// One send in a hundred was more than 5 ms late.
    LateSends,
    /// Its send buffers were full.
    SendBuffer,
    /// Its sockets overflowed.
    ReceiveDrops,
}

/// What [`Tally`] does not know.
pub(crate) struct Outcome {
    pub(crate) stopped: bool,
    /// The window as it was planned, or cut short.
    pub(crate) window: Span,
    /// Between the readings of the clocks at its begin and its end.
    pub(crate) measured: Span,
    /// Of the delivered, those that arrived before the window ended.
    pub(crate) delivered_in_window: u64,
    /// Load datagrams that arrived in the window, those due before it included.
    pub(crate) arrived_in_window: u64,
    pub(crate) own_cpu: u64,
    pub(crate) relay_cpu_in_window: Option<u64>,
    pub(crate) relay_cpu: Option<u64>,
    pub(crate) relay_datagrams: u64,
    pub(crate) keep_alives: u64,
    pub(crate) silent: u32,
    pub(crate) joins: Option<Joins>,
    pub(crate) visits: Option<Joins>,
    pub(crate) visitors_cpu: u64,
    pub(crate) own_drops: Option<u64>,
    pub(crate) relay_drops: Option<u64>,
}

impl Report {
    pub(crate) fn new(plan: &Plan, tally: &Tally, outcome: &Outcome) -> Self {
        let counts = &tally.counts;
        let measured_ns = outcome.measured.as_nanos().max(1);
        let per_s = |count: u64| count as f64 * 1e9 / measured_ns as f64;
        let share = |cpu: u64| cpu as f64 / measured_ns as f64;
        let ratio =
            |part: f64, whole: u64| if whole == 0 { None } else { Some(part / whole as f64) };
        let expected = plan.copies(counts.sent);
        let lost = expected.saturating_sub(counts.delivered);
        let delivered_per_s = per_s(outcome.arrived_in_window);
        let mut report = Self {
            plan: plan.clone(),
            ended_early: outcome.stopped,
            measured_s: measured_ns as f64 / 1e9,
            offered: counts.offered,
            offered_per_s: counts.offered as f64 * 1e9 / outcome.window.as_nanos().max(1) as f64,
            unsent: counts.offered - counts.sent,
            expected,
            delivered: counts.delivered,
            delivered_per_s,
            delivered_bits_per_s: delivered_per_s * plan.size as f64 * 8.0,
            in_flight_at_end: counts.delivered - outcome.delivered_in_window,
            lost,
            loss_ratio: ratio(lost as f64, expected).unwrap_or(0.0),
            duplicates: counts.duplicates,
            reordered: counts.reordered,
            too_late: counts.too_late,
            wrong_session: counts.wrong_session,
            corrupt: counts.corrupt,
            echoed: counts.echoed,
            foreign: counts.foreign,
            keep_alives: outcome.keep_alives,
            members_silent: outcome.silent,
            control: counts.control,
            alerts: counts.alerts,
            kicked: counts.kicked,
            joins: outcome.joins,
            visits: outcome.visits,
            latency_ns: Quantiles::of(&tally.latency),
            send_lateness_ns: Quantiles::of(&tally.lateness),
            relay_cpu_ns: outcome.relay_cpu,
            relay_datagrams: outcome.relay_datagrams,
            relay_cpu_ns_per_delivered: outcome
                .relay_cpu
                .and_then(|cpu| ratio(cpu as f64, outcome.relay_datagrams)),
            relay_cpu_share: outcome.relay_cpu_in_window.map(share),
            relay_socket_drops: outcome.relay_drops,
            generator_cpu_share: share(outcome.own_cpu),
            visitors_cpu_share: outcome
                .visits
                .map(|visits| outcome.visitors_cpu as f64 / 1e9 / visits.took_s.max(1e-9)),
            generator_socket_drops: outcome.own_drops,
            generator_send_busy: counts.busy,
            bottleneck: None,
        };
        report.bottleneck = report.limits();
        report
    }

    fn limits(&self) -> Option<Vec<Bottleneck>> {
        let late = self.send_lateness_ns.is_some_and(|late| late.p99 > LATE);
        let reasons: Vec<_> = [
            (self.cpu_share() >= BUSY, Bottleneck::Cpu),
            (late, Bottleneck::LateSends),
            (self.generator_send_busy > 0, Bottleneck::SendBuffer),
            (self.generator_socket_drops.is_some_and(|drops| drops > 0), Bottleneck::ReceiveDrops),
        ]
        .into_iter()
        .filter_map(|(holds, reason)| holds.then_some(reason))
        .collect();
        (!reasons.is_empty()).then_some(reasons)
    }

    /// What the generator used of its cpu, visitors included.
    fn cpu_share(&self) -> f64 {
        self.generator_cpu_share + self.visitors_cpu_share.unwrap_or(0.0)
    }

    /// The sentence that says in which way the generator was the limit.
    fn limit_sentence(&self, reasons: &[Bottleneck]) -> String {
        let clauses: Vec<String> = reasons
            .iter()
            .map(|reason| match reason {
                Bottleneck::Cpu => {
                    format!("it used {:.0} % of its cpu", self.cpu_share() * 100.0)
                }
                Bottleneck::LateSends => format!(
                    "one frame in a hundred left {} late or later",
                    self.send_lateness_ns.map_or_else(String::new, |late| time(late.p99))
                ),
                Bottleneck::SendBuffer => format!(
                    "its send buffers had no room for {} frames",
                    grouped(self.generator_send_busy)
                ),
                Bottleneck::ReceiveDrops => format!(
                    "its own sockets overflowed by {} datagrams",
                    grouped(self.generator_socket_drops.unwrap_or(0))
                ),
            })
            .collect();
        format!(
            "The generator was a limit: {}. Loss and latency are not the relay's alone; lower the \
             load or give the generator its own cpu.",
            clauses.join(", ")
        )
    }
}

impl Quantiles {
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile| histogram.value_at_quantile(quantile);
        (!histogram.is_empty()).then(|| Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        let (model, sends) = match (plan.model, plan.burst) {
            (Model::Voice, 1) => ("voice", format!("{} frames/s", plan.rate)),
            (Model::Video, 1) => ("video", format!("{} frames/s", plan.rate)),
            (Model::Voice, burst) => ("voice", format!("{} bursts/s x {burst} frames", plan.rate)),
            (Model::Video, burst) => ("video", format!("{} bursts/s x {burst} frames", plan.rate)),
        };
        writeln!(
            f,
            "{model} over {} to {}: {} sessions x {} participants, {} sending {sends} of {} B, {:.1} s{}\n",
            match plan.wire {
                Wire::V0 => "v0",
                Wire::V1 => "v1",
                Wire::Rtp => "RTP",
            },
            plan.target,
            grouped(plan.sessions.into()),
            grouped(plan.participants.into()),
            plan.senders,
            grouped(plan.size as u64),
            self.measured_s,
            if self.ended_early { " (ended early)" } else { "" },
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, count: u64, rest: &str| {
            let gap = if rest.is_empty() { "" } else { "  " };
            writeln!(f, "  {name:<14}{:>14}{gap}{rest}", grouped(count))
        };
        let rate = |per_s: f64| format!("{}/s", grouped(per_s.round() as u64));
        for (name, joins) in [("joined", self.joins), ("visited", self.visits)] {
            if let Some(joins) = joins {
                row(f, name, joins.joined, &joins.to_string())?;
            }
        }
        row(f, "offered", self.offered, &format!("frames, {}", rate(self.offered_per_s)))?;
        let bits = self.delivered_bits_per_s / 1e6;
        let text = format!("datagrams, {}, {bits:.1} Mbit/s", rate(self.delivered_per_s));
        row(f, "delivered", self.delivered, &text)?;
        row(f, "lost", self.lost, &format!("{:.4} %", self.loss_ratio * 100.0))?;
        row(f, "duplicates", self.duplicates, "")?;
        row(f, "reordered", self.reordered, "")?;
        row(f, "wrong session", self.wrong_session, "")?;
        for (name, count, rest) in [
            ("unsent", self.unsent, "frames that never left"),
            ("in flight", self.in_flight_at_end, "delivered after the window ended"),
            ("too late", self.too_late, "lost, though they arrived in the end"),
            ("corrupt", self.corrupt, "not as they were sent"),
            ("echoed", self.echoed, "back to their own sender"),
            ("foreign", self.foreign, "of another run: choose another --first-session"),
            ("silent", self.members_silent.into(), "members the relay never came to know"),
            ("alerts", self.alerts, "the relay did not like what was sent"),
            ("kicked", self.kicked, "members sent away"),
            (
                "relay drops",
                self.relay_socket_drops.unwrap_or(0),
                "at the relay's port, full receive buffer",
            ),
        ] {
            if count > 0 {
                row(f, name, count, rest)?;
            }
        }
        let columns = ["p50", "p90", "p99", "p99.9", "max"];
        write!(f, "\n  {:<14}", "")?;
        columns.iter().try_for_each(|name| write!(f, "{name:>10}"))?;
        writeln!(f)?;
        let latency = |joins: Option<Joins>| joins.map(|joins| joins.latency_ns);
        for (name, quantiles) in [
            ("latency", Some(self.latency_ns)),
            ("sent late", Some(self.send_lateness_ns)),
            ("join", latency(self.joins)),
            ("visit", latency(self.visits)),
        ] {
            let Some(quantiles) = quantiles else { continue };
            write!(f, "  {name:<14}")?;
            match quantiles {
                Some(q) => [q.p50, q.p90, q.p99, q.p999, q.max]
                    .into_iter()
                    .try_for_each(|ns| write!(f, "{:>10}", time(ns)))?,
                None => write!(f, "{:>10}", "-")?,
            }
            writeln!(f)?;
        }
        writeln!(f)?;
        if let (Some(cost), Some(share)) = (self.relay_cpu_ns_per_delivered, self.relay_cpu_share) {
            writeln!(
                f,
                "  relay         {} cpu-ns per delivered datagram, {:.1} % of a cpu",
                grouped(cost.round() as u64),
                share * 100.0
            )?;
        } else if plan.pid.is_some() {
            writeln!(f, "  relay         cost unknown: its process ended, or nothing arrived")?;
        }
        writeln!(f, "  generator     {:.1} % of a cpu", self.generator_cpu_share * 100.0)?;
        if let Some(share) = self.visitors_cpu_share {
            writeln!(f, "  visitors      {:.1} % of a cpu", share * 100.0)?;
        }
        match &self.bottleneck {
            Some(reasons) => writeln!(f, "\n{}", self.limit_sentence(reasons)),
            None => Ok(()),
        }
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A time in the unit that suits it, three digits.
fn time(ns: u64) -> String {
    let (value, unit) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (ns as f64 / 1e3, "us"),
        1_000_000..1_000_000_000 => (ns as f64 / 1e6, "ms"),
        _ => (ns as f64 / 1e9, "s"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

#[cfg(test)]
mod tests {
    use elara_shards::counters::Egress;

    use super::*;
    use crate::frame::Seen;

    /// A second in which one frame was sent `late` ns late and arrived at one of nine.
    fn report(late: u64, change: impl FnOnce(&mut Tally, &mut Outcome)) -> Report {
        let plan = Plan { pid: Some(1), ..Plan::voice() };
        let mut tally = Tally::new(&plan, 0..1_000);
        tally.sent(1, 10, 10 + late, Egress { sent: 1, ..Egress::default() });
        tally.arrived(3, Seen::Load { sender: 0, scheduled: 10, sequence: 0 }, 3_010);
        let second = Span::from_secs(1);
        let mut outcome = Outcome {
            stopped: false,
            window: second,
            measured: second,
            delivered_in_window: 1,
            arrived_in_window: 1,
            own_cpu: 500_000_000,
            relay_cpu_in_window: Some(250_000_000),
            relay_cpu: Some(4_400),
            relay_datagrams: 2,
            keep_alives: 0,
            silent: 0,
            joins: None,
            visits: None,
            visitors_cpu: 0,
            own_drops: Some(0),
            relay_drops: None,
        };
        change(&mut tally, &mut outcome);
        Report::new(&plan, &tally, &outcome)
    }

    #[test]
    fn a_report_is_the_books_divided() {
        let report = report(0, |_, _| ());
        assert_eq!((report.offered, report.expected, report.delivered, report.lost), (1, 9, 1, 8));
        assert_eq!(report.loss_ratio, 8.0 / 9.0);
        assert_eq!(report.delivered_bits_per_s, 960.0);
        assert_eq!(report.relay_cpu_ns_per_delivered, Some(2_200.0));
        assert_eq!((report.relay_cpu_share, report.generator_cpu_share), (Some(0.25), 0.5));
        assert_eq!(report.bottleneck, None);
        assert!(!report.to_string().contains("The generator was a limit"));
    }

    #[test]
    fn the_generator_admits_each_of_its_limits() {
        use Bottleneck::{Cpu, LateSends, ReceiveDrops, SendBuffer};
        let cpu = |cpu| report(0, |_, outcome| outcome.own_cpu = cpu).bottleneck;
        assert_eq!(cpu(949_000_000), None);
        assert_eq!(cpu(950_000_000), Some(vec![Cpu]));
        assert_eq!(report(4_900_000, |_, _| ()).bottleneck, None);
        assert_eq!(report(5_100_000, |_, _| ()).bottleneck, Some(vec![LateSends]));
        let all = report(12_000_000, |tally, outcome| {
            tally.counts.busy = 1_234;
            outcome.own_drops = Some(5);
            outcome.own_cpu = 1_000_000_000;
        });
        assert_eq!(all.bottleneck, Some(vec![Cpu, LateSends, SendBuffer, ReceiveDrops]));
        let text = all.to_string();
        for part in ["used 100 % of its cpu", "12.0 ms late", "1,234 frames", "by 5 datagrams"] {
            assert!(text.contains(part), "{part:?} is missing in\n{text}");
        }
    }

    #[test]
    fn a_relay_that_went_away_has_no_cost() {
        let report = report(0, |_, outcome| outcome.relay_cpu = None);
        assert_eq!(report.relay_cpu_ns_per_delivered, None);
        assert!(report.to_string().contains("cost unknown"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [999, 1_500, 42_000, 360_000, 8_120_000, 2_500_000_000].map(time),
            ["999 ns", "1.50 us", "42.0 us", "360 us", "8.12 ms", "2.50 s"]
        );
    }
}
