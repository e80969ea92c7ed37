//! Objectives as metrics.

use std::borrow::Cow;

use buttress_core::metric::{Family, Kind, Label, Value};

use super::view::{BurnWindow, ObjectiveSnapshot};

/// None where there is no objective.
pub(crate) fn families(objectives: &[ObjectiveSnapshot]) -> Vec<Family> {
    if objectives.is_empty() {
        return Vec::new();
    }
    vec![
        gauges(targets(), objectives, |one| Some(one.target)),
        gauges(budgets(), objectives, ObjectiveSnapshot::budget_left),
        burn_rates(objectives),
        exchanges(objectives),
        passings(objectives),
    ]
}

fn targets() -> Family {
    let help = "The share of a route's exchanges that is to keep the objective.";
    Family::new("buttress_objective_target_ratio", Kind::Gauge, help)
}

fn budgets() -> Family {
    let help = "The share of the error budget of the period that is left; below 0 it is overdrawn. \
                Known since the process began. Absent without exchanges.";
    Family::new(
        "buttress_objective_error_budget_left_ratio",
        Kind::Gauge,
        help,
    )
}

fn gauges(
    mut family: Family,
    objectives: &[ObjectiveSnapshot],
    value: impl Fn(&ObjectiveSnapshot) -> Option<f64>,
) -> Family {
    for one in objectives {
        if let Some(value) = value(one) {
            family.push(labels(one), Value::Gauge(value));
        }
    }
    family
}

fn burn_rates(objectives: &[ObjectiveSnapshot]) -> Family {
    let help = "How fast the error budget burns: the share of exchanges that missed the objective, as \
                a multiple of the share that may. Absent without exchanges.";
    let mut family = Family::new("buttress_objective_burn_rate", Kind::Gauge, help);
    for one in objectives {
        for window in windows(one) {
            let Some(rate) = window.rate else { continue };
            let mut labels = labels(one);
            labels.push(("window", name(window)));
            family.push(labels, Value::Gauge(rate));
        }
    }
    family
}

/// Each once: six hours are long in one pair and, in coarser slices, short in another.
fn windows(one: &ObjectiveSnapshot) -> Vec<&BurnWindow> {
    let mut windows: Vec<&BurnWindow> = Vec::new();
    for window in one.burns.iter().flat_map(|burn| [&burn.short, &burn.long]) {
        if windows.iter().all(|other| other.length != window.length) {
            windows.push(window);
        }
    }
    windows
}

fn exchanges(objectives: &[ObjectiveSnapshot]) -> Family {
    let help = "Exchanges that kept the objective of their route and that missed it.";
    let mut family = Family::new("buttress_objective_exchanges", Kind::Counter, help);
    for one in objectives {
        for (result, count) in [("good", one.good), ("bad", one.bad)] {
            let mut labels = labels(one);
            labels.push(("result", Cow::Borrowed(result)));
            family.push(labels, Value::Counter(count));
        }
    }
    family
}

fn passings(objectives: &[ObjectiveSnapshot]) -> Family {
    let help = "In how many seconds the quantile that is to keep the threshold of the objective will pass \
                it, if it goes on as over the longest window. Absent unless it rises with a confidence of \
                99.9 % and will pass no later than it has been seen to rise for.";
    let mut family = Family::new("buttress_objective_passing_seconds", Kind::Gauge, help);
    for one in objectives {
        let Some(passing) = one.passing else { continue };
        for (estimate, after) in [
            ("likely", passing.likely),
            ("earliest", passing.earliest),
            ("latest", passing.latest),
        ] {
            let mut labels = labels(one);
            labels.push(("estimate", Cow::Borrowed(estimate)));
            family.push(labels, Value::Gauge(after.as_secs_f64()));
        }
    }
    family
}

fn labels(one: &ObjectiveSnapshot) -> Vec<Label> {
    vec![
        ("route", Cow::Owned(one.route.to_string())),
        ("objective", Cow::Owned(one.goal.to_string())),
    ]
}

/// As Prometheus writes durations.
fn name(window: &BurnWindow) -> Cow<'static, str> {
    let minutes = window.length.as_secs() / 60;
    Cow::Owned(match minutes {
        m if m % 1_440 == 0 => format!("{}d", m / 1_440),
        m if m % 60 == 0 => format!("{}h", m / 60),
        m => format!("{m}m"),
    })
}
