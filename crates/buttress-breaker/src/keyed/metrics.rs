//! The metrics of the breakers of all keys: no more series than were asked for.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::circuit::State;
use buttress_core::metric::{Collect, Family, Kind, Label, Value};

use super::handle::KeyedHandle;
use super::key::Key;
use super::slot::Slot;
use crate::handle::Snapshot;
use crate::metrics::{Counted, Labels, breaker, families};

/// What breakers that have gone had counted, so that the shared series never falls.
///
/// A breaker that goes while the series are made is for a moment neither among the others nor among
/// those that have gone. So nothing less is shown than was shown before.
#[derive(Debug, Default)]
pub(super) struct Retired(Mutex<Totals>);

#[derive(Debug, Default)]
struct Totals {
    gone: Counted,
    shown: Counted,
}

impl Retired {
    pub(super) fn add(&self, slot: &Slot) {
        let gone = slot.breaker.handle().snapshot();
        let totals = &mut self.totals().gone;
        totals.add(gone.calls, gone.rejected, &gone.transitions);
    }

    fn add_to(&self, other: &mut Counted) {
        let totals = &self.totals().gone;
        other.add(totals.calls, totals.rejected, &totals.transitions);
    }

    /// What is to be shown where `counted` has been found.
    fn show(&self, counted: &Counted) -> Counted {
        let shown = &mut self.totals().shown;
        shown.raise_to(counted);
        shown.clone()
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The families of a breaker, with points for each of the first keys (label `key`), for the overflow
/// breaker (`shared="overflow"`), and for all others together (`shared="other"`: calls, rejections and
/// transitions of breakers without series of their own, and of those that have gone);
/// `buttress_breaker_keys`; `buttress_series_overflow_total`.
///
/// The label `breaker` is [`KeyedBreaker::name`](super::KeyedBreaker::name) in all of them. Whatever a
/// client chooses stands in `key` alone, so no key passes for another series; of keys that read the same
/// all but one count as others.
impl<K: Key> Collect for KeyedHandle<K> {
    fn collect(&self, into: &mut Vec<Family>) {
        let shared = self.breakers().shared();
        let name = &shared.name;
        let mut other = Counted::default();
        shared.retired.add_to(&mut other);
        let mut listed = vec![(shared_by(name, "overflow"), self.overflow().snapshot())];
        let mut names = HashSet::new();
        let mut states = [0_u64; State::NAMES.len()];
        for (_, slot) in shared.map.entries() {
            let snapshot = slot.breaker.handle().snapshot();
            if let Some(count) = states.get_mut(snapshot.state.index()) {
                *count += 1;
            }
            if slot.listed && names.insert(Arc::clone(&snapshot.name)) {
                listed.push((of_key(name, &snapshot), snapshot));
            } else {
                other.add(snapshot.calls, snapshot.rejected, &snapshot.transitions);
            }
        }
        let other = shared.retired.show(&other);
        into.extend(families(&listed, Some((shared_by(name, "other"), other))));
        into.push(keys(name, &states));
        into.push(overflow(shared.map.overflowed()));
    }
}

fn of_key(name: &str, snapshot: &Snapshot) -> Labels {
    // The name of the breakers and a slash come before every key.
    let key = snapshot.name.get(name.len() + 1..).unwrap_or_default();
    vec![breaker(name), ("key", Cow::Owned(key.to_owned()))]
}

fn shared_by(name: &str, who: &'static str) -> Labels {
    let shared: Label = ("shared", Cow::Borrowed(who));
    vec![breaker(name), shared]
}

fn keys(name: &str, states: &[u64]) -> Family {
    let help = "Keys that have a circuit breaker of their own, by its state.";
    let mut family = Family::new("buttress_breaker_keys", Kind::Gauge, help);
    for (state, count) in State::NAMES.iter().zip(states) {
        let labels = vec![
            ("breaker", Cow::Owned(name.to_owned())),
            ("state", Cow::Borrowed(*state)),
        ];
        family.push(labels, Value::Gauge(*count as f64));
    }
    family
}

fn overflow(count: u64) -> Family {
    let help = "Calls whose key found no room and that shared an entry with others. Should stay at 0: \
                something unbounded has become a key.";
    Family::new("buttress_series_overflow", Kind::Counter, help).with(
        vec![("room", Cow::Borrowed("breaker"))],
        Value::Counter(count),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Calls, TransitionCount};

    fn counted(success: u64, rejected: u64, opened: u64) -> Counted {
        let mut counted = Counted::default();
        let calls = Calls {
            success,
            ..Calls::default()
        };
        let change = TransitionCount {
            from: State::Closed,
            to: State::Open,
            rule: "failure_rate".into(),
            count: opened,
        };
        counted.add(calls, rejected, &[change]);
        counted
    }

    #[test]
    fn what_goes_while_the_series_are_made_lets_none_of_them_fall() {
        let retired = Retired::default();
        let seen = |found: Counted| {
            let shown = retired.show(&found);
            let [change] = &shown.transitions[..] else {
                panic!("{shown:?}")
            };
            (shown.calls.success, shown.rejected, change.count)
        };
        assert_eq!(seen(counted(9, 5, 2)), (9, 5, 2));
        assert_eq!(seen(counted(1, 7, 0)), (9, 7, 2), "one is going");
        assert_eq!(seen(counted(10, 7, 3)), (10, 7, 3));
    }
}
