//! One route: its groups by kind of exchange.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buttress_core::clock::Instant;

use super::group::Group;
use super::{Ending, Key, Kind, Series, Shared};

/// A route template, or a name for a plain service.
#[derive(Debug)]
pub(crate) struct Route {
    name: Arc<str>,
    shared: Arc<Shared>,
    groups: [OnceLock<Box<Group>>; Kind::COUNT],
    /// This stands for all routes beyond the cap.
    overflow: bool,
}

impl Route {
    pub(super) fn new(name: &str, shared: Arc<Shared>, overflow: bool) -> Self {
        Self {
            name: name.into(),
            shared,
            groups: [const { OnceLock::new() }; Kind::COUNT],
            overflow,
        }
    }

    pub(crate) const fn name(&self) -> &Arc<str> {
        &self.name
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The group of `kind`.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "there is a place for every kind")]
    pub(crate) fn group(&self, kind: Kind) -> &Group {
        self.groups[kind.index()].get_or_init(|| Box::new(Group::new()))
    }

    /// The groups that have been used.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (Kind, &Group)> {
        Kind::all()
            .zip(&self.groups)
            .filter_map(|(kind, group)| Some((kind, &**group.get()?)))
    }

    /// Counts an exchange of `kind` that took `duration` and ended `now` in `ending`.
    #[inline]
    pub(crate) fn record(&self, kind: Kind, ending: Ending, now: Instant, duration: Duration) {
        match self.group(kind).cached(&ending) {
            Some(series) => series.rolling.record(now, duration),
            None => self.find(kind, ending, now).rolling.record(now, duration),
        }
    }

    #[cold]
    fn find(&self, kind: Kind, ending: Ending, now: Instant) -> Arc<Series> {
        let all = &self.shared.series;
        if self.overflow {
            return Arc::clone(all.overflow());
        }
        let key = Key {
            route: Arc::clone(&self.name),
            kind,
            ending,
        };
        let windows = &self.shared.windows;
        let series = all.get_or_insert_with(&key, |key| Series::new(key.clone(), windows, now));
        // The overflow series is not remembered, so that every record that it takes is counted.
        if !Arc::ptr_eq(&series, all.overflow()) {
            self.group(kind).remember(ending, &series);
        }
        series
    }
}
