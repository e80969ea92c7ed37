//! The metrics of the breakers of all keys: no more series than were asked for.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use buttress_core::circuit::State;
use buttress_core::metric::{Collect, Family, Kind, Value};

use super::handle::KeyedHandle;
use super::key::Key;
use super::slot::Slot;
use crate::machine::Calls;
use crate::metrics::{Series, families};

/// What breakers that have gone had counted, so that the shared series never falls.
#[derive(Debug, Default)]
pub(super) struct Retired(Mutex<Totals>);

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    calls: Calls,
    rejected: u64,
}

impl Retired {
    pub(super) fn add(&self, slot: &Slot) {
        let snapshot = slot.breaker.handle().snapshot();
        let mut totals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        totals.add(snapshot.calls, snapshot.rejected);
    }

    fn totals(&self) -> Totals {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Totals {
    fn add(&mut self, calls: Calls, rejected: u64) {
        self.calls.add(calls);
        self.rejected = self.rejected.saturating_add(rejected);
    }
}

/// The families of a breaker, with a point for the overflow breaker, for each of the first keys and
/// for all others together (`…/other`: calls and rejections of breakers without series of their own,
/// and of those that have gone); `buttress_breaker_keys`; `buttress_series_overflow_total`.
impl<K: Key> Collect for KeyedHandle<K> {
    fn collect(&self, into: &mut Vec<Family>) {
        let shared = self.breakers().shared();
        let name = &shared.name;
        let mut other = shared.retired.totals();
        let mut listed = vec![self.overflow().snapshot()];
        let mut states = [0_u64; State::NAMES.len()];
        for (_, slot) in shared.map.entries() {
            let snapshot = slot.breaker.handle().snapshot();
            if let Some(count) = states.get_mut(snapshot.state.index()) {
                *count += 1;
            }
            if slot.listed {
                listed.push(snapshot);
            } else {
                other.add(snapshot.calls, snapshot.rejected);
            }
        }
        let rest = Series {
            name: &format!("{name}/other"),
            calls: other.calls,
            rejected: other.rejected,
        };
        into.extend(families(&listed, Some(&rest)));
        into.push(keys(name, &states));
        into.push(overflow(shared.map.overflowed()));
    }
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
