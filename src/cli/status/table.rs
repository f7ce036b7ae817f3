//! The numbers of a relay as a table for people: a row for each, a column for the total and each shard.

use std::time::Duration;

use elara_runtime::Verdict;

use super::super::say::number;
use super::page::Row;

/// With more shards than this their columns are shown only when asked for.
const COLUMNS_MAX: usize = 8;

/// How a row is shown.
#[derive(Clone, Copy)]
enum When {
    Always,
    NotZero,
    /// Only when everything is.
    Asked,
}

/// What metrics are called here, and in which order; two spaces mark a part of the row above. The
/// verdicts stand behind `datagrams in`.
const NAMES: &[(&str, &str, When)] = &[
    ("sessions", "elara_sessions", When::Always),
    ("participants", "elara_participants", When::Always),
    ("  joined", "elara_participants_joined_total", When::NotZero),
    ("  moved", "elara_participants_moved_total", When::NotZero),
    ("  left", "elara_participants_left_total", When::NotZero),
    ("  half-open", "elara_half_open", When::NotZero),
    ("TURN allocations", "elara_turn_allocations", When::NotZero),
    ("  permissions", "elara_turn_permissions", When::NotZero),
    ("  channels", "elara_turn_channels", When::NotZero),
    ("TURN datagrams relayed", "elara_turn_relayed_datagrams_total", When::NotZero),
    ("  their bytes", "elara_turn_relayed_bytes_total", When::NotZero),
    ("load, permille of a cpu", "elara_load_permille", When::NotZero),
    (DATAGRAMS_IN, "elara_received_datagrams_total", When::Always),
    ("dropped before that, receive queue full", "elara_receive_overflow_total", When::NotZero),
    ("bytes in", "elara_received_bytes_total", When::Always),
    ("trains in", "elara_received_trains_total", When::Asked),
    ("v1 frames", "elara_frames_total", When::NotZero),
    ("handshakes", "elara_handshakes_total", When::NotZero),
    ("  waiting", "elara_hellos_waiting", When::NotZero),
    ("malformed messages", "elara_control_faults_total", When::NotZero),
    ("copies out", "elara_copies_total", When::Always),
    ("  sent", "elara_copies_sent_total", When::NotZero),
    ("  of them control", "elara_control_sent_total", When::NotZero),
    ("  of them answers to strangers", "elara_answers_sent_total", When::NotZero),
    ("  dropped, send buffer full", "elara_copies_busy_total", When::NotZero),
    ("  dropped, not sendable", "elara_copies_failed_total", When::NotZero),
    ("bytes out", "elara_sent_bytes_total", When::Always),
    ("cycles", "elara_cycles_total", When::Asked),
    ("  with more left to do", "elara_overruns_total", When::NotZero),
    ("  short of buffers", "elara_starved_total", When::NotZero),
    ("commands", "elara_commands_total", When::Asked),
    ("notices lost", "elara_notices_lost_total", When::NotZero),
];
const DATAGRAMS_IN: &str = "datagrams in";
const VERDICTS: &str = "elara_datagrams_total";

/// Rows in the order they are shown.
pub(super) struct Table {
    shards: usize,
    rows: Vec<Line>,
}

struct Line {
    name: String,
    when: When,
    values: Vec<u64>,
    /// What it means, where that is not obvious.
    meaning: &'static str,
}

impl Table {
    /// What a relay has counted since it started.
    pub(super) fn of(shards: usize, counted: &[Row]) -> Self {
        let mut rows = Vec::new();
        for (name, metric, when) in NAMES {
            let named = counted.iter().find(|row| row.metric == *metric);
            rows.extend(named.map(|row| Line::new(name, *when, row)));
            if *name == DATAGRAMS_IN {
                rows.extend(counted.iter().filter(|row| row.metric == VERDICTS).map(Line::verdict));
            }
        }
        let known = |row: &&Row| {
            row.metric != VERDICTS && NAMES.iter().all(|(_, metric, _)| *metric != row.metric)
        };
        rows.extend(
            counted.iter().filter(known).map(|row| Line::new(&row.metric, When::Asked, row)),
        );
        Self { shards, rows }
    }

    /// What it counted a second between two looks; what can fall is shown as it is.
    pub(super) fn of_rates(shards: usize, before: &[Row], after: &[Row], passed: Duration) -> Self {
        let passed_s = passed.as_secs_f64().max(0.001);
        let rates = after.iter().map(|row| {
            let earlier = before
                .iter()
                .find(|old| old.metric == row.metric && old.verdict == row.verdict && !row.gauge);
            let rate = |(shard, value): (usize, &u64)| match earlier {
                Some(old) => {
                    let then = old.values.get(shard).copied().unwrap_or(0);
                    (value.saturating_sub(then) as f64 / passed_s).round() as u64
                }
                None => *value,
            };
            let values = row.values.iter().enumerate().map(rate).collect();
            let (metric, verdict) = (row.metric.clone(), row.verdict.clone());
            Row { metric, verdict, gauge: row.gauge, values }
        });
        Self::of(shards, &rates.collect::<Vec<_>>())
    }

    /// The table, a head and then a line for each row; `all` hides nothing.
    pub(super) fn lines(&self, all: bool) -> Vec<String> {
        let columns =
            if self.shards == 1 || self.shards > COLUMNS_MAX && !all { 0 } else { self.shards };
        let mut head = vec![String::new(), "total".to_owned()];
        head.extend((0..columns).map(|shard| format!("shard {shard}")));
        let rows = self.rows.iter().filter(|row| all || !row.is_hidden());
        let cells = rows.map(|row| (row.cells(columns), row.meaning));
        let table: Vec<(Vec<String>, &str)> = std::iter::once((head, "")).chain(cells).collect();
        let width = |column: usize| {
            table.iter().map(|(cells, _)| cells[column].chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns + 2).map(width).collect();
        table.iter().map(|(cells, meaning)| align(cells, &widths, meaning)).collect()
    }
}

fn align(cells: &[String], widths: &[usize], meaning: &str) -> String {
    let mut line = format!("{:<width$}", cells[0], width = widths[0]);
    for (cell, width) in cells.iter().zip(widths).skip(1) {
        line.push_str(&format!("  {cell:>width$}"));
    }
    if !meaning.is_empty() {
        line.push_str("  ");
        line.push_str(meaning);
    }
    line
}

impl Line {
    fn new(name: &str, when: When, row: &Row) -> Self {
        let values = row.values.clone();
        Self { name: name.to_owned(), when, values, meaning: "" }
    }

    fn verdict(row: &Row) -> Self {
        let label = row.verdict.as_deref().unwrap_or_default();
        let known = Verdict::ALL.iter().find(|verdict| verdict.label() == label);
        let meaning = known.map_or("", |verdict| verdict.sentence());
        Self { meaning, ..Self::new(&format!("  {label}"), When::NotZero, row) }
    }

    fn total(&self) -> u64 {
        self.values.iter().copied().fold(0, u64::saturating_add)
    }

    fn is_hidden(&self) -> bool {
        match self.when {
            When::Always => false,
            When::NotZero => self.total() == 0,
            When::Asked => true,
        }
    }

    /// Its name, the total, and as many shards as there are columns.
    fn cells(&self, columns: usize) -> Vec<String> {
        let shards = self.values.iter().take(columns).copied();
        let numbers = std::iter::once(self.total()).chain(shards).map(number);
        std::iter::once(self.name.clone()).chain(numbers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(metric: &str, verdict: Option<&str>, values: &[u64]) -> Row {
        let gauge = metric == "elara_sessions";
        let (metric, verdict) = (metric.to_owned(), verdict.map(str::to_owned));
        Row { metric, verdict, gauge, values: values.to_vec() }
    }

    fn rows(times: u64) -> Vec<Row> {
        vec![
            row(VERDICTS, Some("forwarded"), &[1_000 * times, 5]),
            row(VERDICTS, Some("runt"), &[0, 0]),
            row(VERDICTS, Some("new_here"), &[0, times]),
            row("elara_received_datagrams_total", None, &[1_000 * times, 5 + times]),
            row("elara_sessions", None, &[12, 3]),
            row("elara_overruns_total", None, &[0, 0]),
            row("elara_later_total", None, &[0, 7]),
        ]
    }

    #[test]
    fn what_is_zero_is_left_out_and_numbers_stand_under_each_other() {
        assert_eq!(
            Table::of(2, &rows(1)).lines(false),
            [
                "              total  shard 0  shard 1",
                "sessions         15       12        3",
                "datagrams in  1,006    1,000        6",
                "  forwarded   1,005    1,000        5  passed on to everyone else in its session",
                "  new_here        1        0        1",
            ]
        );
    }

    #[test]
    fn all_leaves_nothing_out_not_even_what_has_no_name_here() {
        let lines = Table::of(2, &rows(1)).lines(true);
        for start in ["  runt ", "  with more left to do ", "elara_later_total "] {
            assert!(lines.iter().any(|line| line.starts_with(start)), "{start} in {lines:#?}");
        }
    }

    #[test]
    fn rates_are_of_what_only_grows() {
        let lines = Table::of_rates(2, &rows(1), &rows(5), Duration::from_secs(2)).lines(false);
        assert_eq!(
            lines[1..],
            [
                "sessions         15       12        3",
                "datagrams in  2,002    2,000        2",
                "  forwarded   2,000    2,000        0  passed on to everyone else in its session",
                "  new_here        2        0        2",
            ]
        );
    }

    #[test]
    fn many_shards_have_columns_only_when_asked_for() {
        let sessions =
            |shards: usize| Table::of(shards, &[row("elara_sessions", None, &vec![1; shards])]);
        assert_eq!(sessions(9).lines(false), ["          total", "sessions      9"]);
        assert!(sessions(9).lines(true)[0].ends_with("shard 8"));
        assert_eq!(sessions(1).lines(false), ["          total", "sessions      1"]);
    }
}
