//! The recorded counts: a file that people can read, with what they depend on beside them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Workload, line};

/// Where they are, from the root.
pub(super) const PATH: &str = "benches/instructions.toml";

const HEAD: &str = "# Instructions of one operation, as callgrind counts them. `cargo xtask count` \
    compares with this and fails\n# 5 % above it; `cargo xtask count --record` writes it.\n\n";

/// What the counts depend on besides our code.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(super) struct Machine {
    pub arch: String,
    pub rustc: String,
    pub valgrind: String,
    pub libc: String,
    /// Features of the cpu, as valgrind shows them to the program. It hides what it cannot do, VAES and
    /// AVX-512 for example, so that one list fits many machines.
    pub features: Vec<String>,
}

/// The file.
#[derive(Debug, Deserialize, PartialEq)]
pub(super) struct Baseline {
    pub machine: Machine,
    pub instructions: BTreeMap<String, f64>,
}

/// How a machine differs from the recorded one.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Differs {
    /// Nothing can be compared, because of this.
    pub all: Option<String>,
    /// Nothing with a cipher can be compared, because of this.
    pub ciphers: Option<String>,
    /// Everything is compared, and this may explain what is found.
    pub notes: Vec<String>,
}

impl Machine {
    /// This one, where valgrind shows `features`.
    pub(super) fn read(features: Vec<String>) -> Result<Self, String> {
        let rustc = line("rustc", &["--version"])?;
        let valgrind = line("valgrind", &["--version"])?;
        let bare = |text: &str, at| text.split([' ', '-']).nth(at).unwrap_or_default().to_owned();
        Ok(Self {
            arch: std::env::consts::ARCH.to_owned(),
            rustc: bare(&rustc, 1),
            valgrind: bare(&valgrind, 1),
            libc: line("getconf", &["GNU_LIBC_VERSION"]).unwrap_or_else(|_| "unknown".to_owned()),
            features,
        })
    }
}

impl Baseline {
    pub(super) fn read(root: &Path) -> Result<Self, String> {
        let again = "`cargo xtask count --record` writes it";
        let text = fs::read_to_string(root.join(PATH));
        let text = text.map_err(|error| format!("{PATH}: {error}; {again}"))?;
        toml::from_str(&text).map_err(|error| format!("{PATH}: {error}; {again}"))
    }

    pub(super) fn write(&self, root: &Path) -> Result<(), String> {
        fs::write(root.join(PATH), self.text()).map_err(|error| format!("{PATH}: {error}"))
    }

    /// The file's text.
    fn text(&self) -> String {
        let Machine { arch, rustc, valgrind, libc, features } = &self.machine;
        let mut text = format!(
            "{HEAD}[machine]\narch = {arch:?}\nrustc = {rustc:?}\nvalgrind = {valgrind:?}\n\
             libc = {libc:?}\n# As valgrind shows them, not as the cpu has them.\n\
             features = {features:?}\n\n[instructions]\n"
        );
        for (name, count) in &self.instructions {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:?} = {count:.1}");
        }
        text
    }

    /// The table for the page.
    pub(super) fn markdown(&self) -> String {
        let Machine { arch, rustc, valgrind, libc, features } = &self.machine;
        let mut text = String::from("| one operation | instructions |\n|---|---|\n");
        for (name, count) in &self.instructions {
            let _ = writeln!(text, "| {name} | {count:.0} |");
        }
        let features = features.join(" ");
        let _ = write!(
            text,
            "\n`cargo xtask count --record`; rustc {rustc}, valgrind {valgrind}, {libc}, {arch} with \
             {features}.\n"
        );
        text
    }

    /// What stands between these counts and ones taken on `machine`.
    pub(super) fn compare(&self, machine: &Machine) -> Differs {
        let ours = &self.machine;
        let mut differs = Differs::default();
        if ours.arch != machine.arch {
            let why = format!("the counts are of {}, this is {}", ours.arch, machine.arch);
            differs.all = Some(why);
        }
        if ours.features != machine.features {
            let beyond = |a: &Machine, b: &Machine| {
                let only = a.features.iter().filter(|name| !b.features.contains(name));
                let only: Vec<&str> = only.map(String::as_str).collect();
                if only.is_empty() { "nothing".to_owned() } else { only.join(" ") }
            };
            differs.ciphers = Some(format!(
                "ciphers choose their code by the cpu, and valgrind shows another one: missing is \
                 {}, more is {}",
                beyond(ours, machine),
                beyond(machine, ours)
            ));
        }
        for (what, recorded, present) in [
            ("rustc", &ours.rustc, &machine.rustc),
            ("valgrind", &ours.valgrind, &machine.valgrind),
            ("libc", &ours.libc, &machine.libc),
        ] {
            if recorded != present {
                differs.notes.push(format!("{what} is {present}, recorded with {recorded}"));
            }
        }
        differs
    }

    /// What is recorded and is no workload.
    pub(super) fn beyond(&self, workloads: &[Workload]) -> Vec<String> {
        let gone = |name: &&String| workloads.iter().all(|workload| workload.name != **name);
        self.instructions.keys().filter(gone).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        let features = ["aes", "avx2"].map(str::to_owned).to_vec();
        let [arch, rustc, valgrind, libc] =
            ["x86_64", "1.95.0", "3.19.0", "glibc 2.36"].map(str::to_owned);
        Machine { arch, rustc, valgrind, libc, features }
    }

    fn baseline() -> Baseline {
        let instructions = [("parse/v0", 46.0), ("seal/120", 3_726.1)];
        let instructions = instructions.map(|(name, count)| (name.to_owned(), count));
        Baseline { machine: machine(), instructions: instructions.into() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(toml::from_str::<Baseline>(&baseline().text()).unwrap(), baseline());
    }

    #[test]
    fn the_same_machine_hides_nothing() {
        assert_eq!(baseline().compare(&machine()), Differs::default());
    }

    #[test]
    fn another_cpu_excuses_ciphers_and_another_architecture_everything() {
        let other = ["aes", "vaes"].map(str::to_owned).to_vec();
        let differs = baseline().compare(&Machine { features: other, ..machine() });
        let why = differs.ciphers.unwrap();
        assert!(why.ends_with("missing is avx2, more is vaes"), "{why}");
        assert_eq!((differs.all, differs.notes), (None, Vec::new()));
        let arm = Machine { arch: "aarch64".into(), ..machine() };
        assert!(baseline().compare(&arm).all.unwrap().contains("aarch64"));
    }

    #[test]
    fn another_compiler_excuses_nothing_and_is_named() {
        let differs = baseline().compare(&Machine { rustc: "1.96.0".into(), ..machine() });
        assert_eq!(differs.notes, ["rustc is 1.96.0, recorded with 1.95.0"]);
        assert_eq!((differs.all, differs.ciphers), (None, None));
    }

    #[test]
    fn what_is_recorded_and_gone_is_named() {
        let parse = Workload { name: "parse/v0".into(), operation: String::new(), cipher: false };
        assert_eq!(baseline().beyond(&[parse]), ["seal/120"]);
    }

    #[test]
    fn the_page_shows_what_is_recorded() {
        let recorded = include_str!("../../../benches/instructions.toml");
        let recorded: Baseline = toml::from_str(recorded).unwrap();
        assert!(include_str!("../../../docs/PERFORMANCE.md").contains(&recorded.markdown()));
    }
}
