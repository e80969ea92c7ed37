//! A breaker's metrics, from birth.

use std::borrow::Cow;

use buttress_core::circuit::State;
use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use crate::handle::{BreakerHandle, Snapshot};

impl Collect for BreakerHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let snapshot = self.snapshot();
        into.extend([
            state(&snapshot),
            calls(&snapshot),
            rejected(&snapshot),
            transitions(&snapshot),
        ]);
    }
}

fn state(snapshot: &Snapshot) -> Family {
    let value = Value::State {
        label: "state",
        states: State::NAMES,
        current: snapshot.state.index(),
    };
    let help = "State of a circuit breaker: 1 for the present one, 0 for the others.";
    Family::new("buttress_breaker_state", Kind::StateSet, help).with(vec![breaker(snapshot)], value)
}

fn calls(snapshot: &Snapshot) -> Family {
    let help = "Calls that a circuit breaker admitted and that have ended, by outcome.";
    let mut family = Family::new("buttress_breaker_calls", Kind::Counter, help);
    let calls = &snapshot.calls;
    for (outcome, count) in [
        ("success", calls.success),
        ("failure", calls.failure),
        ("slow", calls.slow),
        ("ignored", calls.ignored),
        ("abandoned", calls.abandoned),
    ] {
        let labels = vec![breaker(snapshot), ("outcome", Cow::Borrowed(outcome))];
        family.push(labels, Value::Counter(count));
    }
    family
}

fn rejected(snapshot: &Snapshot) -> Family {
    let help = "Calls that a circuit breaker refused; they never reached what it guards.";
    Family::new("buttress_breaker_rejected", Kind::Counter, help)
        .with(vec![breaker(snapshot)], Value::Counter(snapshot.rejected))
}

fn transitions(snapshot: &Snapshot) -> Family {
    let help = "Changes of a circuit breaker's state, by the rule that decided.";
    let mut family = Family::new("buttress_breaker_transitions", Kind::Counter, help);
    for counted in &snapshot.transitions {
        let labels = vec![
            breaker(snapshot),
            ("from", Cow::Borrowed(counted.from.as_str())),
            ("to", Cow::Borrowed(counted.to.as_str())),
            ("rule", counted.rule.clone()),
        ];
        family.push(labels, Value::Counter(counted.count));
    }
    family
}

fn breaker(snapshot: &Snapshot) -> Label {
    ("breaker", Cow::Owned(snapshot.name.to_string()))
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
