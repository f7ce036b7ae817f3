//! The gate and the soak: what `cargo xtask ci` and `cargo xtask soak` run, in order.
//!
//! The gate is everything a change must pass, in about twenty minutes on two cpus. The soak is the same
//! questions asked for longer, before a release.

use crate::shell::{Places, Run, cargo, run};
use crate::steps::{Step, Work};
use crate::{count, tidy};

const INTEROP: &str = "tests/interop/Cargo.toml";
const FUZZ: &str = "tests/fuzz/Cargo.toml";

/// What a change must pass. The cheapest questions come first, the test runner last.
pub(crate) const GATE: &[Step] = &[
    Step {
        name: "tidy",
        proves: "the tree is as we agreed",
        work: Work::Ours(|places| tidy::run(&places.root, None)),
    },
    Step {
        name: "fmt",
        proves: "the source is formatted",
        work: Work::Programs(|_| {
            let check = |manifest| cargo(["fmt", "--all", "--check", "--manifest-path", manifest]);
            ["Cargo.toml", INTEROP, FUZZ].map(check).to_vec()
        }),
    },
    Step {
        name: "clippy",
        proves: "the compiler and clippy have nothing to say",
        work: Work::Programs(|_| {
            vec![cargo([
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ])]
        }),
    },
    Step {
        name: "vectors",
        proves: "the golden bytes of wire v1 are what a second implementation makes of WIRE",
        work: Work::Programs(|_| vec![run("python3", ["tests/vectors/v1_keys.py"])]),
    },
    Step {
        name: "build",
        proves: "the binaries build as they ship",
        work: Work::Programs(|_| vec![build()]),
    },
    Step {
        name: "count",
        proves: "no frame takes 5 % more instructions than recorded, wherever it passes",
        work: Work::Ours(count::gate),
    },
    Step {
        name: "simulate",
        proves: "the shipped shard keeps its invariants over 300 seeds of a bad network",
        work: Work::Programs(|places| vec![simulate(places, "0..300", "20")]),
    },
    Step {
        name: "fuzz",
        proves: "no bytes from a stranger make a parser panic",
        work: Work::Programs(|places| vec![fuzz(places, "10")]),
    },
    Step {
        name: "interop",
        proves: "published 0.2.0 nodes talk through the release binary, on both back ends",
        work: Work::Programs(|places| {
            vec![
                cargo(["test", "--release", "--manifest-path", INTEROP])
                    .env(
                        "ELARA_BIN",
                        places.root.join(places.binary("elara")).display().to_string(),
                    )
                    .env("CARGO_TARGET_DIR", places.target_of("interop")),
            ]
        }),
    },
    Step {
        name: "test",
        proves: "every claim in the workspace holds, on real sockets and off the heap",
        work: Work::Programs(|_| {
            vec![cargo(["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"])]
        }),
    },
    Step {
        name: "doctest",
        proves: "the examples in the documentation run",
        work: Work::Programs(|_| vec![cargo(["test", "--workspace", "--doc", "--no-fail-fast"])]),
    },
];

/// The same questions, asked for hours.
pub(crate) const SOAK: &[Step] = &[
    Step {
        name: "build",
        proves: "the binaries build as they ship",
        work: Work::Programs(|_| vec![build()]),
    },
    Step {
        name: "simulate",
        proves: "the shipped shard keeps its invariants over 2,000 seeds of 60 simulated seconds",
        work: Work::Programs(|places| vec![simulate(places, "0..2000", "60")]),
    },
    Step {
        name: "fuzz",
        proves: "no bytes from a stranger make a parser panic, 20 minutes a target",
        work: Work::Programs(|places| vec![fuzz(places, "1200")]),
    },
];

/// Builds every binary as it ships.
pub(crate) fn build() -> Run {
    cargo(["build", "--release", "--workspace", "--bins"])
}

/// Writes the golden vectors of wire v0 again; git shows whether they changed.
pub(crate) fn vectors(places: &Places) -> Run {
    cargo(["run", "--release", "--quiet", "--manifest-path", INTEROP, "--bin", "vectors"])
        .env("CARGO_TARGET_DIR", places.target_of("interop"))
}

fn simulate(places: &Places, seeds: &str, seconds: &str) -> Run {
    run(places.binary("elara-sim"), ["--seeds", seeds, "--seconds", seconds])
}

fn fuzz(places: &Places, seconds: &str) -> Run {
    cargo([
        "run",
        "--release",
        "--quiet",
        "--manifest-path",
        FUZZ,
        "--",
        "all",
        "--seconds",
        seconds,
    ])
    .env("CARGO_TARGET_DIR", places.target_of("fuzz"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_has_one_name_and_says_what_it_proves() {
        for steps in [GATE, SOAK] {
            let mut names: Vec<&str> = steps.iter().map(|step| step.name).collect();
            assert!(steps.iter().all(|step| !step.proves.is_empty()));
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), steps.len());
        }
    }

    #[test]
    fn every_step_of_the_gate_is_explained_beside_it() {
        let page = include_str!("../../.ci/README.md");
        for step in GATE {
            assert!(page.contains(&format!("**{}**", step.name)), "{} is not explained", step.name);
        }
    }
}
