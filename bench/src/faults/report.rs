//! A row of each case, as a table or as JSON lines.

use std::io::{self, Write};

use serde::Serialize;

use super::case::Case;
use super::observed::Observed;
use crate::Error;

/// The figures of one case.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) bench: &'static str,
    pub(super) case: &'static str,
    pub(super) requests: usize,
    /// Good answers while the origin was ill, percent
    pub(super) success: f64,
    pub(super) failed_first_second: usize,
    pub(super) failed_later: usize,
    pub(super) failed_after_recovery: usize,
    pub(super) worst_second: usize,
    /// Requests that the ill origin got before it was first left alone
    pub(super) asked_first: usize,
    /// What it got from a second later on, percent
    pub(super) share: f64,
    pub(super) p99_before_ms: f64,
    pub(super) p99_ill_ms: f64,
    /// Until the end of the first second in which it had its share again, seconds
    pub(super) back_s: Option<f64>,
    /// Most it got in a second after that, as a multiple of its share
    pub(super) peak: f64,
}

impl Row {
    pub(super) fn of(case: &Case, observed: &Observed) -> Self {
        let [failed_first_second, failed_later, failed_after_recovery] = observed.failed();
        let [p99_before_ms, p99_ill_ms] = observed.p99();
        Self {
            bench: "faults",
            case: case.name,
            requests: observed.exchanges.len(),
            success: observed.success() * 100.0,
            failed_first_second,
            failed_later,
            failed_after_recovery,
            worst_second: observed.worst_second(),
            asked_first: observed.asked_before_pause(),
            share: observed.share() * 100.0,
            p99_before_ms,
            p99_ill_ms,
            back_s: observed.back_after().map(|after| after.as_secs_f64()),
            peak: observed.peak(),
        }
    }

    pub(super) fn write(&self, out: &mut impl Write, json: bool) -> Result<(), Error> {
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
        } else {
            self.write_line(out)?;
        }
        out.flush()?;
        Ok(())
    }

    fn write_line(&self, out: &mut impl Write) -> io::Result<()> {
        let back = self
            .back_s
            .map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"));
        writeln!(
            out,
            "{:<16} {:>8.2} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7.2} {:>7.1} {:>7.1} {:>7} {:>5.2}",
            self.case,
            self.success,
            self.failed_first_second,
            self.failed_later,
            self.failed_after_recovery,
            self.worst_second,
            self.asked_first,
            self.share,
            self.p99_before_ms,
            self.p99_ill_ms,
            back,
            self.peak,
        )
    }
}

/// The head of the table.
pub(super) fn heading(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<16} {:>8} {:>27} {:>6} {:>15} {:>15} {:>13}\n\
         {:<16} {:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>7} {:>7} {:>7} {:>5}",
        "",
        "answered",
        "failed",
        "asked",
        "share",
        "p99, ms",
        "returns",
        "case",
        "%",
        "1st s",
        "later",
        "after",
        "worst",
        "first",
        "% ",
        "before",
        "ill",
        "in",
        "peak"
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::ask::Answer;
    use super::super::case;
    use super::super::observed::Exchange;
    use super::*;

    #[test]
    fn a_line_of_json_has_each_figure_under_its_name() {
        let seconds = Duration::from_secs;
        let case = case::all().next().unwrap();
        let exchange = |due| Exchange {
            due: seconds(due),
            took: Duration::from_millis(20),
            answer: Answer {
                status: (due != 2).then_some(http::StatusCode::OK),
                origin: Some(0),
            },
        };
        let observed = Observed {
            exchanges: (0..8).map(exchange).collect(),
            asked: vec![Duration::ZERO, seconds(2)],
            origins: 2,
            ill: 1,
            fell_ill: seconds(1),
            recovered: seconds(6),
            rate: 1,
        };
        let mut out = Vec::new();
        Row::of(&case, &observed).write(&mut out, true).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let expected = json!({
            "bench": "faults",
            "case": "slow",
            "requests": 8,
            "success": 80.0,
            "failed_first_second": 0,
            "failed_later": 1,
            "failed_after_recovery": 0,
            "worst_second": 1,
            "asked_first": 1,
            "share": 25.0,
            "p99_before_ms": 20.0,
            "p99_ill_ms": 20.0,
            "back_s": null,
            "peak": 0.0,
        });
        assert_eq!(line, expected);
    }
}
