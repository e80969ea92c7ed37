//! What a policy sees of a pool: its candidates, at the moment of a pick.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::clock::Instant;
use buttress_core::rng::Rng;

use crate::attempted::Attempted;
use crate::bids::Band;
use crate::endpoint::Metadata;
use crate::ledger::Ledger;
use crate::seat::{Seat, Told};

/// What a policy chooses from: the endpoints of a pool by their index, at the moment of a pick.
///
/// Nothing is computed before it is asked for: a policy that looks at two of ten thousand pays for two.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(crate) seats: &'a [Seat],
    /// As many, in the same order.
    pub(crate) told: &'a [Told],
    pub(crate) now: Instant,
    /// Requests in flight at an endpoint of these, in the mean.
    pub(crate) load: f64,
    pub(crate) noise_band: f64,
    /// What a request costs at a usual endpoint that has nothing else to do.
    pub(crate) usual: f64,
    /// The share of requests that all take in turn.
    pub(crate) in_turn: f64,
    pub(crate) key: Option<u64>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) rng: &'a Rng,
    /// Whose turns these are: [`Rng::turn`].
    pub(crate) turns: usize,
}

impl<'a> View<'a> {
    /// How many endpoints there are, whatever their state.
    pub const fn len(&self) -> usize {
        self.seats.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.seats.is_empty()
    }

    /// The endpoint at `index`; `None` where that takes no traffic: it is out, drained, or not there.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Candidate<'a>> {
        let (seat, told) = (self.seats.get(index)?, self.told.get(index)?);
        seat.is_open(self.now).then_some(Candidate {
            seat,
            told,
            now: self.now,
            load: self.load,
        })
    }

    /// The same without one that is on its way back, or new, and is not given this request: by chance, as far as it
    /// has come.
    pub fn given(&self, index: usize) -> Option<Candidate<'a>> {
        let candidate = self.get(index)?;
        let bid = candidate.seat.bid(self.now, self.load, self.rng);
        bid.map(|_| candidate)
    }

    /// Which differences of cost are none.
    #[inline]
    pub(crate) const fn band(&self) -> Band {
        Band {
            share: self.noise_band,
            one: self.usual,
        }
    }

    /// What a request costs at `index`; `None` where that takes no traffic, or not this request.
    #[inline]
    pub(crate) fn bid(&self, index: usize) -> Option<f64> {
        let seat = self.seats.get(index)?;
        seat.slot.bring_up_to_date(self.now);
        seat.bid(self.now, self.load, self.rng)
    }

    /// The same by what was shown last: nothing is brought up to date.
    #[inline]
    pub(crate) fn last_bid(&self, index: usize) -> Option<f64> {
        let seat = self.seats.get(index)?;
        seat.bid(self.now, self.load, self.rng)
    }

    /// The same where whoever is on its way back has to take the request.
    pub(crate) fn bid_at_need(&self, index: usize) -> Option<f64> {
        self.seats.get(index)?.bid_at_need(self.now, self.load)
    }

    /// Whether the endpoint at `index` takes traffic, or would but for a rule.
    #[cold]
    pub(crate) fn may_have_its_turn(&self, index: usize) -> bool {
        let seat = self.seats.get(index);
        seat.is_some_and(|seat| seat.slot.may_have_its_turn())
    }

    /// Fetches what a pick reads of the endpoint at `index` to know what it costs.
    #[inline]
    pub(crate) fn fetch(&self, index: usize) {
        if let Some(seat) = self.seats.get(index) {
            seat.slot.fetch();
        }
    }

    /// The same, and what it reads besides of whoever it chooses.
    #[inline]
    pub(crate) fn fetch_whole(&self, index: usize) {
        if let Some(seat) = self.seats.get(index) {
            seat.slot.fetch();
            seat.slot.fetch_rest();
        }
    }

    /// Whether the endpoint at `index` takes traffic.
    #[inline]
    pub(crate) fn is_open(&self, index: usize) -> bool {
        let seat = self.seats.get(index);
        seat.is_some_and(|seat| seat.is_open(self.now))
    }

    /// Whether it took traffic when that was last looked at.
    #[inline]
    pub(crate) fn was_open(&self, index: usize) -> bool {
        self.seats.get(index).is_some_and(Seat::was_open)
    }

    /// Whether the endpoint at `index` is one of those that a request has been sent to.
    pub(crate) fn is_among(&self, index: usize, attempted: &Attempted) -> bool {
        let seat = self.seats.get(index);
        seat.is_some_and(|seat| attempted.holds(seat.slot.number))
    }

    /// Whether a key that belongs to the endpoint at `index` is served there: by chance, of a suspect.
    pub(crate) fn keeps_its_keys(&self, index: usize) -> bool {
        let seat = self.seats.get(index);
        seat.is_some_and(|seat| seat.slot.keeps_a_key(self.rng))
    }

    /// What the endpoint at `index` has in flight, and its weight.
    #[inline]
    pub(crate) fn bears(&self, index: usize) -> Option<(u32, u32)> {
        let (seat, told) = (self.seats.get(index)?, self.told.get(index)?);
        Some((seat.slot.in_flight(), told.weight))
    }

    /// Those that take traffic, with their indices.
    pub fn open(&self) -> impl Iterator<Item = (usize, Candidate<'a>)> + '_ {
        (0..self.len()).filter_map(|index| Some((index, self.get(index)?)))
    }

    /// What ties the request to an endpoint, if anything does.
    pub const fn key(&self) -> Option<u64> {
        self.key
    }

    /// The moment of the pick.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The share of the pool that is out, 0 to 1. Takes a lock.
    pub fn ejected(&self) -> f64 {
        self.ledger.out() as f64 / self.len().max(1) as f64
    }

    /// The pool's generator, for whatever is left to chance.
    pub const fn rng(&self) -> &'a Rng {
        self.rng
    }

    /// One of all that take traffic, by weight: looks at every endpoint.
    pub(crate) fn any_by_weight(&self) -> Option<usize> {
        self.any_by(|candidate| f64::from(candidate.weight()))
    }

    /// One of all that take traffic: looks at every endpoint.
    pub(crate) fn any(&self) -> Option<usize> {
        self.any_by(|_| 1.0)
    }

    /// By a reservoir: each new one takes the place with the probability that is its due.
    fn any_by(&self, weight: impl Fn(&Candidate<'a>) -> f64) -> Option<usize> {
        let (mut total, mut chosen) = (0.0, None);
        for (index, candidate) in self.open() {
            let weight = weight(&candidate);
            total += weight;
            if self.rng.unit() * total < weight {
                chosen = Some(index);
            }
        }
        chosen
    }
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("len", &self.len())
            .field("now", &self.now)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// An endpoint that a request may go to. What it says is read when it is asked.
#[derive(Clone, Copy)]
pub struct Candidate<'a> {
    seat: &'a Seat,
    told: &'a Told,
    now: Instant,
    load: f64,
}

impl<'a> Candidate<'a> {
    /// The identity.
    pub fn id(&self) -> &'a Arc<str> {
        self.seat.slot.id()
    }

    /// How much it is to bear beside the others; at least 1.
    pub const fn weight(&self) -> u32 {
        self.told.weight
    }

    /// What it was given beside its weight.
    pub fn metadata(&self) -> &'a Metadata {
        &self.told.about.metadata
    }

    /// Requests sent and not yet ended.
    #[inline]
    pub fn in_flight(&self) -> u32 {
        self.seat.slot.in_flight()
    }

    /// The same beside its weight: requests in flight × mean weight / weight. Of one that rises, beside the share that it
    /// is given of that.
    #[inline]
    pub fn load(&self) -> f64 {
        self.seat.load()
    }

    /// The time to a good answer with nothing else in flight, in nanoseconds, or how long it has been silent if that
    /// is longer. As the policy in force keeps it: a decayed mean, or a peak ([`crate::Policy::PeakEwma`]).
    #[inline]
    pub fn latency(&self) -> f64 {
        self.seat.slot.latency(self.now)
    }

    /// For how long requests have been in flight there and nothing has come back.
    pub fn silence(&self) -> Duration {
        Duration::from_secs_f64(self.seat.slot.silence(self.now) / 1e9)
    }

    /// The expected time to a good answer in nanoseconds: latency and the time that failures waste, by what is in
    /// flight.
    #[inline]
    pub fn cost(&self) -> f64 {
        self.seat.cost(self.now, self.load)
    }
}

impl fmt::Debug for Candidate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate")
            .field("id", self.id())
            .field("weight", &self.weight())
            .field("in_flight", &self.in_flight())
            .field("cost", &self.cost())
            .finish_non_exhaustive()
    }
}
