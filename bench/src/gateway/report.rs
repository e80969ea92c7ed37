//! What was measured, as a table or as JSON lines.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::Error;

/// One round: the CPU time that each proxy took for the same number of requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Round {
    pub(super) bare: Duration,
    pub(super) subject: Duration,
}

/// All rounds of one comparison.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) subject: &'static str,
    /// Whether origin and load sleep while they have nothing to do.
    pub(super) peers: &'static str,
    pub(super) requests: u64,
    pub(super) rounds: Vec<Round>,
}

impl Report {
    /// Writes the table, or one JSON object a line.
    pub(super) fn write(&self, out: &mut impl Write, json: bool) -> Result<(), Error> {
        let ratio = Spread::of(self.rounds.iter().map(Round::ratio));
        let bare = self.throughput(|round| round.bare);
        let subject = self.throughput(|round| round.subject);
        if json {
            self.write_json(out, "bare", bare, None)?;
            self.write_json(out, self.subject, subject, Some(ratio))?;
        } else {
            self.write_table(out, bare, subject, ratio)?;
        }
        Ok(())
    }

    fn throughput(&self, cpu: impl Fn(&Round) -> Duration) -> Spread {
        Spread::of(
            self.rounds
                .iter()
                .map(|round| self.requests as f64 / cpu(round).as_secs_f64()),
        )
    }

    fn write_table(
        &self,
        out: &mut impl Write,
        bare: Spread,
        subject: Spread,
        ratio: Spread,
    ) -> io::Result<()> {
        writeln!(
            out,
            "{:<12} {:>30} {:>16}",
            "", "requests per CPU-second", "CPU per"
        )?;
        writeln!(
            out,
            "{:<12} {:>10} {:>9} {:>9} {:>16}",
            "proxy", "median", "min", "max", "request"
        )?;
        for (name, spread) in [("bare", bare), (self.subject, subject)] {
            writeln!(
                out,
                "{name:<12} {:>10.0} {:>9.0} {:>9.0} {:>13.2} µs",
                spread.median,
                spread.min,
                spread.max,
                1e6 / spread.median
            )?;
        }
        writeln!(out)?;
        writeln!(
            out,
            "{} ÷ bare: {:.3} (median of {} rounds, {:.3} to {:.3}; peers {})",
            self.subject,
            ratio.median,
            self.rounds.len(),
            ratio.min,
            ratio.max,
            self.peers
        )
    }

    fn write_json(
        &self,
        out: &mut impl Write,
        name: &'static str,
        throughput: Spread,
        ratio: Option<Spread>,
    ) -> Result<(), Error> {
        let line = Line {
            bench: "gateway",
            name,
            peers: self.peers,
            rounds: self.rounds.len(),
            requests_per_round: self.requests,
            requests_per_cpu_s_median: throughput.median,
            requests_per_cpu_s_min: throughput.min,
            requests_per_cpu_s_max: throughput.max,
            ratio_median: ratio.map(|ratio| ratio.median),
            ratio_min: ratio.map(|ratio| ratio.min),
            ratio_max: ratio.map(|ratio| ratio.max),
        };
        writeln!(out, "{}", serde_json::to_string(&line)?)?;
        Ok(())
    }
}

impl Round {
    /// Requests per CPU-second of the subject, as a share of the bare proxy's.
    fn ratio(&self) -> f64 {
        self.bare.as_secs_f64() / self.subject.as_secs_f64()
    }
}

#[derive(Debug, Serialize)]
struct Line {
    bench: &'static str,
    #[serde(rename = "impl")]
    name: &'static str,
    peers: &'static str,
    rounds: usize,
    requests_per_round: u64,
    requests_per_cpu_s_median: f64,
    requests_per_cpu_s_min: f64,
    requests_per_cpu_s_max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_median: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_max: Option<f64>,
}

/// Median and extremes of one figure over all rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    /// Not a number where there is nothing to spread.
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            min: at(0),
            median: f64::midpoint(at(last / 2), at(sorted.len() / 2)),
            max: at(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_lies_between_the_two_middle_values() {
        let odd = Spread::of([3.0, 1.0, 2.0].into_iter());
        assert_eq!(
            odd,
            Spread {
                min: 1.0,
                median: 2.0,
                max: 3.0
            }
        );
        let even = Spread::of([4.0, 1.0, 2.0, 3.0].into_iter());
        assert_eq!(
            even,
            Spread {
                min: 1.0,
                median: 2.5,
                max: 4.0
            }
        );
    }

    #[test]
    fn the_ratio_is_the_median_of_each_rounds_own() {
        let round = |bare, subject| Round {
            bare: Duration::from_millis(bare),
            subject: Duration::from_millis(subject),
        };
        let report = Report {
            subject: "buttress",
            peers: "asleep",
            requests: 1000,
            rounds: vec![round(50, 100), round(100, 200), round(100, 100)],
        };
        let mut out = Vec::new();
        report.write(&mut out, true).unwrap();
        let out = String::from_utf8(out).unwrap();
        let line: serde_json::Value = serde_json::from_str(out.lines().nth(1).unwrap()).unwrap();
        assert_eq!(line["ratio_median"], 0.5);
        assert_eq!(line["requests_per_cpu_s_median"], 10_000.0);
    }
}
