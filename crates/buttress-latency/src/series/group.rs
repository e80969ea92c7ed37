//! What exchanges of one route and kind share: the way to their series.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use buttress_core::clock::Instant;

use super::route::Home;
use super::{Ending, Key, Kind, Live, Party, Series, Shared, Switches};
use crate::recorder::Sampled;

/// Endings beyond these are found by a look-up each time.
const CACHED: usize = 16;

pub(crate) struct Group {
    home: Arc<Home>,
    kind: Kind,
    party: Party,
    cached: [OnceLock<(Ending, Arc<Series>)>; CACHED],
}

impl Group {
    pub(super) fn new(home: &Arc<Home>, kind: Kind) -> Self {
        Self {
            home: Arc::clone(home),
            kind,
            party: match kind {
                Kind::Plain => Party::Caller,
                Kind::Http(..) if home.shared.pool.is_some() => Party::Client,
                Kind::Http(..) => Party::Server,
            },
            cached: [const { OnceLock::new() }; CACHED],
        }
    }

    pub(crate) fn route(&self) -> &Arc<str> {
        &self.home.name
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.home.shared
    }

    pub(crate) const fn party(&self) -> Party {
        self.party
    }

    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    #[inline]
    pub(crate) fn switches(&self) -> Switches {
        self.home.switches.get()
    }

    /// Counts an exchange that took `duration` and ended `now` in `ending`; `trace` is its own if that
    /// is sampled.
    #[inline]
    pub(crate) fn record(
        &self,
        ending: Ending,
        now: Instant,
        duration: Duration,
        trace: Option<Sampled>,
    ) {
        if self.switches().has(Switches::OBJECTIVES) {
            self.judge(&ending, now, duration);
        }
        let (mut found, clock) = (None, &self.shared().clock);
        let series = self.series(ending, now, &mut found);
        series.rolling.record_in(trace, now, duration, clock);
    }

    /// Tells the objectives of the route, if it has any as the switches say, of an exchange that ended
    /// `now` in `ending`.
    #[inline(never)]
    pub(crate) fn judge(&self, ending: &Ending, now: Instant, duration: Duration) {
        if let Some(objectives) = &*self.home.objectives.load() {
            for objective in &**objectives {
                objective.count(ending, now, duration);
            }
        }
    }

    /// Counts what a caller waited, until some time before `now`.
    #[cold]
    pub(crate) fn waited(&self, now: Instant, duration: Duration) {
        let waiting = self.home.waiting(self.kind == Kind::Plain);
        waiting.record(&self.shared().in_force, now, duration);
    }

    /// The series of an exchange that ended in `ending`, held by `found` if need be. If there is none
    /// and no room for one, the one that all share, which is counted.
    #[inline]
    pub(crate) fn series<'a>(
        &'a self,
        ending: Ending,
        now: Instant,
        found: &'a mut Option<Arc<Series>>,
    ) -> &'a Series {
        match self.cached(&ending) {
            Some(series) => series,
            None => found.insert(self.find(ending, now)),
        }
    }

    /// As [`Group::series`], for an exchange that has not ended; none if it cannot have its own.
    #[inline]
    pub(crate) fn own_series<'a>(
        &'a self,
        ending: Ending,
        now: Instant,
        found: &'a mut Option<Arc<Series>>,
    ) -> Option<&'a Series> {
        match self.cached(&ending) {
            Some(series) => Some(series),
            None => Some(found.insert(self.find_own(ending, now)?)),
        }
    }

    #[cold]
    fn find_own(&self, ending: Ending, now: Instant) -> Option<Arc<Series>> {
        let shared = self.shared();
        let full = shared.series.len() >= shared.max_series;
        if !self.home.overflow && full {
            // No look at the overflow series, so that each exchange is counted there once.
            return shared.series.get(&self.key(ending));
        }
        Some(self.find(ending, now))
    }

    #[cold]
    fn find(&self, ending: Ending, now: Instant) -> Arc<Series> {
        let shared = self.shared();
        let all = &shared.series;
        if self.home.overflow {
            return Arc::clone(all.overflow());
        }
        let key = self.key(ending);
        let mut made = false;
        let series = all.get_or_insert_with(&key, |key| {
            made = true;
            Series::new(key.clone(), &shared.in_force.get().config.windows, now)
        });
        if made {
            let fit = |live: &Live| series.fit(&live.config.windows, now);
            shared.in_force.in_line(fit);
        }
        // The overflow series is not remembered, so that every record that it takes is counted.
        if !Arc::ptr_eq(&series, all.overflow()) {
            self.remember(ending, &series);
        }
        series
    }

    fn key(&self, ending: Ending) -> Key {
        Key {
            route: Arc::clone(self.route()),
            kind: self.kind,
            ending,
        }
    }

    /// The series of `ending` if it has been found before.
    #[inline]
    fn cached(&self, ending: &Ending) -> Option<&Series> {
        // It nearly always is in the first place.
        let first = self.cached.get(first_place(ending))?;
        let (cached, series) = first.get()?;
        if cached == ending {
            return Some(series);
        }
        self.cached_further(ending)
    }

    #[inline(never)]
    fn cached_further(&self, ending: &Ending) -> Option<&Series> {
        for slot in self.probe(ending).skip(1) {
            let (cached, series) = slot.get()?;
            if cached == ending {
                return Some(series);
            }
        }
        None
    }

    /// Remembers `series` if there is room.
    fn remember(&self, ending: Ending, series: &Arc<Series>) {
        for slot in self.probe(&ending) {
            let (cached, _) = slot.get_or_init(|| (ending, Arc::clone(series)));
            if *cached == ending {
                return;
            }
        }
    }

    /// All places, from the one where `ending` is looked for first.
    fn probe(&self, ending: &Ending) -> impl Iterator<Item = &OnceLock<(Ending, Arc<Series>)>> {
        let (before, from) = self.cached.split_at(first_place(ending));
        from.iter().chain(before)
    }
}

#[inline]
fn first_place(ending: &Ending) -> usize {
    ending
        .status
        .map_or(0, |status| usize::from(status.as_u16()))
        % CACHED
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("route", self.route())
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}
