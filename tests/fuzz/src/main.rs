//! Runs fuzz targets on stable: first their corpus, then seeded mutations of it.
//!
//! ```text
//! elara-fuzz <target|all> [--seconds N | --runs N] [--seed N]     N a target; 10 s when silent
//! elara-fuzz <target> --hex HEX                                   one input
//! ```
//! A crash prints its input and the command that replays it; the exit status is then 1.

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use elara_fuzz::mutate::Mutator;
use elara_fuzz::{TARGETS, Target, corpus, hex, target, unhex};

const USAGE: &str =
    "usage: elara-fuzz <target|all> [--seconds N | --runs N] [--seed N] | <target> --hex HEX";

/// Inputs between two looks at the clock.
const BATCH: u64 = 1_024;

struct Wish {
    targets: Vec<Target>,
    seconds: Option<u64>,
    runs: Option<u64>,
    seed: u64,
    input: Option<Vec<u8>>,
}

fn main() -> ExitCode {
    let wish = match parse(std::env::args().skip(1)) {
        Ok(wish) => wish,
        Err(why) => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("{why}\n{USAGE}\ntargets: {}", names.join(" "));
            return ExitCode::from(2);
        }
    };
    let ended = wish.targets.iter().try_for_each(|target| match &wish.input {
        Some(input) => attempt(*target, input),
        None => run(*target, &wish),
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Crash) => ExitCode::FAILURE,
    }
}

fn parse(mut args: impl Iterator<Item = String>) -> Result<Wish, String> {
    let name = args.next().ok_or("which target?")?;
    let targets = match target(&name) {
        Some(target) => vec![target],
        None if name == "all" => TARGETS.to_vec(),
        None => return Err(format!("there is no target {name}")),
    };
    let mut wish = Wish { targets, seconds: None, runs: None, seed: 1, input: None };
    while let Some(option) = args.next() {
        let value = args.next().ok_or_else(|| format!("{option} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{option} wants a number, not {value}"));
        match option.as_str() {
            "--seconds" => wish.seconds = Some(number()?),
            "--runs" => wish.runs = Some(number()?),
            "--seed" => wish.seed = number()?,
            "--hex" => wish.input = Some(unhex(&value).ok_or("--hex wants pairs of hex digits")?),
            _ => return Err(format!("there is no option {option}")),
        }
    }
    Ok(wish)
}

/// A target panicked; everything about it has been printed.
struct Crash;

fn run(target: Target, wish: &Wish) -> Result<(), Crash> {
    let start = Instant::now();
    let corpus: Vec<_> = corpus::inputs(target.name).into_iter().map(|(_, input)| input).collect();
    corpus.iter().try_for_each(|input| attempt(target, input))?;
    let inputs = corpus.len();
    let mut mutator = Mutator::new(corpus, wish.seed);
    let mut input = Vec::new();
    let most = wish.runs.unwrap_or(u64::MAX);
    let seconds = wish.seconds.or(wish.runs.is_none().then_some(10));
    let deadline = seconds.map(|seconds| start + Duration::from_secs(seconds));
    let mut runs = 0;
    while runs < most && (runs % BATCH != 0 || deadline.is_none_or(|end| Instant::now() < end)) {
        mutator.next_into(&mut input);
        attempt(target, &input)?;
        runs += 1;
    }
    let (name, seed, took) = (target.name, wish.seed, start.elapsed());
    println!("{name}: {inputs} inputs and {runs} mutations (seed {seed}) hold, {took:.1?}");
    Ok(())
}

fn attempt(target: Target, input: &[u8]) -> Result<(), Crash> {
    catch_unwind(|| (target.run)(input)).map_err(|_| {
        let (name, input) = (target.name, hex(input));
        println!("{name} crashes on {input}");
        println!(
            "replay: cargo run --release --manifest-path tests/fuzz/Cargo.toml -- {name} --hex {}",
            if input.is_empty() { "''" } else { &input }
        );
        Crash
    })
}
