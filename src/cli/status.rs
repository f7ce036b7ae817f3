//! `elara status`: asks a relay on this machine how it is, and shows what it counts to people.

mod ask;
mod page;
mod table;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use self::page::Page;
use self::table::Table;
use super::{Failure, file, say, time};

/// What `elara status` is told.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Status {
    /// Where the relay's admin listener is
    #[arg(long, value_name = "ADDR", default_value_t = file::ADMIN, value_parser = address)]
    admin: SocketAddr,
    /// Show what is zero too, and each shard however many there are
    #[arg(long)]
    all: bool,
    /// Ask again every so many seconds, and show what happened a second; Ctrl-C ends it
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    watch: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  elara status                          the relay of this machine: who is in, what was refused and why
  elara status --watch 2                what happens a second, every two seconds
  elara status --admin 127.0.0.1:7941   another relay of this machine";

impl Status {
    /// Asks and shows.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let mut page = self.ask()?;
        page.about(time::now()).into_iter().for_each(say::fact);
        let Some(seconds) = self.watch else {
            say::fact("");
            self.show(&Table::of(page.shards, &page.rows));
            return Ok(());
        };
        let mut asked = Instant::now();
        loop {
            thread::sleep(Duration::from_secs(seconds).saturating_sub(asked.elapsed()));
            let passed = asked.elapsed();
            asked = Instant::now();
            let before = std::mem::replace(&mut page, self.ask()?);
            say::fact(format_args!("\nper second, over {:.1} s:", passed.as_secs_f64()));
            self.show(&Table::of_rates(page.shards, &before.rows, &page.rows, passed));
        }
    }

    fn show(&self, table: &Table) {
        table.lines(self.all).into_iter().for_each(say::fact);
    }

    fn ask(&self) -> Result<Page, Failure> {
        let text = ask::metrics(self.admin).map_err(Failure::Broke)?;
        Page::read(&text).ok_or_else(|| Failure::Broke(ask::no_relay(self.admin)))
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("not an address with a port, such as {}", file::ADMIN))
}
