//! A breaker's metrics, from birth.

use std::borrow::Cow;

use buttress_core::circuit::State;
use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use crate::handle::{BreakerHandle, Snapshot};
use crate::machine::Calls;

impl Collect for BreakerHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        into.extend(families(&[self.snapshot()], None));
    }
}

/// What one breaker, or several as one, have counted.
#[derive(Clone)]
pub(crate) struct Series<'a> {
    pub(crate) name: &'a str,
    pub(crate) calls: Calls,
    pub(crate) rejected: u64,
}

/// The families of these breakers, and of the `rest`, which has no state.
pub(crate) fn families(breakers: &[Snapshot], rest: Option<&Series<'_>>) -> [Family; 4] {
    let help = "State of a circuit breaker: 1 for the present one, 0 for the others.";
    let mut states = Family::new("buttress_breaker_state", Kind::StateSet, help);
    let help = "Calls that a circuit breaker admitted and that have ended, by outcome.";
    let mut calls = Family::new("buttress_breaker_calls", Kind::Counter, help);
    let help = "Calls that a circuit breaker refused; they never reached what it guards.";
    let mut rejected = Family::new("buttress_breaker_rejected", Kind::Counter, help);
    let help = "Changes of a circuit breaker's state, by the rule that decided.";
    let mut transitions = Family::new("buttress_breaker_transitions", Kind::Counter, help);
    for each in breakers {
        states.push(vec![breaker(&each.name)], state(each));
        push_transitions(&mut transitions, each);
    }
    let each = breakers.iter().map(|each| Series {
        name: &each.name,
        calls: each.calls,
        rejected: each.rejected,
    });
    for series in each.chain(rest.cloned()) {
        push_calls(&mut calls, &series);
        rejected.push(vec![breaker(series.name)], Value::Counter(series.rejected));
    }
    [states, calls, rejected, transitions]
}

fn state(snapshot: &Snapshot) -> Value {
    Value::State {
        label: "state",
        states: State::NAMES,
        current: snapshot.state.index(),
    }
}

fn push_calls(family: &mut Family, series: &Series<'_>) {
    let calls = series.calls;
    for (outcome, count) in [
        ("success", calls.success),
        ("failure", calls.failure),
        ("slow", calls.slow),
        ("ignored", calls.ignored),
        ("abandoned", calls.abandoned),
    ] {
        let labels = vec![breaker(series.name), ("outcome", Cow::Borrowed(outcome))];
        family.push(labels, Value::Counter(count));
    }
}

fn push_transitions(family: &mut Family, snapshot: &Snapshot) {
    for counted in &snapshot.transitions {
        let labels = vec![
            breaker(&snapshot.name),
            ("from", Cow::Borrowed(counted.from.as_str())),
            ("to", Cow::Borrowed(counted.to.as_str())),
            ("rule", counted.rule.clone()),
        ];
        family.push(labels, Value::Counter(counted.count));
    }
}

fn breaker(name: &str) -> Label {
    ("breaker", Cow::Owned(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Breaker, Config};

    fn points(families: &[Family], name: &str) -> usize {
        let family = families.iter().find(|family| family.name == name);
        family.unwrap().points.len()
    }

    #[test]
    fn state_outcomes_and_rejections_are_there_from_birth() {
        let handle = Breaker::new("db", Config::default()).unwrap().handle();
        let mut families = Vec::new();
        handle.collect(&mut families);
        assert_eq!(points(&families, "buttress_breaker_state"), 1);
        assert_eq!(points(&families, "buttress_breaker_calls"), 5);
        assert_eq!(points(&families, "buttress_breaker_rejected"), 1);
        assert_eq!(points(&families, "buttress_breaker_transitions"), 0);
    }

    #[test]
    fn a_transition_is_counted_by_its_states_and_its_rule() {
        let handle = Breaker::new("db", Config::default()).unwrap().handle();
        handle.force_open();
        handle.release();
        handle.force_open();
        let mut families = Vec::new();
        handle.collect(&mut families);
        let transitions = families.last().unwrap();
        let opened = &transitions.points[0];
        assert_eq!(opened.value, Value::Counter(2));
        let labels: Vec<_> = opened.labels.iter().map(|(_, value)| &**value).collect();
        assert_eq!(labels, ["db", "closed", "forced_open", "manual"]);
    }
}
