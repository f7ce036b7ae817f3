//! Running programs: what is run is printed as it could be typed, and a failure says which one it was.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// A program with its arguments, environment and folder.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
    bare: bool,
}

/// Cargo, the one that runs us if one does.
pub(crate) fn cargo<S: Into<String>>(args: impl IntoIterator<Item = S>) -> Run {
    run(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// `program` with `args`.
pub(crate) fn run<S: Into<String>>(
    program: impl Into<String>,
    args: impl IntoIterator<Item = S>,
) -> Run {
    let args = args.into_iter().map(Into::into).collect();
    Run { program: program.into(), args, env: Vec::new(), dir: None, bare: false }
}

impl Run {
    /// With a variable of the environment set.
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Without any of our environment: only what [`Run::env`] sets.
    pub(crate) const fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Started by `program` with `args`, which come before.
    pub(crate) fn under<'a>(self, program: &str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let before = args.into_iter().map(str::to_owned);
        let args = before.chain([self.program]).chain(self.args).collect();
        Self { program: program.to_owned(), args, ..self }
    }

    /// In a folder.
    pub(crate) fn in_dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Runs it and shows what it prints as it prints it, handing each line of its output to `line`.
    /// False when it fails.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn show(&self, mut line: impl FnMut(&str)) -> Result<bool, String> {
        println!("$ {self}");
        let mut child =
            self.command().stdout(Stdio::piped()).spawn().map_err(|error| self.wrong(error))?;
        let output = BufReader::new(child.stdout.take().expect("it was asked to be piped"));
        for text in output.lines() {
            let text = text.map_err(|error| self.wrong(error))?;
            println!("{text}");
            line(&text);
        }
        Ok(child.wait().map_err(|error| self.wrong(error))?.success())
    }

    /// Runs it with only its stderr shown: our own output may be JSON.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub(crate) fn perform(&self) -> Result<(), String> {
        eprintln!("$ {self}");
        let status =
            self.command().stdout(Stdio::null()).status().map_err(|error| self.wrong(error))?;
        if status.success() { Ok(()) } else { Err(self.wrong(status)) }
    }

    /// Runs it and shows nothing; whether that worked.
    pub(crate) fn perform_quietly(&self) -> bool {
        let quiet = self.command().stdout(Stdio::null()).stderr(Stdio::null()).status();
        quiet.is_ok_and(|status| status.success())
    }

    /// Runs it and answers what it prints.
    ///
    /// # Errors
    /// When it cannot be started or fails; what it said on stderr is part of the message.
    pub(crate) fn read(&self) -> Result<String, String> {
        self.answer(Stdio::piped())
    }

    /// As [`Run::read`], with its stderr shown as it comes: for what takes long.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub(crate) fn read_aloud(&self) -> Result<String, String> {
        self.answer(Stdio::inherit())
    }

    fn answer(&self, stderr: Stdio) -> Result<String, String> {
        let output = self.command().stderr(stderr).output().map_err(|error| self.wrong(error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let said = said.trim();
            // What was shown is not said again.
            return Err(if said.is_empty() { self.wrong(output.status) } else { self.wrong(said) });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// As the standard library wants it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // `cargo xtask` is told about the package xtask. Cargo inside of it is not to take that for a change:
        // ring's build script asks for these, and everything would be built again each time.
        for (name, _) in std::env::vars_os() {
            let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_"];
            if name.to_str().is_some_and(|name| about_us.iter().any(|us| name.starts_with(us))) {
                command.env_remove(&name);
            }
        }
        if self.bare {
            command.env_clear();
        }
        command.args(&self.args).envs(self.env.iter().cloned());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn wrong(&self, error: impl fmt::Display) -> String {
        format!("`{self}`: {error}")
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={value} ")?;
        }
        let file = Path::new(&self.program).file_name();
        let is_cargo = file.is_some_and(|name| name == "cargo");
        write!(f, "{}", if is_cargo { "cargo" } else { self.program.as_str() })?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

/// Where things are.
pub(crate) struct Places {
    /// The project's root.
    pub root: PathBuf,
    /// Cargo's target folder, relative to the root where it lies in it.
    pub target: PathBuf,
}

impl Places {
    /// Asks cargo, and makes the root the current folder, so that every path can be relative.
    ///
    /// # Errors
    /// When cargo does not know the workspace.
    pub(crate) fn find() -> Result<Self, String> {
        let text = cargo(["metadata", "--no-deps", "--format-version", "1"]).read()?;
        let metadata: Value =
            serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        let path = |name: &str| PathBuf::from(metadata[name].as_str().unwrap_or_default());
        let (root, target) = (path("workspace_root"), path("target_directory"));
        std::env::set_current_dir(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        let target = target.strip_prefix(&root).map(Path::to_owned).unwrap_or(target);
        Ok(Self { root, target })
    }

    /// A release binary.
    pub(crate) fn binary(&self, name: &str) -> String {
        self.target.join("release").join(name).display().to_string()
    }

    /// A target folder of its own for an excluded workspace.
    pub(crate) fn target_of(&self, workspace: &str) -> String {
        self.target.join(workspace).display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_prints_as_it_could_be_typed() {
        let typed = run("a/cargo", ["test", "--release"]).env("ELARA_BIN", "x");
        assert_eq!(typed.to_string(), "ELARA_BIN=x cargo test --release");
        let under = typed.under("nice", ["-n", "5"]).to_string();
        assert_eq!(under, "ELARA_BIN=x nice -n 5 a/cargo test --release");
        assert_eq!(
            run("target/release/elara", ["serve"]).to_string(),
            "target/release/elara serve"
        );
    }

    #[test]
    fn a_failure_names_what_failed() {
        let error = run("no-such-program-anywhere", [""; 0]).read().unwrap_err();
        assert!(error.starts_with("`no-such-program-anywhere`: "), "{error}");
        let error = run("sh", ["-c", "echo because >&2; exit 3"]).read().unwrap_err();
        assert!(error.ends_with("because"), "{error}");
    }

    #[test]
    fn output_is_seen_line_by_line() {
        let mut lines = Vec::new();
        let ok = run("sh", ["-c", "echo one; echo two; exit 1"])
            .show(|line| lines.push(line.to_owned()));
        assert_eq!((ok, lines.join(" ").as_str()), (Ok(false), "one two"));
    }
}
