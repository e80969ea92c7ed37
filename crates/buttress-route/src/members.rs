//! The list of a pool's endpoints at one moment. Immutable: an update makes another.

use std::sync::Arc;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::attempted::Attempted;
use crate::bids::{Bids, SCAN};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::ledger::Ledger;
use crate::levels::{self, Level, Levels, Rank};
use crate::peers::{Medians, SAMPLE, Shows};
use crate::policy::Picker;
use crate::seat::{Seat, Told};
use crate::shared::Shared;
use crate::shunned::Limit;
use crate::slot::{Gate, Slot};
use crate::view::View;

#[derive(Debug)]
pub(crate) struct Members<S> {
    pub(crate) config: Arc<Config>,
    /// By level.
    seats: Box<[Seat]>,
    /// In the same order.
    told: Box<[Told]>,
    pub(crate) levels: Levels,
    /// As they were given: [`Told::place`].
    services: Arc<[S]>,
    /// The levels have the endpoints as they were given, so that nobody has to be told where a service is.
    in_order: bool,
}

impl<S> Members<S> {
    pub(crate) fn new(config: Arc<Config>, list: Vec<(Seat, Told, S)>) -> Self {
        let (mut seats, mut services) = (Vec::with_capacity(list.len()), Vec::new());
        services.reserve_exact(list.len());
        for (place, (seat, mut told, service)) in (0..).zip(list) {
            told.place = place;
            seats.push((seat, told));
            services.push(service);
        }
        Self::of(config, seats, services.into())
    }

    /// The same endpoints under another configuration.
    pub(crate) fn with_config(&self, config: Arc<Config>) -> Self {
        let seats = self
            .seats()
            .map(|(seat, told)| (seat.clone(), told.clone()));
        Self::of(config, seats.collect(), Arc::clone(&self.services))
    }

    fn of(config: Arc<Config>, mut list: Vec<(Seat, Told)>, services: Arc<[S]>) -> Self {
        levels::order(&config, &mut list);
        let (seats, told): (Vec<_>, Vec<Told>) = list.into_iter().unzip();
        Self {
            levels: Levels::new(&config, &seats, &told),
            config,
            seats: seats.into(),
            in_order: told.is_sorted_by_key(|told| told.place),
            told: told.into(),
            services,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.seats.len()
    }

    /// The seats, in no order that means anything to whoever gave them.
    pub(crate) fn seats(&self) -> impl Iterator<Item = (&Seat, &Told)> {
        self.seats.iter().zip(&self.told)
    }

    /// Their slots.
    pub(crate) fn slots(&self) -> impl Iterator<Item = &Arc<Slot>> {
        self.seats.iter().map(|seat| &seat.slot)
    }

    /// The seats in the order in which the endpoints were given.
    pub(crate) fn as_given(&self) -> Vec<(&Seat, &Told)> {
        let mut seats: Vec<_> = self.seats().collect();
        seats.sort_unstable_by_key(|(_, told)| told.place);
        seats
    }

    /// The endpoints, as they were given.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint<S>>
    where
        S: Clone,
    {
        let seats = self.as_given().into_iter();
        let endpoint = |((Seat { slot }, told), service): ((&Seat, &Told), &S)| Endpoint {
            id: Arc::clone(slot.id()),
            service: service.clone(),
            weight: told.weight,
            about: told.about.clone(),
            signals: slot.signals(),
        };
        seats.zip(self.services.iter()).map(endpoint).collect()
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
        self.at(index.or_else(|| self.last_resort(&all, |_| true))?)
    }

    /// The endpoint for a request that has been to some: among the others the one that its key belongs to, if it has one
    /// and the policy heeds it; or else on the first level where one is open the cheapest of a few, and if all are out the
    /// least bad.
    #[cold]
    pub(crate) fn pick_another(
        &self,
        now: Instant,
        key: Option<u64>,
        shared: &Shared,
        attempted: &Attempted,
    ) -> Option<(&Seat, &S)> {
        let all = self.view(now, key, shared);
        if let Some(owner) = self.next_owner(&all, attempted) {
            return self.at(owner);
        }
        let is_another = |seat: &Seat| !attempted.holds(seat.slot.number);
        let on_level = |level: &Level| {
            let given = cheapest(level, &all, is_another, |index| all.bid(index));
            given.or_else(|| cheapest(level, &all, is_another, |index| all.bid_at_need(index)))
        };
        let index = self.levels.list.iter().find_map(on_level);
        self.at(index.or_else(|| self.last_resort(&all, is_another))?)
    }

    fn next_owner(&self, all: &View<'_>, attempted: &Attempted) -> Option<usize> {
        all.key?;
        let owner = |picker: &Picker, view: &View<'_>| picker.next_owner(view, attempted);
        self.on_a_level(all, |level| on(level, all, owner))
    }

    #[inline]
    fn view<'a>(&'a self, now: Instant, key: Option<u64>, shared: &'a Shared) -> View<'a> {
        View {
            seats: &self.seats,
            told: &self.told,
            now,
            load: shared.peers.load(),
            noise_band: self.config.noise_band,
            usual: shared.peers.usual(),
            in_turn: shared.peers.in_turn(),
            key,
            ledger: &shared.ledger,
            rng: &shared.rng,
            turns: shared.number,
        }
    }

    #[inline(never)]
    fn pick_by_level(&self, all: &View<'_>) -> Option<usize> {
        self.on_a_level(all, |level| on(level, all, Picker::pick))
    }

    /// On the level that is drawn by its share, or else on the first that has one who may be.
    fn on_a_level(&self, all: &View<'_>, pick: impl Fn(&Level) -> Option<usize>) -> Option<usize> {
        let levels = &self.levels;
        let drawn = levels
            .draw(all.key, all.rng)
            .and_then(|it| levels.list.get(it));
        (drawn.and_then(&pick)).or_else(|| levels.list.iter().find_map(&pick))
    }

    #[inline]
    fn at(&self, index: usize) -> Option<(&Seat, &S)> {
        let place = if self.in_order {
            index
        } else {
            self.told.get(index)?.place as usize
        };
        Some((self.seats.get(index)?, self.services.get(place)?))
    }

    /// Nobody is open: of those that may be, on the first level where not all are draining, the least bad. Nobody
    /// where the pool fails closed.
    #[cold]
    fn last_resort(&self, view: &View<'_>, may_be: impl Fn(&Seat) -> bool) -> Option<usize> {
        if self.config.fail_closed {
            return None;
        }
        let cost = |seat: &Seat| seat.cost(view.now, view.load);
        let least_bad = |level: &Level| {
            let seats = level
                .range
                .clone()
                .zip(self.seats.get(level.range.clone())?);
            let alive = seats.filter(|(_, seat)| seat.slot.gate() != Gate::Shut && may_be(seat));
            let least = alive.min_by(|(_, one), (_, other)| cost(one).total_cmp(&cost(other)));
            least.map(|(index, _)| index)
        };
        self.levels.list.iter().find_map(least_bad)
    }

    /// Tells the levels their shares, if somebody has gone out or come back.
    #[inline]
    pub(crate) fn spread(&self, ledger: &Ledger, now: Instant) {
        self.levels.spread(&self.seats, &self.told, ledger, now);
    }

    /// The member of this identity.
    pub(crate) fn named(&self, id: &str) -> Option<(&Seat, &S)> {
        let mut seats = self.seats.iter();
        self.at(seats.position(|seat| &**seat.slot.id() == id)?)
    }

    /// The member that `slot` belongs to.
    pub(crate) fn find(&self, slot: &Arc<Slot>) -> Option<(&Seat, &S)> {
        let mut seats = self.seats.iter();
        self.at(seats.position(|seat| Arc::ptr_eq(&seat.slot, slot))?)
    }

    /// From where on a large pool is looked at this time.
    pub(crate) fn start(&self, rng: &Rng) -> usize {
        let len = self.seats.len();
        if len > SAMPLE { rng.below(len) } else { 0 }
    }

    /// Looks who is shunned: of a large level at some of its endpoints, from `start` on.
    pub(crate) fn follow_shunned(&self, start: usize, now: Instant, shared: &Shared) {
        for level in self.asked_levels() {
            let seats = self.seats.get(level.range.clone()).unwrap_or_default();
            let limit = self.limit(level, start, now, shared);
            level.found.keep(limit, now);
            for Seat { slot } in sample(seats, start) {
                if limit.shuns(slot, now) || slot.is_followed() {
                    slot.follow(limit, now);
                }
            }
        }
    }

    /// By what the last request was kept from endpoints, or the next one would be, on each level that takes any.
    pub(crate) fn limits(&self, now: Instant, shared: &Shared) -> Vec<(Rank, Limit)> {
        let limit = |level: &Level| {
            let heeds = self.config.policy.heeds();
            let found = heeds.and_then(|heeds| level.found.of_late(heeds, now));
            let limit = found.unwrap_or_else(|| self.limit(level, 0, now, shared));
            (level.rank, limit)
        };
        self.asked_levels().map(limit).collect()
    }

    fn limit(&self, level: &Level, start: usize, now: Instant, shared: &Shared) -> Limit {
        let Some(heeds) = self.config.policy.heeds() else {
            return Limit::NONE;
        };
        let seats = self.seats.get(level.range.clone()).unwrap_or_default();
        let view = self.view(now, None, shared);
        let load = level.load().unwrap_or(view.load);
        let all = seats.len();
        Limit::of(heeds, sample(seats, start), all, (load, view.band()), now)
    }

    /// Those that take requests.
    fn asked_levels(&self) -> impl Iterator<Item = &Level> {
        let levels = &self.levels.list;
        let takes = |level: &&Level| levels.len() == 1 || level.share() > 0.0;
        levels.iter().filter(takes)
    }

    /// What the endpoints show, in the middle; of a large pool, what some of them do, from `start` on. These are brought up to date.
    pub(crate) fn medians(&self, start: usize, now: Instant, rng: &Rng) -> Medians {
        let len = self.seats.len();
        let stride = (len / SAMPLE).max(1);
        let mut all = [Shows::default(); SAMPLE];
        for (n, place) in all.iter_mut().enumerate().take(len) {
            if let Some(Seat { slot }) = self.seats.get((start + n * stride) % len) {
                slot.bring_up_to_date(now);
                *place = slot.shows(now);
            }
        }
        let medians = Medians::of(all.get(..len.min(SAMPLE)).unwrap_or_default());
        let load = self.levels.see_load(&self.seats, rng);
        Medians {
            load: load.unwrap_or(medians.load),
            ..medians
        }
    }
}

/// Some of `seats`, from the one at `start` on; all where these are few.
fn sample(seats: &[Seat], start: usize) -> impl Iterator<Item = &Seat> + Clone {
    let (len, stride) = (seats.len(), (seats.len() / SAMPLE).max(1));
    let places = (0..len.min(SAMPLE)).map(move |n| (start + n * stride) % len);
    places.filter_map(|place| seats.get(place))
}

/// The index among all of whoever is picked of a level.
fn on(
    level: &Level,
    all: &View<'_>,
    pick: impl Fn(&Picker, &View<'_>) -> Option<usize>,
) -> Option<usize> {
    let seats = all.seats.get(level.range.clone())?;
    let told = all.told.get(level.range.clone())?;
    let of_level = View {
        seats,
        told,
        load: level.load().unwrap_or(all.load),
        turns: all.turns + level.range.start,
        ..*all
    };
    let index = pick(&level.picker, &of_level)?;
    Some(level.range.start + index)
}

/// The index among all of the cheapest of the first few on a level that are open and may be picked, from a random
/// one on: by what is bid at each index.
fn cheapest(
    level: &Level,
    all: &View<'_>,
    may_be: impl Fn(&Seat) -> bool,
    bid: impl Fn(usize) -> Option<f64>,
) -> Option<usize> {
    let (first, len) = (level.range.start, level.range.len());
    let start = all.rng.below(len);
    let order = (start..len).chain(0..start).map(|place| first + place);
    let others = order.filter(|&index| all.seats.get(index).is_some_and(&may_be));
    let mut open = others.filter_map(|index| Some((index, bid(index)?)));
    let few: [Option<(usize, f64)>; SCAN] = std::array::from_fn(|_| open.next());
    let mut costs = Bids::<SCAN>::NONE;
    let mut bids = Bids::new(&mut costs, SCAN);
    for (place, (_, cost)) in few.iter().flatten().enumerate() {
        bids.set(place, *cost);
    }
    let index = |place: usize| few.get(place).copied().flatten().map(|it| it.0);
    let weight = |place| {
        let told = index(place).and_then(|index| all.told.get(index));
        told.map_or(0.0, |told: &Told| f64::from(told.weight))
    };
    index(bids.choose_by(weight, all.band(), all.rng.unit())?)
}
