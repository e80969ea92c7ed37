//! Who is in and given next to nothing: whoever costs more with nothing in flight than others do with what these have, and whoever
//! takes so long that it would bear next to nothing however much these have. Costs end up alike: whoever takes four times as long
//! has a fourth in flight, and answers a sixteenth.
//!
//! Each is held against those of its own level, as the policy does it. Looked at as a whole level is, once a millisecond by a
//! pick, and whenever somebody asks: no request pays for it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use buttress_core::clock::Instant;

use crate::bids::{Band, SCAN};
use crate::evidence::{INDISTINCT, Score};
use crate::peers::SAMPLE;
use crate::policy::Heeds;
use crate::seat::Seat;
use crate::slot::{DEAR, Gate, Slot};
use crate::sync::AtomicU64;

/// What was found longer ago is looked at anew.
const LATELY: Duration = Duration::from_secs(1);

/// What whoever is asked on a level costs at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    heeds: Heeds,
    /// In nanoseconds, the noise band included.
    most: f64,
    /// Many times what a usual endpoint costs that has nothing in flight.
    dear: f64,
    /// Requests in flight at an endpoint, in the mean.
    load: f64,
}

/// The limit that the last request found on a level. These find less in flight than whoever looks between them.
#[derive(Debug)]
pub(crate) struct Found {
    most: AtomicU64,
    dear: AtomicU64,
    load: AtomicU64,
    /// When, in nanoseconds.
    at: AtomicU64,
}

/// What requests cost at some endpoints of a level: with nothing in flight, and now.
struct Costs {
    idle: [f64; SAMPLE],
    now: [f64; SAMPLE],
    count: usize,
}

impl Costs {
    /// At those of this gate.
    fn of<'a>(
        gate: Gate,
        seen: impl Iterator<Item = &'a Seat>,
        cost: impl Fn(&Seat) -> (f64, f64),
    ) -> Option<Self> {
        let mut costs = Self {
            idle: [0.0; SAMPLE],
            now: [0.0; SAMPLE],
            count: 0,
        };
        let places = costs.idle.iter_mut().zip(&mut costs.now);
        let of_gate = seen.filter(|seat| seat.slot.gate() == gate);
        for ((idle, now), seat) in places.zip(of_gate) {
            (*idle, *now) = cost(seat);
            costs.count += 1;
        }
        (costs.count > 0).then_some(costs)
    }

    fn cheapest(&self) -> f64 {
        let now = self.now.iter().take(self.count);
        now.copied().fold(f64::INFINITY, f64::min)
    }
}

impl Limit {
    /// Nobody is shunned.
    pub(crate) const NONE: Self = Self {
        heeds: Heeds::Cost,
        most: f64::INFINITY,
        dear: f64::INFINITY,
        load: 0.0,
    };

    /// Of a level of which these are seen. Where all endpoints are looked at the cheapest of them is asked, and where some are drawn
    /// one that is cheaper than most.
    ///
    /// Whoever rises is given too few requests to keep others from theirs, unless all do.
    pub(crate) fn of<'a>(
        heeds: Heeds,
        seen: impl Iterator<Item = &'a Seat> + Clone,
        endpoints: usize,
        (load, band): (f64, Band),
        now: Instant,
    ) -> Self {
        let cost = |seat: &Seat| match heeds {
            Heeds::Cost => (seat.slot.cost(now, 0.0, load), seat.cost_now(now, load)),
            Heeds::Latency => {
                let latency = seat.slot.latency(now);
                (latency, latency * (1.0 + seat.load()))
            }
        };
        let costs = Costs::of(Gate::Open, seen.clone(), cost);
        let Some(mut costs) = costs.or_else(|| Costs::of(Gate::Rising, seen, cost)) else {
            return Self::NONE;
        };
        let asked = if endpoints <= SCAN && heeds == Heeds::Cost {
            costs.cheapest()
        } else {
            middle(&mut costs.now, costs.count)
        };
        Self {
            heeds,
            most: band.above(asked),
            dear: DEAR * middle(&mut costs.idle, costs.count),
            load,
        }
    }

    /// Whether it keeps requests from who takes traffic, by what it showed last.
    #[inline]
    pub(crate) fn shuns(&self, slot: &Slot, now: Instant) -> bool {
        let may_shun = self.most < f64::INFINITY;
        may_shun && slot.takes_traffic() && self.keeps_from(slot.score(), slot.silence(now))
    }

    /// Whether it keeps requests from who shows this score and has been silent for so long, whatever that has in flight.
    pub(crate) fn keeps_from(&self, score: Score, silence: f64) -> bool {
        let latency = (f64::from(score.latency) - self.indistinct()).max(silence);
        let cost = latency + f64::from(score.penalty) * self.weight();
        cost > self.most || self.is_dear(latency)
    }

    /// Whether this is many times what a usual endpoint costs that has nothing in flight.
    pub(crate) fn is_dear(&self, cost: f64) -> bool {
        cost >= self.dear
    }

    /// How heavily a penalty weighs.
    pub(crate) fn weight(&self) -> f64 {
        match self.heeds {
            Heeds::Cost => 1.0 + self.load,
            Heeds::Latency => 0.0,
        }
    }

    /// What is in the latency of a score and not compared.
    fn indistinct(&self) -> f64 {
        match self.heeds {
            Heeds::Cost => 0.0,
            Heeds::Latency => INDISTINCT,
        }
    }

    /// For how long, in nanoseconds, nothing may come back beside such a penalty.
    pub(crate) fn silence_beside(&self, penalty: f64) -> f64 {
        let most = self.most - penalty * self.weight();
        most.min(self.dear)
    }

    /// How long answers may take beside such a penalty.
    pub(crate) fn latency_beside(&self, penalty: f64) -> f64 {
        self.silence_beside(penalty) + self.indistinct() - INDISTINCT
    }

    /// How large a penalty may be beside so much else.
    pub(crate) fn penalty_beside(&self, cost: f64) -> f64 {
        (self.most - cost) / (1.0 + self.load)
    }
}

impl Found {
    pub(crate) fn nothing() -> Self {
        Self {
            most: AtomicU64::new(f64::INFINITY.to_bits()),
            dear: AtomicU64::new(f64::INFINITY.to_bits()),
            load: AtomicU64::new(0),
            at: AtomicU64::new(0),
        }
    }

    pub(crate) fn keep(&self, limit: Limit, now: Instant) {
        let to = |figure: &AtomicU64, value: f64| figure.store(value.to_bits(), Ordering::Relaxed);
        to(&self.most, limit.most);
        to(&self.dear, limit.dear);
        to(&self.load, limit.load);
        self.at.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Within the last second.
    pub(crate) fn of_late(&self, heeds: Heeds, now: Instant) -> Option<Limit> {
        let at = Instant::from_nanos(self.at.load(Ordering::Relaxed));
        let of = |figure: &AtomicU64| f64::from_bits(figure.load(Ordering::Relaxed));
        (now.saturating_since(at) < LATELY).then(|| Limit {
            heeds,
            most: of(&self.most),
            dear: of(&self.dear),
            load: of(&self.load),
        })
    }
}

/// The lower of two in the middle.
fn middle(costs: &mut [f64; SAMPLE], count: usize) -> f64 {
    let costs = costs.get_mut(..count).unwrap_or_default();
    costs.sort_unstable_by(f64::total_cmp);
    let middle = costs.get(count.saturating_sub(1) / 2);
    middle.copied().unwrap_or(f64::INFINITY)
}
