//! Commands and their arguments; what goes wrong becomes one sentence and an exit status.

mod demo;
mod file;
mod keygen;
mod say;
mod serve;
mod signals;
mod status;
mod time;
mod token;
mod turn;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use elara_runtime::NodeError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A relay for real-time sessions: one binary, one UDP port.
#[derive(Debug, Parser)]
#[command(name = "elara", version, after_help = EXAMPLE)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a relay until SIGINT or SIGTERM
    Serve(serve::Serve),
    /// Watch a relay at work: two hundred people talk for a few seconds
    Demo(demo::Demo),
    /// Ask the relay of this machine how it is
    Status(status::Status),
    /// Make a key: a relay's, an issuer's, a node's, one for TURN
    Keygen(keygen::Keygen),
    /// Say who may enter a session, and read what others said
    Token(token::Token),
    /// Credentials for TURN, and whether a TURN server works
    Turn(turn::Turn),
}

const EXAMPLE: &str = "\
Examples:
  elara demo                                  two hundred people talk for a few seconds
  elara serve --dev --listen 127.0.0.1:7840   a relay for this machine, to try things with
  elara status                                how the relay of this machine is
  elara keygen issuer                         a key that says who may enter, in issuer.key
  elara token mint --issuer issuer.key --session 5e55101700000001
                                              a token that lets its first holder in for an hour";

/// Why a command did not do what was asked.
#[derive(Debug)]
enum Failure {
    /// What was asked cannot be done: whoever asked must ask differently. Status 2.
    Asked(String),
    /// It broke while running. Status 1.
    Broke(String),
}

impl Failure {
    fn asked(error: &impl ToString) -> Self {
        Self::Asked(error.to_string())
    }
}

/// What breaks a node that runs.
impl From<NodeError> for Failure {
    fn from(error: NodeError) -> Self {
        Self::Broke(error.to_string())
    }
}

/// Does what the arguments say.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    log_to_stderr();
    let done = match cli.command {
        Command::Serve(serve) => serve.run(),
        Command::Demo(demo) => demo.run(),
        Command::Status(status) => status.run(),
        Command::Keygen(keygen) => keygen.run(),
        Command::Token(token) => token.run(),
        Command::Turn(turn) => turn.run(),
    };
    let (status, sentence) = match done {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failure::Asked(sentence)) => (2, sentence),
        Err(Failure::Broke(sentence)) => (1, sentence),
    };
    say::complaint(&sentence);
    ExitCode::from(status)
}

/// What the control side runs on: one thread is plenty.
fn control() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::Broke(format!("no runtime for the control side: {error}")))
}

/// Help and version are answers; everything else is a sentence with a way out.
fn refuse(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(2)
        }
        _ => {
            say::complaint(&sentence(&error.render().to_string()));
            ExitCode::from(2)
        }
    }
}

/// Clap's paragraphs as one sentence: the error, its tips, and where help is.
fn sentence(rendered: &str) -> String {
    let mut parts = Vec::new();
    let mut command = String::from("elara");
    for line in rendered.lines().map(str::trim) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            let words = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
            command = words.collect::<Vec<_>>().join(" ");
            break;
        }
        let part = line.trim_start_matches("error: ").trim_start_matches("tip: ");
        if !part.is_empty() && !part.starts_with("For more information") {
            parts.push(part);
        }
    }
    format!("{}; see {command} --help", parts.join("; "))
}

/// Logs go to stderr, warnings and worse unless `RUST_LOG` says otherwise.
fn log_to_stderr() {
    let filter =
        EnvFilter::builder().with_default_directive(LevelFilter::WARN.into()).from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            let example = format!("elara {}", command.get_name());
            assert!(help.contains("Example") && help.contains(&example), "{help}");
        }
    }

    #[test]
    fn a_bad_flag_is_one_sentence_with_a_way_out() {
        let error = Cli::try_parse_from(["elara", "serve", "--lissen", "x"]).unwrap_err();
        let sentence = sentence(&error.render().to_string());
        assert_eq!(
            sentence,
            "unexpected argument '--lissen' found; a similar argument exists: '--listen'; \
             see elara serve --help"
        );
        let error = Cli::try_parse_from(["elara", "serve", "--shards", "300"]).unwrap_err();
        assert_eq!(
            super::sentence(&error.render().to_string()),
            "invalid value '300' for '--shards <N>': shards = 300 is out of range: \
             it must be 0 to 256; see elara --help"
        );
    }
}
