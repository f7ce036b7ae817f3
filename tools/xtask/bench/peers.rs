//! `cargo xtask bench peers`: what forwarding video costs other people's relays, beside ours, in one run.
//!
//! Everybody gets what `video` of `bench floor` is: 20 sessions, in each one sender and nine who hear,
//! bursts of ten frames of 1,200 bytes, over loopback, from one generator, which checks every delivery.
//! Peers that speak neither of our wires are told ports instead, and get RTP of that length.
//!
//! A forwarder is the cheaper per datagram the busier it is, so everybody is measured twice: at one load
//! that all bear, and near the highest rate at which it loses nothing, each its own.
//!
//! | file | owns |
//! |---|---|
//! | `contestant` | who takes part, and one run of each |
//! | `ceiling` | the highest clean rate |
//! | `daemon`, `seats`, `wired` | a peer's process, the ports it is told, what that makes |
//! | `janus`, `rtpengine` (`bencode`), `quilkin` | how each is told |
//! | `buffers` | the receive buffers of who does not ask for any |
//! | `report` | ratios |

mod bencode;
mod buffers;
mod ceiling;
mod contestant;
mod daemon;
mod janus;
mod quilkin;
mod report;
mod rtpengine;
mod seats;
mod wired;

use clap::Args;

use self::buffers::Buffers;
use self::ceiling::Ceiling;
use self::contestant::{Contestant, WORKLOAD, Who};
use self::report::{Heat, Load, Report, rows};
use super::contest::Sinks;
use super::taken::Taken;
use super::{Output, chosen, names};
use crate::ci;
use crate::shell::Places;

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench peers
      everybody who is installed here, with both kinds of sinks, at both loads, in about twenty minutes
  cargo xtask bench peers --only elara,janus --sinks plain --load same --rate 60 --rounds 1
      a first look, in less than a minute
  sudo cargo xtask bench peers --rounds 5 --seconds 2 --publish
      with the relay's receive buffers for all, into docs/PERFORMANCE.md

Who is not installed is left out, and the report says how to install it. As root the bench raises
net.core.rmem_default while it runs, so that peers have the receive buffers that the relay asks for.";

/// What `bench peers` is told.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    #[command(flatten)]
    output: Output,
    /// Rounds; every contestant runs once in each, at each load, with each kind of sinks.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    seconds: u32,
    /// Only these.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHO,..")]
    only: Vec<Who>,
    /// Only these kinds of sinks.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SINKS,..")]
    sinks: Vec<Sinks>,
    /// Only these loads.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "LOAD,..")]
    load: Vec<Load>,
    /// Bursts a second and session of the same load, instead of four fifths of what all bear.
    #[arg(long)]
    rate: Option<f64>,
}

/// Builds, measures, prints. False when a datagram came that must not exist.
///
/// # Errors
/// When something cannot be built, started or understood.
pub(crate) fn run(options: &Options, places: &Places) -> Result<bool, String> {
    ci::build().perform()?;
    let taken = Taken::now(options.command(), options.rounds, options.seconds);
    let (mut contestants, mut notes) = (Vec::new(), Vec::new());
    for who in chosen(&options.only) {
        match who.contestants(places) {
            Ok(found) => contestants.extend(found),
            Err(sentence) => notes.push(sentence),
        }
    }
    let buffers = Buffers::lend();
    let (contestants, faults) = rehearse(contestants, places);
    notes.extend(faults.into_iter().chain(buffers.note.clone()));
    notes.iter().for_each(|note| eprintln!("! {note}"));
    let races = races(&contestants, options, places)?;
    let versions = contestants.iter().filter(|contestant| contestant.is_peer());
    let versions = versions.map(|peer| {
        format!("{peer} {}", peer.version().unwrap_or_else(|| "of an unknown version".into()))
    });
    let versions = versions.collect();
    let mut shown = races.iter().flat_map(|race| &race.heats).flat_map(|heat| &heat.shown);
    let clean = shown.all(|shown| shown.sample.wrong == 0);
    let rows = races.iter().flat_map(|race| rows(&race.heats, race.sinks, race.load)).collect();
    options.output.put(&Report { taken, versions, rows, notes }, places)?;
    Ok(clean)
}

/// Everybody's runs with these sinks at this load.
struct Race<'a> {
    sinks: Sinks,
    load: Load,
    heats: Vec<Heat<'a>>,
    /// Bursts a second and session, for each; who has none does not run.
    rates: Vec<Option<f64>>,
}

fn races<'a>(
    contestants: &'a [Contestant],
    options: &Options,
    places: &Places,
) -> Result<Vec<Race<'a>>, String> {
    let mut races = Vec::new();
    for sinks in chosen(&options.sinks) {
        let ceilings = options.ceilings(contestants, sinks, places)?;
        for load in chosen(&options.load) {
            races.push(Race::new(contestants, sinks, load, &ceilings, options.rate));
        }
    }
    let runs = races.iter().enumerate();
    let mut order: Vec<(usize, usize)> =
        runs.flat_map(|(at, race)| (0..race.heats.len()).map(move |who| (at, who))).collect();
    let Options { rounds, seconds, .. } = options;
    for round in 1..=*rounds {
        for (at, who) in order.iter().copied() {
            let Race { sinks, load, heats, rates } = &mut races[at];
            let Some(rate) = rates[who] else { continue };
            let Heat { contestant, shown, .. } = &mut heats[who];
            let run = contestant.measure(*sinks, rate, *seconds, places)?;
            eprintln!("round {round}/{rounds}, {sinks} sinks, {load} load: {contestant:<18} {run}");
            shown.push(run);
        }
        // Every other round backwards, so that nobody is always the first or the last.
        order.reverse();
    }
    Ok(races)
}

impl<'a> Race<'a> {
    /// Nobody has run yet. `ceilings` has one for each contestant, or none where nobody searched.
    fn new(
        contestants: &'a [Contestant],
        sinks: Sinks,
        load: Load,
        ceilings: &[Ceiling],
        told: Option<f64>,
    ) -> Self {
        let borne = || Ceiling::borne(ceilings.iter()).unwrap_or_else(|| WORKLOAD.rate());
        let same = told.unwrap_or_else(borne);
        let heat = |(at, contestant)| {
            let ceiling = ceilings.get(at);
            let (rate, note) = match load {
                Load::Same => (Some(same), None),
                Load::Own => {
                    (ceiling.and_then(Ceiling::near), ceiling.and_then(|it| it.note.clone()))
                }
            };
            (Heat { contestant, shown: Vec::new(), note }, rate)
        };
        let (heats, rates) = contestants.iter().enumerate().map(heat).unzip();
        Self { sinks, load, heats, rates }
    }
}

/// Those who do what they are meant to at the nominal rate; of the others, why not.
fn rehearse(contestants: Vec<Contestant>, places: &Places) -> (Vec<Contestant>, Vec<String>) {
    let (mut ready, mut notes) = (Vec::new(), Vec::new());
    for contestant in contestants {
        let nominal = WORKLOAD.rate();
        let fault = match contestant.measure(Sinks::Plain, nominal, 1, places) {
            Ok(shown) if shown.sample.delivered > 0 => None,
            Ok(_) => Some("it delivered nothing".into()),
            Err(error) => Some(error),
        };
        match fault {
            None => ready.push(contestant),
            Some(error) => notes.push(format!("{contestant} is left out: {error}")),
        }
    }
    (ready, notes)
}

impl Options {
    /// The ceiling of each contestant; none where no rate depends on them.
    fn ceilings(
        &self,
        contestants: &[Contestant],
        sinks: Sinks,
        places: &Places,
    ) -> Result<Vec<Ceiling>, String> {
        if self.rate.is_some() && !chosen(&self.load).contains(&Load::Own) {
            return Ok(Vec::new());
        }
        let search = |contestant: &Contestant| {
            Ceiling::search(WORKLOAD.rate(), |rate| {
                let shown = contestant.measure(sinks, rate, 1, places)?;
                eprintln!("search, {sinks} sinks, {rate:>5.0} bursts/s: {contestant:<18} {shown}");
                Ok(shown)
            })
        };
        contestants.iter().map(search).collect()
    }

    /// The command that repeats this.
    fn command(&self) -> String {
        let (rounds, seconds) = (self.rounds, self.seconds);
        let mut command = format!("cargo xtask bench peers --rounds {rounds} --seconds {seconds}");
        command += &names("--only", &self.only);
        command += &names("--sinks", &self.sinks);
        command += &names("--load", &self.load);
        if let Some(rate) = self.rate {
            command += &format!(" --rate {rate}");
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::bench::forwarder::Technique;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_command_repeats_what_was_chosen() {
        let typed = "--rounds 2 --seconds 4 --only elara,janus --sinks gro --load same --rate 70";
        let line = format!("peers {typed}");
        let options = Line::try_parse_from(line.split(' ')).unwrap().options;
        assert_eq!(options.command(), format!("cargo xtask bench {line}"));
    }

    #[test]
    fn one_load_is_what_all_bear_and_the_other_is_everybodys_own() {
        let contestants = [Technique::Naive, Technique::UringGso].map(Contestant::Floor);
        let ceiling = |rate| Ceiling { rate, note: Some("a note".into()) };
        let ceilings = [ceiling(Some(100.0)), ceiling(None)];
        let race = |load, told| Race::new(&contestants, Sinks::Plain, load, &ceilings, told);
        assert_eq!(race(Load::Same, None).rates, [Some(80.0); 2]);
        assert_eq!(race(Load::Same, Some(30.0)).rates, [Some(30.0); 2]);
        let own = race(Load::Own, Some(30.0));
        assert_eq!(own.rates, [Some(90.0), None]);
        assert_eq!(own.heats[0].note.as_deref(), Some("a note"));
        let nominal = Race::new(&contestants, Sinks::Plain, Load::Same, &[], None);
        assert_eq!(nominal.rates, [Some(WORKLOAD.rate()); 2]);
    }
}
