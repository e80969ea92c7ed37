//! By what a pool picks: the policies, and the one that is in force for a list of endpoints.

mod consistent_hash;
mod expected_cost;
mod in_turn;
mod random;
mod ring;
mod room;
mod round_robin;
mod two_choices;

use std::fmt;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use buttress_core::rng::{Bits, Rng};

use crate::alias::AliasTable;
use crate::attempted::Attempted;
use crate::bids::SCAN;
use crate::seat::{Told, are_alike};
use crate::view::View;

use consistent_hash::ConsistentHash;
use round_robin::RoundRobin;

/// A policy of one's own: which of a pool's endpoints a request goes to. No I/O, no clock: all it may know is in the
/// view.
///
/// ```
/// use std::sync::Arc;
/// use buttress_route::{Config, Pick, Policy, View};
///
/// /// Whoever has the most room, by what it says of itself.
/// #[derive(Debug)]
/// struct Roomiest;
///
/// impl Pick for Roomiest {
///     fn pick(&self, view: &View<'_>) -> Option<usize> {
///         let room = |index: usize| {
///             let candidate = view.get(index)?;
///             let places: u32 = candidate.metadata().get("places")?.parse().ok()?;
///             Some(places.saturating_sub(candidate.in_flight()))
///         };
///         (0..view.len()).max_by_key(|&index| room(index))
///     }
/// }
///
/// let config = Config::new("workers").policy(Policy::Custom(Arc::new(Roomiest)));
/// # assert!(config.validate().is_ok());
/// ```
pub trait Pick: fmt::Debug + Send + Sync {
    /// The index of an endpoint that takes traffic ([`View::get`]). Where it is `None`, or that of an endpoint that
    /// does not, the pool falls back on [`Policy::ExpectedCost`].
    ///
    /// Called for each request, by many threads at once and under no lock. If it panics, that request is lost and no
    /// other.
    fn pick(&self, view: &View<'_>) -> Option<usize>;
}

/// By what a pool picks. Whatever it is, an endpoint that is out, drained or of weight 0 is not picked, but in its turn where the
/// others are overrun ([`PoolSnapshot::in_turn`](crate::PoolSnapshot::in_turn)), and one that hangs or fails is thrown out by the same rules.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Policy {
    /// The least expected time to a good answer, and each in its turn within
    /// [`Config::noise_band`](crate::Config::noise_band) of it: all endpoints of up to 16, five drawn by weight of more. See the crate's documentation.
    #[default]
    ExpectedCost,
    /// Each in its turn and as often as its weight says, spread evenly (the turn that is due first is next): no
    /// endpoint is two turns ahead of its share, or behind it. Turns are told by one counter for all threads; it
    /// begins at random, so that many routers do not begin with the same endpoint.
    ///
    /// A round has at most 16 turns for each endpoint: weights that would need more are rounded to it.
    RoundRobin,
    /// Any, whatever its weight.
    Random,
    /// Any, by weight.
    WeightedRandom,
    /// Of two drawn by weight, the one with fewer requests in flight beside its weight (power of two choices:
    /// Mitzenmacher 2001).
    LeastRequest,
    /// Of two drawn by weight, the one whose peak latency times its requests in flight is less; of two whose latencies
    /// differ by less than the noise band, the one with fewer in flight. The peak is that of
    /// Finagle and tower: up at once, down with [`Config::decay`](crate::Config::decay). Fed by successes alone,
    /// and at least the time for which an endpoint has been silent.
    PeakEwma,
    /// The endpoint that the request's key belongs to ([`Config::affinity`](crate::Config::affinity)); without a key
    /// as [`Policy::ExpectedCost`].
    ///
    /// Multi-probe consistent hashing (Appleton, O'Reilly 2015), by weight, with bounded loads (Mirrokni, Thorup,
    /// Zadimoghaddam 2018): of those with room, the one that is nearest to the key on a ring. When an endpoint goes, its
    /// keys move and no other; when one comes, it takes its share and no other key moves. A share is off its due by
    /// some 4 %.
    ///
    /// A pick looks at eight places of the ring, however many endpoints there are, and counts what is in flight where
    /// they are up to 32; of more, a sample of 128 says that once a millisecond. Where the nearest have no room up
    /// to a thousand places after each are looked at, and nobody goes without. The ring takes about 400 bytes an endpoint,
    /// and an update sorts it: some milliseconds for ten thousand.
    ConsistentHash {
        /// How many times its share of what is in flight an endpoint may have before keys overflow to their next
        /// endpoint: 1 or more; infinite never overflows. 1.25 is a good one.
        bound: f64,
    },
    /// One's own.
    Custom(Arc<dyn Pick>),
}

impl Policy {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        match self {
            Self::ConsistentHash { bound } if bound.is_nan() || *bound < 1.0 => {
                let problem = format!("{bound} leaves no endpoint its share; use 1 or more");
                Err(ConfigError::new("policy.bound", problem))
            }
            _ => Ok(()),
        }
    }

    /// Whether all take a share of the requests in turn where those who are well are overrun: a key stays with its endpoint, and
    /// a policy of one's own has its way.
    pub(crate) const fn gives_turns(&self) -> bool {
        !matches!(self, Self::ConsistentHash { .. } | Self::Custom(_))
    }

    /// Whether a suspect would be asked as often as others. A policy of one's own may look at what it costs.
    pub(crate) const fn gives_suspects_less(&self) -> bool {
        !matches!(self, Self::ExpectedCost | Self::Custom(_))
    }

    /// What of an endpoint keeps requests from it, where one that costs too much is given next to none. A policy of one's own may
    /// heed anything; nobody knows what.
    pub(crate) const fn heeds(&self) -> Option<Heeds> {
        match self {
            Self::ExpectedCost => Some(Heeds::Cost),
            Self::PeakEwma => Some(Heeds::Latency),
            _ => None,
        }
    }

    /// Whether whoever answers late, or not at all, is asked for next to nothing by itself.
    pub(crate) const fn shuns_the_late(&self) -> bool {
        self.heeds().is_some()
    }

    /// The name used in configuration and status.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::ExpectedCost => "expected_cost",
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::WeightedRandom => "weighted_random",
            Self::LeastRequest => "least_request",
            Self::PeakEwma => "peak_ewma",
            Self::ConsistentHash { .. } => "consistent_hash",
            Self::Custom(_) => "custom",
        }
    }
}

/// What a policy goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heeds {
    /// The time to a good answer; failures waste some.
    Cost,
    /// That to any answer.
    Latency,
}

/// A policy, made ready for a list of endpoints.
#[derive(Debug)]
pub(crate) struct Picker {
    policy: Made,
    /// No weight is other than the rest.
    alike: bool,
    /// For drawing by weight, where the weights differ and something is drawn.
    draws: Option<AliasTable>,
}

#[derive(Debug)]
enum Made {
    ExpectedCost,
    RoundRobin(RoundRobin),
    Random,
    WeightedRandom,
    LeastRequest,
    PeakEwma,
    ConsistentHash(ConsistentHash),
    Custom(Arc<dyn Pick>),
}

impl Picker {
    pub(crate) fn new(policy: &Policy, endpoints: &[Told], weights: &[u32], rng: &Rng) -> Self {
        let alike = are_alike(weights);
        let drawn = match policy {
            Policy::WeightedRandom | Policy::LeastRequest | Policy::PeakEwma => true,
            Policy::Random => false,
            _ => weights.len() > SCAN,
        };
        let policy = match policy {
            Policy::ExpectedCost => Made::ExpectedCost,
            Policy::RoundRobin => Made::RoundRobin(RoundRobin::new(weights, rng)),
            Policy::Random => Made::Random,
            Policy::WeightedRandom => Made::WeightedRandom,
            Policy::LeastRequest => Made::LeastRequest,
            Policy::PeakEwma => Made::PeakEwma,
            Policy::ConsistentHash { bound } => {
                Made::ConsistentHash(ConsistentHash::new(endpoints, *bound))
            }
            Policy::Custom(pick) => Made::Custom(Arc::clone(pick)),
        };
        Self {
            policy,
            alike,
            draws: (drawn && !alike)
                .then(|| AliasTable::new(weights.iter().copied().map(f64::from))),
        }
    }

    /// The endpoint that takes the request; `None` if none is open.
    #[inline]
    pub(crate) fn pick(&self, view: &View<'_>) -> Option<usize> {
        if view.in_turn > 0.0
            && let Some(index) = self.in_turn(view)
        {
            return Some(index);
        }
        if matches!(self.policy, Made::ExpectedCost) {
            return self.least_cost(view);
        }
        let picked = self.pick_otherwise(view);
        let may_be = |&index: &usize| match self.policy {
            // A key stays with its endpoint.
            Made::ConsistentHash(_) => view.get(index).is_some(),
            _ => view.given(index).is_some(),
        };
        let picked = picked.filter(may_be);
        picked.or_else(|| self.least_cost(view))
    }

    /// The endpoint that the request's key belongs to but for those that have had the request; `None` where the policy
    /// heeds no key, or there is none.
    #[cold]
    pub(crate) fn next_owner(&self, view: &View<'_>, attempted: &Attempted) -> Option<usize> {
        let Made::ConsistentHash(ring) = &self.policy else {
            return None;
        };
        ring.pick(view, |index| !view.is_among(index, attempted))
    }

    #[cold]
    fn in_turn(&self, view: &View<'_>) -> Option<usize> {
        match self.policy {
            Made::ConsistentHash(_) | Made::Custom(_) => None,
            Made::Random => in_turn::pick(view, None, |_| 1),
            _ => in_turn::pick(view, self.draws.as_ref(), |told| told.weight),
        }
    }

    #[inline(never)]
    fn pick_otherwise(&self, view: &View<'_>) -> Option<usize> {
        match &self.policy {
            Made::ExpectedCost => None,
            Made::RoundRobin(turns) => turns.pick(view),
            Made::Random => random::uniform(view),
            Made::WeightedRandom => random::by_weight(view, self.draws.as_ref()),
            Made::LeastRequest => two_choices::least_request(view, self.draws.as_ref()),
            Made::PeakEwma => two_choices::peak_ewma(view, self.draws.as_ref()),
            Made::ConsistentHash(ring) => {
                let home = ring.pick(view, |_| true)?;
                if view.keeps_its_keys(home) {
                    return Some(home);
                }
                ring.pick(view, |next| next != home && view.keeps_its_keys(next))
            }
            Made::Custom(pick) => pick.pick(view),
        }
    }

    #[inline]
    fn least_cost(&self, view: &View<'_>) -> Option<usize> {
        expected_cost::pick(view, self.draws.as_ref(), self.alike)
    }
}

/// An index drawn by weight.
#[inline]
fn draw(view: &View<'_>, draws: Option<&AliasTable>) -> usize {
    drawn_by(view.rng.bits(), view, draws)
}

/// The same, each in its turn.
#[inline]
fn turn(view: &View<'_>, draws: Option<&AliasTable>) -> usize {
    drawn_by(view.rng.turn_bits(view.turns), view, draws)
}

/// The index that these bits draw, by weight where weights differ.
#[inline]
fn drawn_by(bits: Bits, view: &View<'_>, draws: Option<&AliasTable>) -> usize {
    match draws {
        Some(draws) => draws.draw(bits),
        None => bits.below(view.len()),
    }
}
