//! Steps: named pieces of work, run in order, timed, and summed up in a table.
//!
//! A step that fails does not stop the ones after it: whoever waits for the gate wants to hear
//! everything that is wrong, once.

use std::time::{Duration, Instant};

use crate::shell::{Places, Run};

/// One step: what it is called, what it proves, and what it does.
pub(crate) struct Step {
    /// The word for `--only`.
    pub name: &'static str,
    /// One sentence.
    pub proves: &'static str,
    /// The work.
    pub work: Work,
}

/// What a step does.
pub(crate) enum Work {
    /// Runs programs, one after the other; all of them must succeed.
    Programs(fn(&Places) -> Vec<Run>),
    /// Does something of ours in this process; false when it fails.
    Ours(fn(&Places) -> Result<bool, String>),
}

struct Outcome {
    name: &'static str,
    ok: bool,
    took: Duration,
    /// Tests that cargo said passed and failed.
    tests: Tests,
}

/// Runs the steps that `only` names (none named: all) and prints the table. False when one failed.
/// `command` is what the reader types to run one of them alone.
///
/// # Errors
/// When `only` names a step that does not exist.
pub(crate) fn run(
    steps: &[Step],
    only: &[String],
    command: &str,
    places: &Places,
) -> Result<bool, String> {
    if let Some(stranger) = only.iter().find(|name| steps.iter().all(|step| step.name != **name)) {
        let names: Vec<&str> = steps.iter().map(|step| step.name).collect();
        return Err(format!("there is no step `{stranger}`; the steps are {}", names.join(", ")));
    }
    let mut outcomes = Vec::new();
    for step in
        steps.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
    {
        println!("\n==== {}: {}", step.name, step.proves);
        let start = Instant::now();
        let mut tests = Tests::default();
        let ok = perform(step, places, &mut tests).unwrap_or_else(|error| {
            eprintln!("{error}");
            false
        });
        let took = start.elapsed();
        if !ok {
            println!("==== {} FAILED; alone: {command} --only {}", step.name, step.name);
        }
        outcomes.push(Outcome { name: step.name, ok, took, tests });
    }
    print(&outcomes, command);
    Ok(outcomes.iter().all(|outcome| outcome.ok))
}

/// Prints what the steps are.
pub(crate) fn list(steps: &[Step]) {
    for Step { name, proves, .. } in steps {
        println!("{name:<10} {proves}");
    }
}

fn perform(step: &Step, places: &Places, tests: &mut Tests) -> Result<bool, String> {
    match &step.work {
        Work::Ours(work) => work(places),
        Work::Programs(programs) => {
            let mut ok = true;
            for program in programs(places) {
                ok &= program.show(|line| tests.read(line))?;
            }
            Ok(ok)
        }
    }
}

fn print(outcomes: &[Outcome], command: &str) {
    println!("\n{:<10} {:>6} {:>8}  tests", "step", "", "seconds");
    for Outcome { name, ok, took, tests } in outcomes {
        let word = if *ok { "ok" } else { "FAILED" };
        let Tests { passed, failed } = tests;
        let tests = if passed + failed > 0 {
            format!("{passed} passed, {failed} failed")
        } else {
            String::new()
        };
        println!("{name:<10} {word:>6} {:>8.1}  {tests}", took.as_secs_f64());
    }
    let failed: Vec<&str> =
        outcomes.iter().filter(|outcome| !outcome.ok).map(|outcome| outcome.name).collect();
    if !failed.is_empty() {
        println!("again, only what failed: {command} --only {}", failed.join(","));
    }
    println!("{} passed, {} failed", outcomes.len() - failed.len(), failed.len());
}

/// Tests counted from cargo's closing lines.
#[derive(Clone, Copy, Default)]
struct Tests {
    passed: u32,
    failed: u32,
}

impl Tests {
    /// Reads `test result: ok. 12 passed; 0 failed; ...`, and nothing else.
    fn read(&mut self, line: &str) {
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = rest.split([' ', ';']).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::run as program;

    #[test]
    fn tests_are_counted_from_cargos_closing_lines() {
        let mut tests = Tests::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            "12 passed, 0 failed",
        ] {
            tests.read(line);
        }
        assert_eq!((tests.passed, tests.failed), (13, 2));
    }

    #[test]
    fn a_failing_step_fails_the_whole_but_the_others_still_run() {
        let sh = |name, work| Step { name, proves: "", work: Work::Programs(work) };
        let steps = [
            sh("bad", |_| vec![program("sh", ["-c", "exit 1"])]),
            sh("good", |_| vec![program("sh", ["-c", "exit 0"])]),
            sh("gone", |_| vec![program("no-such-program-anywhere", [""; 0])]),
        ];
        let places = Places { root: ".".into(), target: "target".into() };
        let ran = |only: &[&str]| {
            let only: Vec<String> = only.iter().map(|name| (*name).to_owned()).collect();
            run(&steps, &only, "x", &places)
        };
        assert_eq!(ran(&[]), Ok(false));
        assert_eq!(ran(&["good"]), Ok(true));
        assert_eq!(ran(&["gone"]), Ok(false));
        assert!(ran(&["bat"]).unwrap_err().contains("bad, good, gone"));
    }
}
