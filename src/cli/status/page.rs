//! A relay's `/metrics` read back: the numbers of each shard, and which relay it is.

use super::super::time;

/// What a relay says about itself.
#[derive(Debug, Default)]
pub(super) struct Page {
    version: String,
    node: String,
    listen: String,
    io: String,
    started_s: u64,
    /// How many shards it has.
    pub(super) shards: usize,
    /// In the order of the page.
    pub(super) rows: Vec<Row>,
}

/// One number of each shard.
#[derive(Debug)]
pub(super) struct Row {
    /// The metric's name, `elara_datagrams_total` for a verdict.
    pub(super) metric: String,
    pub(super) verdict: Option<String>,
    /// Whether it can fall.
    pub(super) gauge: bool,
    /// By shard.
    pub(super) values: Vec<u64>,
}

impl Page {
    /// `None` when this is not what a relay says.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut page = Self::default();
        let mut gauge = false;
        for line in text.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                gauge = kind.ends_with(" gauge");
            } else if !line.starts_with('#') {
                page.take(line, gauge)?;
            }
        }
        let whole = page.rows.iter().all(|row| row.values.len() == page.shards);
        (whole && !page.version.is_empty()).then_some(page)
    }

    fn take(&mut self, line: &str, gauge: bool) -> Option<()> {
        let (series, value) = line.rsplit_once(' ')?;
        let value: u64 = value.parse().ok()?;
        let (metric, labels) = series.split_once('{').unwrap_or((series, ""));
        let label = |name: &str| {
            let mut labels = labels.trim_end_matches('}').split(',');
            labels
                .find_map(|label| label.strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
        };
        match (metric, label("shard")) {
            ("elara_build_info", _) => label("version")?.clone_into(&mut self.version),
            ("elara_node_info", _) => {
                label("node_id")?.clone_into(&mut self.node);
                label("listen")?.clone_into(&mut self.listen);
                label("io")?.clone_into(&mut self.io);
            }
            ("elara_start_time_seconds", _) => self.started_s = value,
            (_, Some(shard)) => {
                self.put(metric, label("verdict"), gauge, shard.parse().ok()?, value)?
            }
            _ => {}
        }
        Some(())
    }

    /// Shards come in order, so each new one is the next.
    fn put(
        &mut self,
        metric: &str,
        verdict: Option<&str>,
        gauge: bool,
        shard: usize,
        value: u64,
    ) -> Option<()> {
        let same = |row: &&mut Row| row.metric == metric && row.verdict.as_deref() == verdict;
        if let Some(row) = self.rows.iter_mut().find(same) {
            (row.values.len() == shard).then(|| row.values.push(value))?;
        } else {
            (shard == 0).then_some(())?;
            let (metric, verdict) = (metric.to_owned(), verdict.map(str::to_owned));
            self.rows.push(Row { metric, verdict, gauge, values: vec![value] });
        }
        self.shards = self.shards.max(shard + 1);
        Some(())
    }

    /// Which relay it is, at second `now`.
    pub(super) fn about(&self, now: u32) -> Vec<String> {
        let io = if self.io == "io_uring" { "io_uring" } else { "system calls" };
        let up = u64::from(now).saturating_sub(self.started_s);
        let up = time::about(u32::try_from(up).unwrap_or(u32::MAX));
        vec![
            format!("elara {}, node {}, up for {up}", self.version, self.node),
            format!("listening on {}, on {io}", self.listen),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP elara_build_info Which elara this is.\n\
        # TYPE elara_build_info gauge\n\
        elara_build_info{version=\"0.3.0\"} 1\n\
        elara_node_info{node_id=\"00000000000000ff\",listen=\"[::]:7840\",io=\"syscall\"} 1\n\
        elara_start_time_seconds 1000\n\
        # TYPE elara_datagrams_total counter\n\
        elara_datagrams_total{shard=\"0\",verdict=\"runt\"} 3\n\
        elara_datagrams_total{shard=\"1\",verdict=\"runt\"} 4\n\
        # TYPE elara_sessions gauge\n\
        elara_sessions{shard=\"0\"} 1\n\
        elara_sessions{shard=\"1\"} 2\n";

    #[test]
    fn what_a_relay_says_is_read_back() {
        let page = Page::read(TEXT).unwrap();
        assert_eq!(
            page.about(1_090),
            [
                "elara 0.3.0, node 00000000000000ff, up for 90 seconds",
                "listening on [::]:7840, on system calls"
            ]
        );
        assert_eq!(page.shards, 2);
        let rows: Vec<_> = page.rows.iter().map(|row| (row.gauge, row.values.as_slice())).collect();
        assert_eq!(rows, [(false, &[3, 4][..]), (true, &[1, 2])]);
        assert_eq!(page.rows[0].verdict.as_deref(), Some("runt"));
    }

    #[test]
    fn what_no_relay_says_is_not_read() {
        for text in [
            "",
            "<html>\n",
            "up 1\n",
            &TEXT.replace("} 4", "} four"),
            &TEXT.replace("\"1\"", "\"2\""),
            &TEXT.replace("elara_sessions{shard=\"1\"} 2\n", ""),
        ] {
            assert!(Page::read(text).is_none(), "{text}");
        }
    }
}
