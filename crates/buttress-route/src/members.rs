//! The list of a pool's endpoints at one moment. Immutable: an update makes another.

use std::sync::Arc;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::attempted::Attempted;
use crate::bids::{Bid, Bids, SCAN};
use crate::config::Config;
use crate::ledger::Ledger;
use crate::levels::{Level, Levels};
use crate::peers::{Medians, SAMPLE, Shows};
use crate::seat::Seat;
use crate::shared::Shared;
use crate::slot::{Gate, Slot};
use crate::view::View;

#[derive(Debug)]
pub(crate) struct Members<S> {
    pub(crate) config: Arc<Config>,
    /// By level.
    seats: Box<[Seat]>,
    pub(crate) levels: Levels,
    /// As they were given: [`Seat::place`].
    services: Arc<[S]>,
}

impl<S> Members<S> {
    pub(crate) fn new(config: Arc<Config>, list: Vec<(Seat, S)>) -> Self {
        let (mut seats, services): (Vec<_>, Vec<_>) = list.into_iter().unzip();
        for (place, seat) in seats.iter_mut().enumerate() {
            seat.place = place;
        }
        Self::of(config, seats, services.into())
    }

    /// The same endpoints under another configuration.
    pub(crate) fn with_config(&self, config: Arc<Config>) -> Self {
        Self::of(config, self.seats.to_vec(), Arc::clone(&self.services))
    }

    fn of(config: Arc<Config>, mut seats: Vec<Seat>, services: Arc<[S]>) -> Self {
        let levels = Levels::new(&config, &mut seats);
        Self {
            config,
            seats: seats.into(),
            levels,
            services,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.seats.len()
    }

    /// The seats, in no order that means anything to whoever gave them.
    pub(crate) fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.seats.iter()
    }

    /// The seats in the order in which the endpoints were given.
    pub(crate) fn as_given(&self) -> Vec<&Seat> {
        let mut seats: Vec<&Seat> = self.seats.iter().collect();
        seats.sort_unstable_by_key(|seat| seat.place);
        seats
    }

    /// The endpoint that an ordinary request goes to; `None` if there is none that is not draining.
    #[inline]
    pub(crate) fn pick(
        &self,
        now: Instant,
        key: Option<u64>,
        shared: &Shared,
    ) -> Option<(&Seat, &S)> {
        let all = self.view(now, key, shared);
        let index = match &*self.levels.list {
            [only] => only.picker.pick(&all),
            _ => self.pick_by_level(&all),
        };
        let seat = index.and_then(|index| self.seats.get(index));
        self.at(seat.or_else(|| self.last_resort(&all, |_| true))?)
    }

    /// The endpoint for a request that has been to some: among the others, on the first level where one is open the
    /// cheapest of a few, and if all are out the least bad.
    #[cold]
    pub(crate) fn pick_another(
        &self,
        now: Instant,
        shared: &Shared,
        attempted: &Attempted,
    ) -> Option<(&Seat, &S)> {
        let all = self.view(now, None, shared);
        let is_another = |seat: &Seat| !attempted.holds(seat.slot.number);
        let on = |level: &Level| cheapest(level, &all, is_another);
        let index = self.levels.list.iter().find_map(on);
        let seat = index.and_then(|index| self.seats.get(index));
        self.at(seat.or_else(|| self.last_resort(&all, is_another))?)
    }

    #[inline]
    fn view<'a>(&'a self, now: Instant, key: Option<u64>, shared: &'a Shared) -> View<'a> {
        View {
            seats: &self.seats,
            now,
            load: shared.peers.load(),
            noise_band: self.config.noise_band,
            key,
            ledger: &shared.ledger,
            rng: &shared.rng,
        }
    }

    /// On the level that is drawn by its share, or else on the first that has one who is open.
    #[inline(never)]
    fn pick_by_level(&self, all: &View<'_>) -> Option<usize> {
        let levels = &self.levels;
        let drawn = levels
            .draw(all.key, all.rng)
            .and_then(|it| levels.list.get(it));
        drawn
            .and_then(|level| pick_on(level, all))
            .or_else(|| levels.list.iter().find_map(|level| pick_on(level, all)))
    }

    fn at<'a>(&'a self, seat: &'a Seat) -> Option<(&'a Seat, &'a S)> {
        Some((seat, self.services.get(seat.place)?))
    }

    /// Nobody is open: of those that may be, on the first level where not all are draining, the least bad. Nobody
    /// where the pool fails closed.
    #[cold]
    fn last_resort(&self, view: &View<'_>, may_be: impl Fn(&Seat) -> bool) -> Option<&Seat> {
        if self.config.fail_closed {
            return None;
        }
        let cost = |seat: &Seat| seat.cost(view.now, view.load);
        let least_bad = |level: &Level| {
            let seats = self.seats.get(level.range.clone())?.iter();
            let alive = seats.filter(|seat| seat.slot.gate() != Gate::Shut && may_be(seat));
            alive.min_by(|one, other| cost(one).total_cmp(&cost(other)))
        };
        self.levels.list.iter().find_map(least_bad)
    }

    /// Tells the levels their shares, if somebody has gone out or come back.
    #[inline]
    pub(crate) fn spread(&self, ledger: &Ledger) {
        self.levels.spread(&self.seats, ledger);
    }

    /// The member of this identity.
    pub(crate) fn named(&self, id: &str) -> Option<(&Seat, &S)> {
        let mut seats = self.seats.iter();
        self.at(seats.find(|seat| &*seat.slot.id == id)?)
    }

    /// The member that `slot` belongs to.
    pub(crate) fn find(&self, slot: &Arc<Slot>) -> Option<(&Seat, &S)> {
        let mut seats = self.seats.iter();
        self.at(seats.find(|seat| Arc::ptr_eq(&seat.slot, slot))?)
    }

    /// What the endpoints show, in the middle; of a large pool, what some of them do.
    pub(crate) fn medians(&self, now: Instant, rng: &Rng) -> Medians {
        let len = self.seats.len();
        let start = if len > SAMPLE { rng.below(len) } else { 0 };
        let stride = (len / SAMPLE).max(1);
        let mut all = [Shows::default(); SAMPLE];
        for (n, place) in all.iter_mut().enumerate().take(len) {
            let seat = self.seats.get((start + n * stride) % len);
            *place = seat.map(|it| it.slot.shows(now)).unwrap_or_default();
        }
        Medians::of(all.get(..len.min(SAMPLE)).unwrap_or_default())
    }
}

/// The index among all of whoever is picked of a level.
fn pick_on(level: &Level, all: &View<'_>) -> Option<usize> {
    let seats = all.seats.get(level.range.clone())?;
    let index = level.picker.pick(&View { seats, ..*all })?;
    Some(level.range.start + index)
}

/// The index among all of the cheapest of the first few on a level that are open and may be picked, from a random
/// one on.
fn cheapest(level: &Level, all: &View<'_>, may_be: impl Fn(&Seat) -> bool) -> Option<usize> {
    let (first, len) = (level.range.start, level.range.len());
    let start = all.rng.below(len);
    let order = (start..len).chain(0..start).map(|place| first + place);
    let others = order.filter(|&index| all.seats.get(index).is_some_and(&may_be));
    let mut bids = Bids::new();
    for (index, candidate) in others
        .filter_map(|index| Some((index, all.get(index)?)))
        .take(SCAN)
    {
        bids.push(Bid {
            index,
            cost: candidate.cost(),
            weight: f64::from(candidate.weight()),
        });
    }
    bids.choose(all.noise_band, all.rng)
}
