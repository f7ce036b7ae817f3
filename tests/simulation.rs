//! The shipped shard in seeded worlds: every seed that ever found something, and twenty seeds told twice.
//!
//! `docs/SIMULATION.md` says what these worlds hold. Many more seeds run outside the test suite:
//! `cargo run --release -p elara-sim -- --seeds 0..300`.

use elara_sim::{Fault, Faults, Options, Summary, Wire, run};

/// Seeds with a history: `wire seed seconds why`, one a line.
const SEEDS: &str = include_str!("seeds.txt");

fn live(wire: Wire, seed: u64, seconds: u64) -> Summary {
    let options = Options { seed, wire, seconds, shards: None };
    run(options, None).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn seeds_with_a_history_stay_well() {
    for line in SEEDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u64>().ok());
        let (Some(wire), Some(seed), Some(seconds)) = (number(), number(), number()) else {
            panic!("a line of seeds.txt is not `wire seed seconds why`: {line}");
        };
        assert!(words.next().is_some(), "a seed without a reason: {line}");
        live(Wire::ALL[wire as usize], seed, seconds);
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let mut faults = Faults::default();
    let mut traces = Vec::new();
    for (wire, seed) in Wire::ALL.into_iter().flat_map(|wire| (0..20).map(move |seed| (wire, seed)))
    {
        let (once, again) = (live(wire, seed, 10), live(wire, seed, 10));
        assert_eq!(once, again, "wire {wire:?}, seed {seed}");
        assert_eq!(once.to_string(), again.to_string());
        faults.merge(&once.faults);
        traces.push(once.trace);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 40, "different seeds tell different stories");
    // A storm that never brings a kind of trouble would be a calm that calls itself a storm.
    for fault in Fault::ALL.iter().filter(|fault| **fault != Fault::Flooded) {
        assert!(faults.of(*fault) > 0, "{}: never, in twenty seeds", fault.label());
    }
}

#[test]
fn a_told_story_is_the_same_as_a_quiet_one() {
    for wire in Wire::ALL {
        let mut told = Vec::new();
        let options = Options { seed: 3, wire, seconds: 5, shards: Some(2) };
        let aloud = run(options, Some(&mut told)).unwrap_or_else(|broken| panic!("{broken}"));
        let quiet = run(options, None).unwrap_or_else(|broken| panic!("{broken}"));
        assert_eq!(aloud, quiet);
        let lines = told.split(|byte| *byte == b'\n');
        let heard = lines.filter(|line| line.windows(7).any(|word| word == b" heard "));
        assert_eq!(heard.count() as u64, quiet.datagrams, "every datagram is told");
    }
}

#[test]
fn participants_of_wire_v1_find_each_other_after_every_storm() {
    let lives = (100..130).map(|seed| live(Wire::V1, seed, 20));
    let healed: u64 = lives.map(|summary| summary.pairs_healed).sum();
    assert!(healed > 300, "{healed} pairs: worlds too empty to prove anything");
}
