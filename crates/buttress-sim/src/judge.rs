//! What the router has to reach, and whether it does.
//!
//! Every bar is a figure that may not be more than its limit, in a cell: a scenario, a pool, a load and a number of
//! routers. Limits are absolute where those who are left stay at 80 % of what they can do or less. Elsewhere nobody could
//! keep them, and the limit is a tenth more than what is reached by the best of those who know who is faulty and of two who
//! ask all alike: whoever knows and sends everything to those who are well may lose more than both. A limit that no run can
//! exceed is none, and is not told.
//!
//! Where a bar is about what a fault costs until it is known, a second one is run beside the router in the same cell: it is
//! told who is faulty at the first sign that it had itself ([`Policy::Learner`]). What that misses as well is beyond any
//! router that is told nothing by others, and is told as that where the router is within a tenth of it.

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
    /// What is reached by who knows at the first sign, where the bar is about what is not yet known.
    pub learnt: Option<f64>,
}

/// What is made of a bar in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It is met.
    Met,
    /// It is missed by who knows at the first sign as well, and the router is within a tenth of that one.
    Beyond,
    /// It is not met.
    Missed,
}

/// A tenth more than somebody who knows.
const OF_WHO_KNOWS: f64 = 1.1;

impl Finding {
    /// Whether the bar is met.
    pub fn ruling(&self) -> Ruling {
        let is_beyond = |learnt: f64| learnt > self.limit && self.seen <= OF_WHO_KNOWS * learnt;
        if self.seen <= self.limit {
            Ruling::Met
        } else if self.learnt.is_some_and(is_beyond) {
            Ruling::Beyond
        } else {
            Ruling::Missed
        }
    }

    /// What was seen, in parts of what may be.
    fn part(&self) -> String {
        let mark = match self.ruling() {
            Ruling::Met => ' ',
            Ruling::Beyond => '~',
            Ruling::Missed => '!',
        };
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
        &["S1", "S2a", "S2b", "S4", "S5", "S6-1", "S6-10", "S11"],
        &[
            Policy::Buttress,
            Policy::Informed,
            Policy::Learner,
            Policy::Oracle,
            Policy::RoundRobin,
            Policy::LeastRequest,
        ],
    ),
    (&["S8a", "S8b"], &[Policy::Buttress, Policy::RoundRobin]),
    (&["S16a", "S16b"], &[Policy::Buttress]),
    (
        &["linkerd-2016", "tower-demo", "brpc", "brpc-healthy"],
        &[Policy::Buttress, Policy::Learner],
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
    let mut text = String::from(
        "What was seen in parts of what may be; `!` is more, `~` is more for whoever knows at the first sign as well.\n\n",
    );
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
    let of = |ruling| findings.iter().filter(move |it| it.ruling() == ruling);
    let mut text = String::new();
    for (ruling, head) in [(Ruling::Missed, "not met"), (Ruling::Beyond, "beyond")] {
        for it in of(ruling) {
            let _ = writeln!(text, "{head}: {}", in_figures(it));
        }
    }
    let _ = writeln!(
        text,
        "{} of {} are met, {} are beyond whoever knows at the first sign, {} are not met",
        of(Ruling::Met).count(),
        findings.len(),
        of(Ruling::Beyond).count(),
        of(Ruling::Missed).count(),
    );
    text
}

fn in_figures(it: &Finding) -> String {
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
    let mut text = format!(
        "{scenario}, {n} hosts, {load} %, {routers} router(s): {bar}: {seen:.3}, may be {limit:.3}"
    );
    if let Some(learnt) = it.learnt {
        let _ = write!(text, "; at the first sign {learnt:.3}");
    }
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
            learnt: None,
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
    fn a_bar_is_beyond_only_where_who_knows_at_the_first_sign_misses_it_and_the_router_is_near() {
        let ruling = |seen, learnt| {
            let finding = Finding {
                bar: "errors",
                scenario: "S5",
                n: 3,
                load: 0.5,
                routers: 20,
                seen,
                limit: 1.0,
                learnt,
            };
            finding.ruling()
        };
        assert_eq!(ruling(1.0, Some(2.0)), Ruling::Met);
        assert_eq!(ruling(2.1, Some(2.0)), Ruling::Beyond);
        assert_eq!(ruling(2.3, Some(2.0)), Ruling::Missed);
        assert_eq!(ruling(1.05, Some(1.0)), Ruling::Missed);
        assert_eq!(ruling(1.1, None), Ruling::Missed);
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
