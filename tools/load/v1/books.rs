//! The books of joining: how many came in, how fast, how often the relay put them off, and why the
//! others did not come in.

use std::fmt;

use elara_core::time::Span;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::{Quantiles, grouped};

/// Times beyond a minute are recorded as a minute.
const TIME_MAX: u64 = 60_000_000_000;

/// How joining went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Joins {
    /// Participants that sent a first HELLO.
    pub tried: u64,
    /// Of these, those whose first PING the relay answered.
    pub joined: u64,
    /// From the first HELLO to the last answer, in seconds.
    pub took_s: f64,
    /// `joined / took_s`.
    pub joined_per_s: f64,
    /// HELLOs sent: first ones, repetitions, and those with a cookie.
    pub hellos: u64,
    /// RETRY: the relay asked for a cookie.
    pub retries: u64,
    /// BUSY: the relay asked to come later.
    pub busy: u64,
    /// Not begun, because everyone who could come was still on the way or inside.
    pub not_begun: u64,
    /// Why others did not come in.
    pub failed: JoinFailures,
    /// From a participant's first HELLO (where there is a rate: from when it was due) to the first
    /// PONG; null when nobody came in.
    pub latency_ns: Option<Quantiles>,
}

/// Participants that gave up, by what they heard last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct JoinFailures {
    /// Nothing: a relay answers nobody who does not name its key, or whose token it does not believe.
    pub no_answer: u64,
    /// The network said that nobody listens.
    pub refused: u64,
    /// RETRY.
    pub retry: u64,
    /// BUSY.
    pub busy: u64,
    /// WELCOME, and then no PONG.
    pub no_pong: u64,
}

impl fmt::Display for Joins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tried, per_s) = (grouped(self.tried), grouped(self.joined_per_s.round() as u64));
        write!(f, "of {tried} in {:.2} s, {per_s}/s", self.took_s)?;
        for (count, what) in [
            (self.retries, "RETRY"),
            (self.busy, "BUSY"),
            (self.not_begun, "not begun for want of visitors"),
        ] {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count))?;
            }
        }
        if self.failed.total() > 0 { write!(f, "; of the others {}", self.failed) } else { Ok(()) }
    }
}

impl JoinFailures {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.no_answer + self.refused + self.retry + self.busy + self.no_pong
    }

    pub(crate) const fn count(&mut self, last: LastHeard) {
        match last {
            LastHeard::Nothing => self.no_answer += 1,
            LastHeard::Refusal => self.refused += 1,
            LastHeard::Retry => self.retry += 1,
            LastHeard::Busy => self.busy += 1,
            LastHeard::Welcome => self.no_pong += 1,
        }
    }
}

impl fmt::Display for JoinFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.no_answer, "heard nothing"),
            (self.refused, "heard that nobody listens"),
            (self.retry, "heard RETRY last"),
            (self.busy, "heard BUSY last"),
            (self.no_pong, "were welcomed and heard no PONG"),
        ];
        let said = reasons.iter().filter(|(count, _)| *count > 0);
        let said: Vec<String> = said.map(|(count, what)| format!("{count} {what}")).collect();
        f.write_str(&said.join(", "))
    }
}

/// What a participant on its way in heard last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LastHeard {
    #[default]
    Nothing,
    Refusal,
    Retry,
    Busy,
    Welcome,
}

/// The books themselves.
pub(crate) struct Books {
    pub(crate) tried: u64,
    pub(crate) hellos: u64,
    pub(crate) retries: u64,
    pub(crate) busy: u64,
    pub(crate) not_begun: u64,
    pub(crate) failed: JoinFailures,
    latency: Histogram<u64>,
}

impl Books {
    pub(crate) fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, TIME_MAX, 3);
        Self {
            tried: 0,
            hellos: 0,
            retries: 0,
            busy: 0,
            not_begun: 0,
            failed: JoinFailures::default(),
            latency: latency.expect("constant bounds that are valid"),
        }
    }

    /// Someone came in, this long after it began.
    pub(crate) fn joined(&mut self, took: Span) {
        self.latency.saturating_record(took.as_nanos());
    }

    pub(crate) fn close(&self, took: Span) -> Joins {
        let took_s = took.as_nanos() as f64 / 1e9;
        let joined = self.latency.len();
        Joins {
            tried: self.tried,
            joined,
            took_s,
            joined_per_s: if took_s > 0.0 { joined as f64 / took_s } else { 0.0 },
            hellos: self.hellos,
            retries: self.retries,
            busy: self.busy,
            not_begun: self.not_begun,
            failed: self.failed,
            latency_ns: Quantiles::of(&self.latency),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_say_how_many_how_fast_and_why_not() {
        let mut books = Books::new();
        books.tried = 4;
        books.joined(Span::from_micros(300));
        books.joined(Span::from_micros(500));
        books.failed.count(LastHeard::Busy);
        books.failed.count(LastHeard::Nothing);
        let joins = books.close(Span::from_millis(100));
        assert_eq!((joins.tried, joins.joined, joins.joined_per_s), (4, 2, 20.0));
        assert_eq!(joins.failed.total(), 2);
        assert_eq!(joins.failed.to_string(), "1 heard nothing, 1 heard BUSY last");
        assert!(joins.latency_ns.unwrap().max >= 500_000);
        assert_eq!(Books::new().close(Span::ZERO).latency_ns, None);
    }
}
