//! The bars.

use super::Finding;
use super::cells::{At, Cells};
use crate::report::Row;
use crate::router::Policy::{self, Buttress, Informed, Learner, LeastRequest, Oracle, RoundRobin};

/// Survivors above this share of what they can do keep no absolute limit.
const BEARABLE: f64 = 0.8;
/// A tenth more than the best there is.
const OF_THE_BEST: f64 = 1.1;
/// Of those who know the faults, and of those who ask all alike.
const YARDSTICKS: [Policy; 4] = [Informed, Oracle, RoundRobin, LeastRequest];
/// A host that is 10 times as slow takes as many seconds for an answer, and 250 ms more are given.
const SLOW_ANSWER: f64 = 0.5 + 0.25;

type Figure = fn(&Row) -> f64;

pub(super) fn all(cells: &Cells<'_>) -> Vec<Finding> {
    let bars = [
        healthy, slow, failing, grey, together, returning, wedged, published,
    ];
    bars.iter().flat_map(|bar| bar(cells)).collect()
}

/// Where nothing is wrong: no worse than the best of the simple ones, and nobody is thrown out.
fn healthy(cells: &Cells<'_>) -> Vec<Finding> {
    each(cells, &["S0", "S13a", "S13b", "S13c"], |scenario, at| {
        let p99 = |policy| cells.median((scenario, at, policy), |row| row.p99_ms);
        let best = p99(RoundRobin)?.min(p99(LeastRequest)?);
        let out = cells.most((scenario, at, Buttress), |row| row.ejections as f64);
        Some(vec![
            Held::new(
                "P99, ms, 1.05 x the best simple one",
                p99(Buttress)?,
                1.05 * best,
            ),
            Held::new("ejections", out?, 0.0),
        ])
    })
}

/// Up to 30 % slow: as if they were not there, and soon.
fn slow(cells: &Cells<'_>) -> Vec<Finding> {
    each(cells, &["S1", "S2a", "S2b"], |scenario, at| {
        let faulty = at.scenario(scenario)?.fault.hosts.len() as f64 / at.n as f64;
        if faulty > 0.3 {
            return None;
        }
        let waits = |bar, of: Figure, healthy: Figure, times: f64| {
            let seen = cells.median((scenario, at, Buttress), of)?;
            let limit = if is_bearable(scenario, at)? {
                times * cells.median(("S0", at, Buttress), healthy)?
            } else {
                OF_THE_BEST * best(cells, scenario, at, of)?
            };
            let learnt = cells.median((scenario, at, Learner), of);
            // Nobody waits for longer.
            let can_be_missed = limit < 1e3 * at.scenario(scenario)?.timeout.as_secs_f64();
            can_be_missed.then(|| Held::new(bar, seen, limit).learnt(learnt))
        };
        // A router has to have sent it something.
        let gap = at.routers as f64 * at.n as f64 / at.scenario(scenario)?.rate;
        let never = f64::INFINITY;
        let divert = cells.median((scenario, at, Buttress), |row| {
            row.divert_s.unwrap_or(never)
        });
        let held = [
            waits(
                "P99, ms, 1.1 x healthy",
                |row| row.fault_p99_ms,
                |row| row.p99_ms,
                1.1,
            ),
            waits(
                "P99.9, ms, 1.5 x healthy",
                |row| row.fault_p999_ms,
                |row| row.p999_ms,
                1.5,
            ),
            divert.map(|divert| Held::new("diverted, s", divert, SLOW_ANSWER + gap)),
        ];
        Some(held.into_iter().flatten().collect())
    })
}

/// Failures in no time: next to nobody hears of them after the first second.
fn failing(cells: &Cells<'_>) -> Vec<Finding> {
    each(cells, &["S4", "S5", "S11"], |scenario, at| {
        let limit = limit_of_errors(cells, scenario, at, 0.05)?;
        let seen = cells.median((scenario, at, Buttress), errors)?;
        let learnt = cells.median((scenario, at, Learner), errors);
        let held = Held::new("errors after 1 s, %", seen, limit);
        Some(vec![held.learnt(learnt)])
    })
}

/// One host that fails now and then.
fn grey(cells: &Cells<'_>) -> Vec<Finding> {
    let mut found = each(cells, &["S6-10"], |scenario, at| {
        let limit = limit_of_errors(cells, scenario, at, 0.1)?;
        let seen = cells.median((scenario, at, Buttress), errors)?;
        let learnt = cells.median((scenario, at, Learner), errors);
        let held = Held::new("errors after 1 s, %", seen, limit);
        Some(vec![held.learnt(learnt)])
    });
    found.extend(each(cells, &["S6-1"], |scenario, at| {
        let seen = |policy| cells.median((scenario, at, policy), errors);
        let out = cells.median((scenario, at, Buttress), |row| row.ejections as f64);
        Some(vec![
            Held::new(
                "errors, %, half of round robin's",
                seen(Buttress)?,
                limit_of_errors(cells, scenario, at, seen(RoundRobin)? / 2.0)?,
            )
            .learnt(seen(Learner)),
            Held::new("ejections", out?, 0.0),
        ])
    }));
    found
}

/// All fail together: no worse than whoever does nothing about it.
fn together(cells: &Cells<'_>) -> Vec<Finding> {
    each(cells, &["S8a", "S8b"], |scenario, at| {
        let lost = |policy| cells.median((scenario, at, policy), |row| 100.0 * (1.0 - row.success));
        let p999 = |policy| cells.median((scenario, at, policy), |row| row.p999_ms);
        Some(vec![
            Held::new(
                "errors, %, 0.5 more than round robin",
                lost(Buttress)?,
                lost(RoundRobin)? + 0.5,
            ),
            Held::new(
                "P99.9, ms, 1.1 x round robin's",
                p999(Buttress)?,
                1.1 * p999(RoundRobin)?,
            ),
        ])
    })
}

/// Whoever is back is not overrun: no second has a fifth more than its share, or than chance gives any host.
fn returning(cells: &Cells<'_>) -> Vec<Finding> {
    each(cells, &["S1", "S4", "S5", "S11"], |scenario, at| {
        let peak = |scenario, policy| {
            let of = |row: &Row| row.peak_over_fair.unwrap_or_default();
            cells.median((scenario, at, policy), of)
        };
        let limit = if is_bearable(scenario, at)? {
            peak("S0", Buttress)?.max(1.2)
        } else {
            // What has piled up elsewhere goes there.
            OF_THE_BEST * peak(scenario, Oracle)?.max(peak(scenario, Informed)?)
        };
        Some(vec![Held::new(
            "peak of who is back, fair shares",
            peak(scenario, Buttress)?,
            limit,
        )])
    })
}

/// Nothing is lost for ever, whatever clients do.
fn wedged(cells: &Cells<'_>) -> Vec<Finding> {
    let all = [
        "S0", "S1", "S2a", "S2b", "S4", "S5", "S6-1", "S6-10", "S8a", "S8b", "S11", "S16a", "S16b",
    ];
    each(cells, &all, |scenario, at| {
        let seen = cells.most((scenario, at, Buttress), |row| row.wedged as f64)?;
        Some(vec![Held::new("wedged", seen, 0.0)])
    })
}

/// What others have published.
fn published(cells: &Cells<'_>) -> Vec<Finding> {
    let one = |scenario, bar, of: Figure, limit| {
        each(cells, &[scenario], |scenario, at| {
            let seen = cells.median((scenario, at, Buttress), of)?;
            let learnt = cells.median((scenario, at, Learner), of);
            Some(vec![Held::new(bar, seen, limit).learnt(learnt)])
        })
    };
    let lost = |row: &Row| 100.0 * (1.0 - row.success);
    let mut found = one("linkerd-2016", "errors within 1 s, %", lost, 0.05);
    found.extend(one("tower-demo", "P99.9, ms", |row| row.p999_ms, 105.0));
    found.extend(each(cells, &["brpc"], |scenario, at| {
        let p99 = |scenario, policy| cells.median((scenario, at, policy), |row| row.p99_ms);
        let healthy = p99("brpc-healthy", Buttress)?;
        let bar = "P99, ms, 1.05 x healthy";
        let held = Held::new(bar, p99(scenario, Buttress)?, 1.05 * healthy);
        Some(vec![held.learnt(p99(scenario, Learner))])
    }));
    found
}

/// A bar, what is seen, and what may be.
struct Held {
    bar: &'static str,
    seen: f64,
    limit: f64,
    learnt: Option<f64>,
}

impl Held {
    const fn new(bar: &'static str, seen: f64, limit: f64) -> Self {
        Self {
            bar,
            seen,
            limit,
            learnt: None,
        }
    }

    /// What a router reaches that knows at the first sign.
    const fn learnt(self, learnt: Option<f64>) -> Self {
        Self { learnt, ..self }
    }
}

/// What is found wherever these scenarios were run.
fn each(
    cells: &Cells<'_>,
    scenarios: &[&'static str],
    find: impl Fn(&'static str, At) -> Option<Vec<Held>>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    for &scenario in scenarios {
        for at in cells.places(scenario) {
            let held = find(scenario, at).into_iter().flatten();
            found.extend(held.map(|held| Finding {
                bar: held.bar,
                scenario,
                n: at.n,
                load: at.load(),
                routers: at.routers,
                seen: held.seen,
                limit: held.limit,
                learnt: held.learnt,
            }));
        }
    }
    found
}

/// In percent, of those who came a second or more after the fault began.
fn errors(row: &Row) -> f64 {
    100.0 * (1.0 - row.late_success)
}

/// So many percent, or where that cannot be kept a tenth more than what is lost to the best there is.
fn limit_of_errors(cells: &Cells<'_>, scenario: &str, at: At, percent: f64) -> Option<f64> {
    if is_bearable(scenario, at)? {
        return Some(percent);
    }
    Some(percent.max(OF_THE_BEST * best(cells, scenario, at, errors)?))
}

/// What the best of the yardsticks reaches.
fn best(cells: &Cells<'_>, scenario: &str, at: At, of: Figure) -> Option<f64> {
    let reached = YARDSTICKS.map(|policy| cells.median((scenario, at, policy), of));
    reached.into_iter().flatten().min_by(f64::total_cmp)
}

/// Whether those who are not faulty can bear the load of all.
fn is_bearable(scenario: &str, at: At) -> Option<bool> {
    let faulty = at.scenario(scenario)?.fault.hosts.len();
    let left = at.n.saturating_sub(faulty) as f64 / at.n as f64;
    Some(at.load() / left <= BEARABLE)
}
