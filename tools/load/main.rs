//! `elara-load`: arguments in, a run, a report out.
//!
//! Exit status: 0 a report, 1 the run could not happen, 2 a mistake in the arguments. Loss is a result,
//! not a failure. Ctrl-C ends the window and reports what was measured; a second one ends at once.

use std::io::IsTerminal;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

mod entry;

use clap::{Parser, ValueEnum};
use elara_core::limits::V1_FRAME_MAX;
use elara_load::{LoadError, Plan, Progress, Wire, run_when};
use elara_shards::sys::wait::Interrupt;
use indicatif::{ProgressBar, ProgressStyle};

const EXAMPLES: &str = "\
Examples:
  elara-load 127.0.0.1:7840
      voice against a relay on this machine: 100 sessions of 10, one speaking in each
  elara-load relay.example:7840 --model video --duration 60
      a minute of video: bursts of 10 x 1,200 B, 30 a second, in 20 sessions of 10
  elara-load 127.0.0.1:7840 --pid $(pidof elara) --cpu 1 --json
      what a delivered datagram costs the relay, in cpu-nanoseconds, for a program to read
  elara-load 127.0.0.1:7840 --sessions 1 --participants 50 --senders 50
      one big room, everyone speaking
  elara-load --join 'elara://..' --issuer-key /tmp/elara-dev-../issuer.key
      wire v1 against `elara serve --dev`, which prints both: everyone joins, then voice
  elara-load relay.example:7840 --relay-key KEY --issuer-key issuer.key --join-rate 1000
      wire v1, and 1,000 others come and go every second while the load runs
  elara-load --join 'elara://..' 'elara://..'
      wire v1 with tokens from elsewhere: one participant for each address
  elara-load --rtp 127.0.0.1:5004,127.0.0.1:5006 --rtp-port 20000 --model video
      RTP to a relay that was told to forward what comes to 5004 to 20001..20009, and what comes to
      5006 to 20011..20019

Wire v0 must be open at the relay (elara: compat.v0), or for wire v1 the issuer be known to it (elara: v1.issuers).
Exit status: 0 a report, 1 no run, 2 a mistake.";

/// Open-loop load for elara and other relays: honest latency, loss and cost.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// The relay: host and port, as in 127.0.0.1:7840
    target: Option<String>,
    #[command(flatten)]
    entry: entry::Options,
    /// Shape of the traffic, and the defaults of the options marked *
    #[arg(long, value_enum, default_value_t = Shape::Voice)]
    model: Shape,
    /// * Sessions [voice: 100, video: 20, RTP: one for each address]
    #[arg(long, value_name = "N")]
    sessions: Option<u32>,
    /// * Participants of each session, one socket each [10]
    #[arg(long, value_name = "N")]
    participants: Option<u32>,
    /// * Participants that send; everyone receives [1]
    #[arg(long, value_name = "N")]
    senders: Option<u32>,
    /// * Sends per second and sender, each of --burst frames [voice: 50 frames, video: 30 bursts]
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// * Bytes of a frame, 74 to 1400; in wire v1 a padded length [voice: 120, video: 1200, v1: 1232]
    #[arg(long, value_name = "BYTES")]
    size: Option<usize>,
    /// * Frames that are due together [voice: 1, video: 10]
    #[arg(long, value_name = "N")]
    burst: Option<u32>,
    /// Seconds to measure
    #[arg(long, value_name = "SECS", default_value = "10", value_parser = seconds)]
    duration: Duration,
    /// Seconds of load before that
    #[arg(long, value_name = "SECS", default_value = "1", value_parser = seconds)]
    warmup: Duration,
    /// Seconds between two keep-alives of a silent member [about 1 % of the load, 2 to 20]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    keep_alive: Option<Duration>,
    /// The relay's process on this machine: report its cpu time per delivered datagram
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Pin the generator to this cpu
    #[arg(long, value_name = "N")]
    cpu: Option<usize>,
    /// Where the senders' phases come from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Id of the first session; the others follow [1, or that of the join addresses]
    #[arg(long, value_name = "ID")]
    first_session: Option<u64>,
    /// Send each burst as one train (UDP_SEGMENT)
    #[arg(long, value_enum, default_value_t = Switch::On)]
    gso: Switch,
    /// Receive trains (UDP_GRO)
    #[arg(long, value_enum, default_value_t = Switch::On)]
    gro: Switch,
    /// Deliveries go elsewhere: once everyone is known, say `ready`, read a line, then send and expect
    /// nothing back
    #[arg(long)]
    one_way: bool,
    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bar
    #[arg(long)]
    quiet: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// Small frames at an even pace
    Voice,
    /// Bursts of large frames
    Video,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Switch {
    On,
    Off,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let plan = match arguments.plan() {
        Ok(plan) => plan,
        Err(mistake) => return refuse(2, &mistake),
    };
    let bar = arguments.bar(&plan);
    let mut show = |progress: Progress| {
        if let Some(bar) = &bar {
            bar.set_position(progress.elapsed.as_millis() as u64);
            bar.set_message(line(&progress));
        }
    };
    let result = run_when(&plan, &mut || ready(&plan), &stop_on_interrupt(), &mut show);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    match result {
        Ok(report) if arguments.json => match serde_json::to_string(&report) {
            Ok(json) => println!("{json}"),
            Err(error) => return refuse(1, &error.to_string()),
        },
        Ok(report) => print!("{report}"),
        Err(LoadError::Plan(mistake)) => return refuse(2, &mistake.to_string()),
        Err(error) => return refuse(1, &error.to_string()),
    }
    ExitCode::SUCCESS
}

impl Arguments {
    fn plan(&self) -> Result<Plan, String> {
        let model = match self.model {
            Shape::Voice => Plan::voice(),
            Shape::Video => Plan::video(),
        };
        let entry = self.entry.read(self.target.is_some())?;
        let given = entry.pass.as_ref().and_then(|pass| pass.given());
        let (sessions, participants, first_session) = match (given, &entry.wiring) {
            (Some((session, count)), _) => (1, count as u32, session.0),
            (None, Some(wiring)) => (wiring.to.len() as u32, model.participants, 1),
            (None, None) => (model.sessions, model.participants, 1),
        };
        // The longest frame of wire v1 is what wire v0's 1,200 bytes are meant to be.
        let size = match entry.wire {
            Wire::V1 if model.size > 1_000 => V1_FRAME_MAX,
            _ => model.size,
        };
        let plan = Plan {
            target: resolve(entry.target.as_deref().or(self.target.as_deref()))?,
            wire: entry.wire,
            suite: self.entry.suite(),
            join_rate: self.entry.join_rate,
            hold_ms: self.entry.hold,
            sessions: self.sessions.unwrap_or(sessions),
            participants: self.participants.unwrap_or(participants),
            senders: self.senders.unwrap_or(model.senders),
            rate: self.rate.unwrap_or(model.rate),
            size: self.size.unwrap_or(size),
            burst: self.burst.unwrap_or(model.burst),
            duration: self.duration,
            warmup: self.warmup,
            keep_alive: self.keep_alive,
            pid: self.pid,
            cpu: self.cpu,
            seed: self.seed,
            first_session: self.first_session.unwrap_or(first_session),
            pass: entry.pass,
            wiring: entry.wiring,
            gso: self.gso == Switch::On,
            gro: self.gro == Switch::On,
            one_way: self.one_way,
            ..model
        };
        plan.validate().map_err(|mistake| mistake.to_string())?;
        Ok(plan)
    }

    /// A progress bar, where someone watches long enough to want one.
    fn bar(&self, plan: &Plan) -> Option<ProgressBar> {
        let total = plan.warmup + plan.duration;
        let watched = std::io::stderr().is_terminal() && !self.quiet && !self.json;
        if !watched || total <= Duration::from_secs(2) {
            return None;
        }
        let style = ProgressStyle::with_template("{bar:24} {msg}").ok()?;
        let bar = ProgressBar::new(total.as_millis() as u64).with_style(style);
        bar.set_message("making everyone known to the relay");
        Some(bar)
    }
}

fn line(progress: &Progress) -> String {
    let p50 = progress.latency_p50.map_or_else(String::new, |p50| format!(", p50 {p50:.0?}"));
    format!(
        "{:.0} of {:.0} s, {} delivered, {} lost{p50}",
        progress.elapsed.as_secs_f64(),
        progress.total.as_secs_f64(),
        progress.delivered,
        progress.lost
    )
}

/// In a one-way run: says that everyone is known, and waits to be told to go on.
fn ready(plan: &Plan) {
    if plan.one_way {
        println!("ready");
        // Whoever closes it wants us to go on, too.
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

fn resolve(target: Option<&str>) -> Result<SocketAddr, String> {
    let Some(target) = target else {
        return Err("which relay? Give its address and port, as in elara-load 127.0.0.1:7840 \
                    (--help shows more)"
            .into());
    };
    let first = target.to_socket_addrs().map(|mut addrs| addrs.next());
    match first {
        Ok(Some(addr)) => Ok(addr),
        Ok(None) => Err(format!("the target {target} has no address: give another name or an IP")),
        Err(error) => Err(format!(
            "the target {target} is no address ({error}): give host and port, as in 127.0.0.1:7840"
        )),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse::<f64>()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text} is no number of seconds: write it as in 10 or 0.5"))
}

/// A flag that Ctrl-C raises. Without signals the run is only harder to stop.
fn stop_on_interrupt() -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    if let Ok(interrupt) = Interrupt::new() {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            while interrupt.wait().is_ok() {
                if stop.swap(true, Ordering::Relaxed) {
                    std::process::exit(130);
                }
            }
        });
    }
    stop
}

fn refuse(status: u8, sentence: &str) -> ExitCode {
    eprintln!("elara-load: {sentence}");
    ExitCode::from(status)
}
