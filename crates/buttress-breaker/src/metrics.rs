//! A breaker's metrics, from birth.

use std::borrow::Cow;

use buttress_core::circuit::State;
use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use crate::handle::{BreakerHandle, Snapshot};
use crate::machine::{Calls, TransitionCount};

impl Collect for BreakerHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        into.extend(families(&[by_name(self.snapshot())], None));
    }
}

/// What tells one breaker's points from those of others.
pub(crate) type Labels = Vec<Label>;

/// What several breakers have counted as one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) calls: Calls,
    pub(crate) rejected: u64,
    pub(crate) transitions: Vec<TransitionCount>,
}

impl Counted {
    pub(crate) fn add(&mut self, calls: Calls, rejected: u64, transitions: &[TransitionCount]) {
        self.merge(calls, rejected, transitions, u64::saturating_add);
    }

    /// Makes each count at least what it is in `other`.
    pub(crate) fn raise_to(&mut self, other: &Self) {
        self.merge(other.calls, other.rejected, &other.transitions, u64::max);
    }

    fn merge(
        &mut self,
        calls: Calls,
        rejected: u64,
        transitions: &[TransitionCount],
        how: fn(u64, u64) -> u64,
    ) {
        self.calls.merge(calls, how);
        self.rejected = how(self.rejected, rejected);
        for more in transitions {
            let of = |it: &TransitionCount| (it.from, it.to, it.rule.clone());
            match self.transitions.iter_mut().find(|it| of(it) == of(more)) {
                Some(known) => known.count = how(known.count, more.count),
                None => self.transitions.push(more.clone()),
            }
        }
    }
}

/// A breaker whose name is its own.
pub(crate) fn by_name(snapshot: Snapshot) -> (Labels, Snapshot) {
    (vec![breaker(&snapshot.name)], snapshot)
}

/// The families of these breakers, and of the `rest`, which has no state.
pub(crate) fn families(
    breakers: &[(Labels, Snapshot)],
    rest: Option<(Labels, Counted)>,
) -> [Family; 5] {
    let help = "State of a circuit breaker: 1 for the present one, 0 for the others.";
    let mut states = Family::new("buttress_breaker_state", Kind::StateSet, help);
    let help = "Calls that a circuit breaker admitted and that have ended, by outcome.";
    let mut calls = Family::new("buttress_breaker_calls", Kind::Counter, help);
    let help = "Calls that a circuit breaker refused; they never reached what it guards.";
    let mut rejected = Family::new("buttress_breaker_rejected", Kind::Counter, help);
    let help = "Changes of a circuit breaker's state, by the rule that decided.";
    let mut transitions = Family::new("buttress_breaker_transitions", Kind::Counter, help);
    let mut push = |labels: &Labels, of: Calls, refused, changes: &[TransitionCount]| {
        push_calls(&mut calls, labels, of);
        rejected.push(labels.clone(), Value::Counter(refused));
        push_transitions(&mut transitions, labels, changes);
    };
    let help = "Events that no subscriber got, because one of them held up the telling.";
    let mut dropped = Family::new("buttress_events_dropped", Kind::Counter, help);
    for (labels, each) in breakers {
        states.push(labels.clone(), state(each));
        push(labels, each.calls, each.rejected, &each.transitions);
        let all = ("subscriber", Cow::Borrowed("all"));
        let labels = labels.iter().cloned().chain([all]).collect();
        dropped.push(labels, Value::Counter(each.events_dropped));
    }
    if let Some((labels, all)) = rest {
        push(&labels, all.calls, all.rejected, &all.transitions);
    }
    [states, calls, rejected, dropped, transitions]
}

fn state(snapshot: &Snapshot) -> Value {
    Value::State {
        label: "state",
        states: State::NAMES,
        current: snapshot.state.index(),
    }
}

fn push_calls(family: &mut Family, of: &Labels, calls: Calls) {
    for (outcome, count) in [
        ("success", calls.success),
        ("failure", calls.failure),
        ("slow", calls.slow),
        ("ignored", calls.ignored),
        ("abandoned", calls.abandoned),
    ] {
        let outcome = ("outcome", Cow::Borrowed(outcome));
        family.push(with(of, [outcome]), Value::Counter(count));
    }
}

fn push_transitions(family: &mut Family, of: &Labels, transitions: &[TransitionCount]) {
    for counted in transitions {
        let change = [
            ("from", Cow::Borrowed(counted.from.as_str())),
            ("to", Cow::Borrowed(counted.to.as_str())),
            ("rule", counted.rule.clone()),
        ];
        family.push(with(of, change), Value::Counter(counted.count));
    }
}

fn with(labels: &Labels, more: impl IntoIterator<Item = Label>) -> Labels {
    labels.iter().cloned().chain(more).collect()
}

pub(crate) fn breaker(name: &str) -> Label {
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
        assert_eq!(points(&families, "buttress_events_dropped"), 1);
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
