//! The shipped shard in seeded worlds: every seed that ever found something, and twenty seeds told twice.
//!
//! `docs/SIMULATION.md` says what these worlds hold. Many more seeds run outside the test suite:
//! `cargo run --release -p elara-sim -- --seeds 0..300`.

use elara_sim::{Fault, Faults, Options, Summary, run};

/// Seeds with a history: `seed seconds why`, one a line.
const SEEDS: &str = include_str!("seeds.txt");

fn live(seed: u64, seconds: u64) -> Summary {
    run(Options { seed, seconds, shards: None }, None).unwrap_or_else(|broken| panic!("{broken}"))
}

#[test]
fn seeds_with_a_history_stay_well() {
    for line in SEEDS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let mut number = || words.next().and_then(|word| word.parse().ok());
        let (Some(seed), Some(seconds)) = (number(), number()) else {
            panic!("a line of seeds.txt is not `seed seconds why`: {line}");
        };
        assert!(words.next().is_some(), "a seed without a reason: {line}");
        live(seed, seconds);
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let mut faults = Faults::default();
    let mut traces = Vec::new();
    for seed in 0..20 {
        let (once, again) = (live(seed, 10), live(seed, 10));
        assert_eq!(once, again, "seed {seed}");
        assert_eq!(once.to_string(), again.to_string());
        faults.merge(&once.faults);
        traces.push(once.trace);
    }
    traces.sort_unstable();
    traces.dedup();
    assert_eq!(traces.len(), 20, "different seeds tell different stories");
    // A storm that never brings a kind of trouble would be a calm that calls itself a storm.
    for fault in Fault::ALL.iter().filter(|fault| **fault != Fault::Flooded) {
        assert!(faults.of(*fault) > 0, "{}: never, in twenty seeds", fault.label());
    }
}

#[test]
fn a_told_story_is_the_same_as_a_quiet_one() {
    let mut told = Vec::new();
    let options = Options { seed: 3, seconds: 5, shards: Some(2) };
    let aloud = run(options, Some(&mut told)).unwrap_or_else(|broken| panic!("{broken}"));
    let quiet = run(options, None).unwrap_or_else(|broken| panic!("{broken}"));
    assert_eq!(aloud, quiet);
    let heard =
        told.split(|byte| *byte == b'\n').filter(|line| line.windows(7).any(|w| w == b" heard "));
    assert_eq!(heard.count() as u64, quiet.datagrams, "every datagram is told");
}
