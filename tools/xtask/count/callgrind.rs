//! Running a program in callgrind, and reading what callgrind wrote.
//!
//! The format is that of the manual of callgrind, `Callgrind Format Specification`: a line of costs
//! belongs to the last `fn=`, unless a `calls=` stands before it: then it is what the callee
//! spent, and is counted there. Names are written once, as `(number) name`, and `(number)` after that.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use crate::shell::{Run, run};

/// Instructions, and the functions they were spent in, callees not included.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Profile {
    /// All of them.
    pub total: f64,
    /// By function.
    pub functions: HashMap<String, f64>,
}

/// The program that counts.
pub(super) struct Valgrind {
    path: String,
}

impl Valgrind {
    /// Found at `path`.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path: path.display().to_string() }
    }

    /// What the counted program says about itself in here, where it sees another cpu.
    pub(super) fn about(&self, counted: &str) -> Result<String, String> {
        self.around(&["--tool=none"], counted, &["--about"]).read()
    }

    /// What `times` operations of a workload cost, preparation included.
    pub(super) fn profile(
        &self,
        counted: &str,
        workload: &str,
        times: u32,
    ) -> Result<Profile, String> {
        let out = std::env::temp_dir().join(format!("elara-count-{}.out", std::process::id()));
        let (file, number) = (format!("--callgrind-out-file={}", out.display()), times.to_string());
        let callgrind = ["--tool=callgrind", "--dump-line=no", &file];
        let ran = self.around(&callgrind, counted, &[workload, &number]).read();
        let text = fs::read_to_string(&out);
        // A temporary file that cannot be removed harms nobody.
        let _ = fs::remove_file(&out);
        ran?;
        let text = text.map_err(|error| format!("{}: {error}", out.display()))?;
        Profile::parse(&text).ok_or_else(|| format!("callgrind wrote no totals for {workload}"))
    }

    /// `counted` in valgrind, with nothing around it that differs between machines: the environment lies
    /// above the stack and moves it. memcpy does without `rep movsb`, of which every byte would count.
    fn around(&self, tool: &[&str], counted: &str, args: &[&str]) -> Run {
        let own = ["--quiet", "--vgdb=no"];
        run(&self.path, own.iter().chain(tool).chain(&[counted]).chain(args).copied())
            .bare()
            .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
    }
}

/// Where the functions of the network in memory are: they stand for the kernel, and are not counted. What the
/// compiler puts into a function of ours is.
const NETWORK: [&str; 2] = ["elara_shards::io::memory::", "<elara_shards::io::memory::"];

impl Profile {
    /// What callgrind wrote; nothing where the line of totals is missing.
    fn parse(text: &str) -> Option<Self> {
        let mut names: HashMap<&str, &str> = HashMap::new();
        let mut profile = Self::default();
        let (mut current, mut total, mut called) = ("", None, false);
        let mut network = 0.0;
        for line in text.lines() {
            if let Some((key, value)) = line.split_once('=') {
                let name = named(value, if key.ends_with("fn") { Some(&mut names) } else { None });
                match key {
                    "fn" => current = name,
                    "calls" => called = true,
                    _ => {}
                }
            } else if let Some(sum) = line.strip_prefix("totals: ") {
                total = sum.trim().parse().ok();
            } else if line
                .starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first))
            {
                let cost = line.split(' ').nth(1).and_then(|cost| cost.parse::<f64>().ok());
                if std::mem::take(&mut called) {
                    continue;
                }
                if NETWORK.iter().any(|start| current.starts_with(start)) {
                    network += cost?;
                } else {
                    *profile.functions.entry(current.to_owned()).or_default() += cost?;
                }
            }
        }
        profile.total = total.map(|total: f64| total - network)?;
        Some(profile)
    }

    /// What one operation costs, when `many` did `more` of them more than `few`.
    pub(super) fn of_one(few: &Self, many: &Self, more: u32) -> Self {
        let one = |few: f64, many: f64| (many - few) / f64::from(more);
        let before = |name: &str| few.functions.get(name).copied().unwrap_or_default();
        let functions =
            many.functions.iter().map(|(name, cost)| (name.clone(), one(before(name), *cost)));
        Self { total: one(few.total, many.total), functions: functions.collect() }
    }

    /// The functions that have at least 2 % of all, the dearest first.
    pub(super) fn dearest(&self) -> Vec<(&str, f64)> {
        let weighs = |(_, cost): &(&str, f64)| *cost >= 0.02 * self.total;
        let all = self.functions.iter().map(|(name, cost)| (name.as_str(), *cost));
        let mut dearest: Vec<(&str, f64)> = all.filter(weighs).collect();
        dearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
        dearest
    }
}

/// The name that `(number) name` or `(number)` means.
fn named<'a>(value: &'a str, names: Option<&mut HashMap<&'a str, &'a str>>) -> &'a str {
    let Some(names) = names else { return value };
    match value.split_once(' ') {
        Some((number, name)) => {
            names.insert(number, name);
            name
        }
        None => names.get(value).copied().unwrap_or(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = "# callgrind format\nversion: 1\ncmd:  count a=b 7\npositions: line\n\
        events: Ir\nsummary: 31\n\n\
        fl=(1) a.c\nfn=(1) main\n0 4\ncfn=(2) check<a, b>\ncalls=2 0 \n0 20\n0 1\n\n\
        fn=(2)\nfi=(3) inlined.rs\n0 12\nfe=(1)\n+3 8\n\n\
        fn=(1)\n* 6\n\ntotals: 31\n";

    #[test]
    fn costs_belong_to_their_function_and_calls_to_the_callee() {
        let profile = Profile::parse(WRITTEN).unwrap();
        assert_eq!(profile.total, 31.0);
        let expected = [("main", 11.0), ("check<a, b>", 20.0)];
        let expected = expected.map(|(name, cost)| (name.to_owned(), cost));
        assert_eq!(profile.functions, HashMap::from(expected));
        assert_eq!(profile.dearest(), [("check<a, b>", 20.0), ("main", 11.0)]);
    }

    #[test]
    fn the_network_in_memory_is_not_counted() {
        let text = "fn=(1) <elara_shards::io::memory::Memory as elara_shards::io::Io>::send\n0 7\n\
            fn=(2) <elara_shards::shard::Shard<elara_shards::io::memory::Memory>>::receive\n0 5\n\
            fn=(3) elara_shards::io::memory::pool::Pool::bytes\n0 9\ntotals: 21\n";
        let profile = Profile::parse(text).unwrap();
        assert_eq!((profile.total, profile.functions.len()), (5.0, 1));
    }

    #[test]
    fn what_is_cut_off_is_not_believed() {
        let cut = WRITTEN.strip_suffix("totals: 31\n").unwrap();
        assert_eq!(Profile::parse(cut), None);
        assert_eq!(Profile::parse("fn=(1) a\n0 many\ntotals: 1\n"), None);
    }

    #[test]
    fn preparation_cancels_out() {
        let few = Profile::parse("fn=(1) prepare\n0 70\nfn=(2) work\n0 10\ntotals: 80\n").unwrap();
        let many = "fn=(1) prepare\n0 70\nfn=(2) work\n0 110\nfn=(3) timer\n0 5\ntotals: 185\n";
        let one = Profile::of_one(&few, &Profile::parse(many).unwrap(), 10);
        assert_eq!(one.total, 10.5);
        assert_eq!(one.dearest(), [("work", 10.0), ("timer", 0.5)]);
    }
}
