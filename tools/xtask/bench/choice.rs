//! What is measured of all that could be, for `bench wire`.

use clap::Args;

use super::contest::{Scene, Sinks};
use super::path::Lab;
use super::search::search;
use super::workload::{Case, Io, Workload};
use super::{chosen, names};
use crate::shell::Places;

#[derive(Args)]
pub(super) struct Choice {
    /// Rounds; every contestant runs once in each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// Measured seconds of each run.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub seconds: u32,
    /// Only these workloads [voice,video]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOAD,..")]
    only: Vec<Workload>,
    /// Only these back ends of the relay.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "IO,..")]
    io: Vec<Io>,
    /// Sends per second and sender, instead of searching for a rate.
    #[arg(long)]
    rate: Option<f64>,
}

impl Choice {
    pub(super) fn workloads(&self) -> Vec<Workload> {
        if self.only.is_empty() {
            return vec![Workload::Voice, Workload::Video];
        }
        self.only.clone()
    }

    pub(super) fn ios(&self) -> Vec<Io> {
        chosen(&self.io)
    }

    /// Sends per second and sender: as was told, or searched.
    pub(super) fn rate(&self, workload: Workload, places: &Places) -> Result<f64, String> {
        let (case, lab) = (Case::v0(workload), &Lab::loopback());
        let scene = Scene { case, sinks: Sinks::Gro, lab, places };
        self.rate.map_or_else(|| search(&scene).map(|found| found.rate), Ok)
    }

    /// The command that repeats such a run of `bench`.
    pub(super) fn command(&self, bench: &str) -> String {
        let Self { rounds, seconds, .. } = self;
        let mut command =
            format!("cargo xtask bench {bench} --rounds {rounds} --seconds {seconds}");
        command += &names("--only", &self.only);
        command += &names("--io", &self.io);
        if let Some(rate) = self.rate {
            command += &format!(" --rate {rate}");
        }
        command
    }
}
