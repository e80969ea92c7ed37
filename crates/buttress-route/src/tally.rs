//! What is counted of one endpoint.

use buttress_core::outcome::Outcome;

use crate::snapshot::Outcomes;
use crate::state::STILL_ANSWERS;

/// Why an endpoint goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    ConsecutiveFailures,
    FailureRate,
    Outlier,
    Slow,
    Probe,
    HealthSignal,
    ActiveCheck,
    ByHand,
}

/// How an active check ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CheckResult {
    Success,
    Failure,
    Timeout,
}

/// How a probe ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProbeResult {
    Success,
    Failure,
    /// Dropped or disregarded: it says nothing.
    Void,
    /// It outlived its lease.
    Expired,
}

impl Rule {
    pub(crate) const NAMES: [&'static str; 8] = [
        "consecutive_failures",
        "failure_rate",
        "outlier",
        "slow",
        "probe",
        "health_signal",
        "active_check",
        "by_hand",
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::Outlier => "outlier",
            Self::Slow => "slow",
            Self::Probe => "probe",
            Self::HealthSignal => "health_signal",
            Self::ActiveCheck => "active_check",
            Self::ByHand => "by_hand",
        }
    }
}

const SUPPRESSED_BY: [&str; 5] = [
    "max_ejected",
    "last_endpoint",
    "peers_fail",
    "capacity",
    STILL_ANSWERS,
];
const CHECK_RESULTS: [&str; 3] = ["success", "failure", "timeout"];
const PROBE_RESULTS: [&str; 4] = ["success", "failure", "void", "expired"];

/// As it is written, as [`State`](crate::state::State) is, in which it is followed by what is read with the outcomes.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub(crate) struct Tally {
    ejections: [u64; 8],
    suppressed: [u64; 5],
    probes: [u64; 4],
    checks: [u64; 3],
    pub(crate) outcomes: Outcomes,
}

impl Tally {
    pub(crate) fn outcome(&mut self, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &mut self.outcomes.success,
            Outcome::Failure(_) => &mut self.outcomes.failure,
            Outcome::Slow => &mut self.outcomes.slow,
            Outcome::Abandoned => &mut self.outcomes.abandoned,
            _ => &mut self.outcomes.ignored,
        };
        *count = count.saturating_add(1);
    }

    pub(crate) fn ejected(&mut self, rule: Rule) {
        bump(&mut self.ejections, rule as usize);
    }

    pub(crate) fn suppressed(&mut self, by: &'static str) {
        let index = SUPPRESSED_BY.iter().position(|name| *name == by);
        bump(&mut self.suppressed, index.unwrap_or(0));
    }

    pub(crate) fn probed(&mut self, result: ProbeResult) {
        bump(&mut self.probes, result as usize);
    }

    pub(crate) fn checked(&mut self, result: CheckResult) {
        bump(&mut self.checks, result as usize);
    }

    pub(crate) fn ejections(&self) -> Vec<(&'static str, u64)> {
        named(&Rule::NAMES, &self.ejections)
    }

    pub(crate) fn suppressions(&self) -> Vec<(&'static str, u64)> {
        named(&SUPPRESSED_BY, &self.suppressed)
    }

    pub(crate) fn probes(&self) -> Vec<(&'static str, u64)> {
        named(&PROBE_RESULTS, &self.probes)
    }

    pub(crate) fn checks(&self) -> Vec<(&'static str, u64)> {
        named(&CHECK_RESULTS, &self.checks)
    }
}

fn bump(counts: &mut [u64], index: usize) {
    if let Some(count) = counts.get_mut(index) {
        *count = count.saturating_add(1);
    }
}

fn named(names: &[&'static str], counts: &[u64]) -> Vec<(&'static str, u64)> {
    names.iter().copied().zip(counts.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_counted_under_its_own_name() {
        let rules = [
            Rule::ConsecutiveFailures,
            Rule::FailureRate,
            Rule::Probe,
            Rule::Outlier,
            Rule::Slow,
            Rule::HealthSignal,
            Rule::ActiveCheck,
            Rule::ByHand,
        ];
        for rule in rules {
            let mut tally = Tally::default();
            tally.ejected(rule);
            let counted: Vec<_> = tally.ejections().into_iter().filter(|e| e.1 == 1).collect();
            assert_eq!(counted, [(rule.name(), 1)]);
        }
    }
}
