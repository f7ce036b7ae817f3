//! What a check has found: one line a step, for people as it comes and for programs at the end.

use std::fmt;
use std::net::SocketAddr;

use serde::Serialize;

use super::super::super::say;

/// How a step came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    /// As it should.
    Ok,
    /// Refused by design, which may be what its operator wants.
    Denied,
    /// Not as it should.
    Failed,
    /// Not tried, because what it needs is not there.
    Skipped,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Denied => "denied",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

/// One of them.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    step: &'static str,
    outcome: Outcome,
    /// What was seen.
    detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

/// All of them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    server: String,
    address: SocketAddr,
    ok: bool,
    steps: Vec<Step>,
    /// Each step is said when it is done.
    #[serde(skip)]
    aloud: bool,
}

impl Report {
    pub(super) fn new(server: String, address: SocketAddr, aloud: bool) -> Self {
        if aloud {
            say::fact(format_args!("server: {server} ({address})"));
        }
        Self { server, address, ok: true, steps: Vec::new(), aloud }
    }

    pub(super) fn ok(&mut self, step: &'static str, detail: impl Into<String>) {
        self.add(Step { step, outcome: Outcome::Ok, detail: detail.into(), remedy: None });
    }

    pub(super) fn failed_at(
        &mut self,
        step: &'static str,
        detail: impl Into<String>,
        remedy: impl Into<Option<String>>,
    ) {
        self.ok = false;
        let remedy = remedy.into();
        self.add(Step { step, outcome: Outcome::Failed, detail: detail.into(), remedy });
    }

    pub(super) fn denied(&mut self, step: &'static str, detail: String, remedy: String) {
        self.add(Step { step, outcome: Outcome::Denied, detail, remedy: Some(remedy) });
    }

    /// Several that lack the same: for people one line.
    pub(super) fn skip(&mut self, steps: &[&'static str], why: &str) {
        if self.aloud && !steps.is_empty() {
            say::fact(format_args!("{:<7}  {}: {why}", Outcome::Skipped.word(), steps.join(", ")));
        }
        self.steps.extend(steps.iter().map(|step| Step {
            step,
            outcome: Outcome::Skipped,
            detail: why.to_owned(),
            remedy: None,
        }));
    }

    fn add(&mut self, step: Step) {
        if self.aloud {
            say::fact(&step);
        }
        self.steps.push(step);
    }

    pub(super) fn failed(&self) -> usize {
        self.count(Outcome::Failed)
    }

    pub(super) const fn len(&self) -> usize {
        self.steps.len()
    }

    fn count(&self, outcome: Outcome) -> usize {
        self.steps.iter().filter(|step| step.outcome == outcome).count()
    }

    /// All in one line.
    pub(super) fn summary(&self) -> String {
        let mut parts = vec![format!("{} ok", self.count(Outcome::Ok))];
        for (outcome, word) in [
            (Outcome::Failed, "failed"),
            (Outcome::Denied, "denied by design"),
            (Outcome::Skipped, "skipped"),
        ] {
            let count = self.count(outcome);
            if count > 0 {
                parts.push(format!("{count} {word}"));
            }
        }
        parts.join(", ")
    }
}

/// `failed   allocation: what was seen; what to do`
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}  {}: {}", self.outcome.word(), self.step, self.detail)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_a_line_and_all_of_them_a_summary() {
        let mut report = Report::new("x:1".to_owned(), ([127, 0, 0, 1], 1).into(), false);
        report.ok("binding", "seen as 192.0.2.1:7");
        report.denied("permission", "refused".to_owned(), "allow it".to_owned());
        report.skip(&["data"], "no permission");
        report.failed_at("close", "no answer", None);
        let lines: Vec<String> = report.steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "ok       binding: seen as 192.0.2.1:7",
                "denied   permission: refused; allow it",
                "skipped  data: no permission",
                "FAILED   close: no answer",
            ]
        );
        assert_eq!(report.summary(), "1 ok, 1 failed, 1 denied by design, 1 skipped");
        assert_eq!((report.failed(), report.len(), report.ok), (1, 4, false));
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["steps"][1]["outcome"], "denied");
        assert_eq!(json["steps"][1]["remedy"], "allow it");
        assert!(json["steps"][0].get("remedy").is_none() && json["ok"] == false);
    }
}
