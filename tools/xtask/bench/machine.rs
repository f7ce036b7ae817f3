//! Where and on what a measurement was taken.

use std::{fmt, fs};

use serde::Serialize;

use crate::shell::run;

/// What must stand beside a published number.
#[derive(Serialize)]
pub(super) struct Machine {
    pub cpu: String,
    pub cpus: usize,
    pub kernel: String,
    pub commit: String,
    pub date: String,
}

impl Machine {
    /// This one, at this moment.
    pub(super) fn read() -> Self {
        let line = |text: Result<String, String>| text.unwrap_or_default().trim().to_owned();
        let mut commit = line(run("git", ["rev-parse", "--short=12", "HEAD"]).read());
        if !line(run("git", ["status", "--porcelain", "--untracked-files=no"]).read()).is_empty() {
            commit += " with changes";
        }
        Self {
            cpu: model(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()).to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: line(
                fs::read_to_string("/proc/sys/kernel/osrelease").map_err(|error| error.to_string()),
            ),
            commit,
            date: line(run("date", ["-u", "+%F"]).read()),
        }
    }
}

impl Machine {
    /// The line under a table: how it was taken, where, and what it shows.
    pub(super) fn caption(&self, command: &str, shows: &str) -> String {
        let Self { cpu, cpus, kernel, commit, date } = self;
        format!("\n`{command}` at {commit}, {date}; {cpu}, {cpus} cpus, Linux {kernel}. {shows}.\n")
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, cpus, kernel, commit, date } = self;
        write!(f, "{cpu}, {cpus} cpus, Linux {kernel}, commit {commit}, {date}")
    }
}

fn model(cpuinfo: &str) -> &str {
    let value = |name: &str| {
        cpuinfo.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))
    };
    value("model name").or_else(|| value("CPU implementer")).map_or("unknown", str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_is_read_from_cpuinfo() {
        assert_eq!(model("processor\t: 0\nmodel\t\t: 1\nmodel name\t: A Fine CPU\n"), "A Fine CPU");
        assert_eq!(model(""), "unknown");
    }

    #[test]
    fn this_machine_has_a_kernel_and_a_date() {
        let machine = Machine::read();
        assert!(machine.cpus > 0 && !machine.kernel.is_empty());
        assert_eq!(machine.date.len(), "2025-01-01".len());
    }
}
