//! What the router has to reach, and whether it does.
//!
//! Every bar is a figure that may not be more than its limit, in a cell: a scenario, a pool, a load and a number of
//! routers. Limits are absolute where those who are left stay at 80 % of what they can do or less. Elsewhere nobody could
//! keep them, and the limit is a tenth more than what a router reaches that knows who is faulty.

mod bars;
mod cells;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::grid::{Cell, Grid};
use crate::report::{Row, order};
use crate::router::Policy;
use cells::Cells;

/// One bar in one cell.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// What is asked.
    pub bar: &'static str,
    /// In which scenario.
    pub scenario: &'static str,
    /// Of so many hosts.
    pub n: usize,
    /// At this load, 0 to 1; 0 in the published settings.
    pub load: f64,
    /// With so many routers.
    pub routers: usize,
    /// What the router did: the median of the seeds, or the most where none is allowed.
    pub seen: f64,
    /// What it may do at most.
    pub limit: f64,
}

impl Finding {
    /// Whether the bar is met.
    pub fn holds(&self) -> bool {
        self.seen <= self.limit
    }

    /// What was seen, in parts of what may be.
    fn part(&self) -> String {
        let mark = if self.holds() { ' ' } else { '!' };
        if self.limit > 0.0 {
            format!("{:.2}{mark}", self.seen / self.limit)
        } else {
            format!("{:.0}{mark}", self.seen)
        }
    }
}

/// The runs that the bars are read from: who has to run what.
const RUNS: [(&[&str], &[Policy]); 5] = [
    (
        &["S0", "S13a", "S13b", "S13c"],
        &[Policy::Buttress, Policy::RoundRobin, Policy::LeastRequest],
    ),
    (
        &["S1", "S2a", "S2b", "S4", "S5", "S6-10", "S11"],
        &[Policy::Buttress, Policy::Informed, Policy::Oracle],
    ),
    (
        &["S6-1", "S8a", "S8b"],
        &[Policy::Buttress, Policy::RoundRobin],
    ),
    (&["S16a", "S16b"], &[Policy::Buttress]),
    (
        &["linkerd-2016", "tower-demo", "brpc", "brpc-healthy"],
        &[Policy::Buttress],
    ),
];

/// The cells of `grid` that the bars are read from.
pub fn cells(grid: &Grid) -> Vec<Cell> {
    let of = |(scenarios, policies): &(&[&str], &[Policy])| {
        let wanted = scenarios.iter().map(ToString::to_string);
        let wanted = wanted.filter(|it| grid.only.is_empty() || grid.only.contains(it));
        let only: Vec<String> = wanted.collect();
        let grid = Grid {
            policies: policies.to_vec(),
            only: only.clone(),
            ..grid.clone()
        };
        if only.is_empty() {
            Vec::new()
        } else {
            grid.cells()
        }
    };
    RUNS.iter().flat_map(of).collect()
}

/// Every bar in each cell for which there are runs.
pub fn judge(rows: &[Row]) -> Vec<Finding> {
    bars::all(&Cells::of(rows))
}

/// A line for each bar and scenario, a column for each pool and load; then what is not met, in figures.
pub fn table(findings: &[Finding]) -> String {
    let mut columns = BTreeSet::new();
    let mut lines: BTreeMap<_, BTreeMap<_, &Finding>> = BTreeMap::new();
    for it in findings {
        let column = (it.n, percent(it.load));
        columns.insert(column);
        let line = (order(it.scenario), it.scenario, it.bar, it.routers);
        lines.entry(line).or_default().insert(column, it);
    }
    let mut text = String::from("What was seen in parts of what may be; `!` is more.\n\n");
    let _ = write!(text, "{:<13} {:>3} {:<36}", "scenario", "r", "bar");
    for (n, load) in &columns {
        let _ = write!(text, " {:>8}", format!("{n}@{load}%"));
    }
    for ((_, scenario, bar, routers), found) in lines {
        let _ = write!(text, "\n{scenario:<13} {routers:>3} {bar:<36}");
        for column in &columns {
            let part = found.get(column).map(|it| it.part()).unwrap_or_default();
            let _ = write!(text, " {part:>8}");
        }
    }
    text.push_str("\n\n");
    text.push_str(&not_met(findings));
    text
}

fn not_met(findings: &[Finding]) -> String {
    let mut text = String::new();
    for it in findings.iter().filter(|it| !it.holds()) {
        let Finding {
            bar,
            scenario,
            n,
            routers,
            seen,
            limit,
            ..
        } = it;
        let load = percent(it.load);
        let _ = writeln!(
            text,
            "not met: {scenario}, {n} hosts, {load} %, {routers} router(s): {bar}: {seen:.3}, may be {limit:.3}"
        );
    }
    let met = findings.iter().filter(|it| it.holds()).count();
    let _ = writeln!(text, "{met} of {} are met", findings.len());
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of 0 to 2"
)]
fn percent(load: f64) -> u32 {
    (load * 100.0).round() as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world;

    #[test]
    fn what_is_more_than_may_be_is_not_met_and_is_told_in_figures() {
        let found = |bar, seen, limit| Finding {
            bar,
            scenario: "S0",
            n: 10,
            load: 0.75,
            routers: 1,
            seen,
            limit,
        };
        let told = table(&[found("P99, ms", 90.0, 100.0), found("ejections", 1.0, 0.0)]);
        assert!(told.contains("0.90 "), "{told}");
        assert!(told.contains("1!"), "{told}");
        assert!(
            told.contains(
                "not met: S0, 10 hosts, 75 %, 1 router(s): ejections: 1.000, may be 0.000"
            )
        );
        assert!(told.contains("1 of 2 are met"));
    }

    #[test]
    fn a_run_of_what_a_bar_is_about_is_judged_by_it() {
        let grid = Grid {
            only: vec!["linkerd-2016".to_owned()],
            seeds: 1,
            routers: vec![1],
            ..Grid::default()
        };
        let mut rows = Vec::new();
        for cell in cells(&grid) {
            let seen = world::run(&cell.scenario, cell.policy, cell.routers, cell.seed);
            rows.push(Row::of(&cell, &seen));
        }
        let [finding] = &*judge(&rows) else {
            panic!("one bar, one cell");
        };
        assert!((finding.limit - 0.05).abs() < 1e-9 && finding.seen < 100.0);
    }
}
