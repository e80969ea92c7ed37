//! What a pool is set to.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Ramp, Settings, Step};
use buttress_core::clock::Clock;
use buttress_core::config::{ConfigError, require, require_name, require_share};
use buttress_core::rng::Rng;

use crate::affinity::Affinity;
use crate::policy::Policy;

mod rules;
mod slow;
mod weights;

pub use rules::{FailureRate, Rules};
pub use slow::SlowRate;
pub use weights::Weights;

/// What a pool of endpoints is set to. Every field has a default that suits a gateway.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The pool's name, in metrics and events; not empty. Fixed when the pool is made. Default `default`.
    pub pool: Arc<str>,
    /// When an endpoint is ejected. Default: after five failures in a row, half of at least 20 calls in 10 s, or where its answers are
    /// much later than its peers' and the policy would ask it as often.
    pub rules: Rules,
    /// How long it stays out, and how it is probed. Default: 5, 10, then 15 s, each up to a quarter
    /// longer within that, and four probes that succeed one after the other; the rest as [`Settings`].
    ///
    /// Whoever comes back, by whatever way, or is new among others, is given its traffic by the steps of the ramp: 10, 30
    /// and 60 % of the requests that would be its own, each for 0.6 s and 5 successes, or for ten times as long and one answer that is
    /// no failure and no limit's; `None` gives all at once. What the ramp says of trouble and a limit of half-open are not heeded: the pool weighs what is back.
    pub circuit: Settings,
    /// The largest share of the pool that may be out at once. Where there are two endpoints or more
    /// one may always be ejected unless this is 0, and one always stays. Of each level (a priority, and of one priority a
    /// distance) the same share may be out whatever other levels have lost. Where there is no room for one that gives less than half
    /// as many good answers as one that is out, that one comes back. 0 to 1; default 0.5.
    pub max_ejected: f64,
    /// The time constant with which evidence fades: after as long a third of it is left. 10 ms or more; default 10 s.
    pub decay: Duration,
    /// By what an endpoint is picked. Default [`Policy::ExpectedCost`].
    pub policy: Policy,
    /// What ties a request to an endpoint, for policies that heed it. Default: nothing, and nothing is paid for it.
    pub affinity: Option<Affinity>,
    /// Where the pool is asked from, the largest part first and parted by `/`, such as `eu-west/1a`. Of one priority
    /// endpoints that share more of it ([`Endpoint::locality`](crate::Endpoint::locality)) are asked first, as if those
    /// farther away were of a later priority. Default: nowhere, and all are equally near.
    pub locality: Option<Arc<str>>,
    /// How much more than its share a level of endpoints (a priority, and of one priority a distance) can bear: while
    /// its well share times this is 1 or more it takes all requests, and what it lacks goes to the next level. 1 to a
    /// million; default 1.4, so that more than 28 % have to be out. While answers take more than four times what they do at ease and
    /// others fail as well, no more of the pool are out for being late than leave each of the others this many times its share.
    pub overprovisioning: f64,
    /// Whether requests are refused while every endpoint is out. Default `false`: the least bad of the first level is
    /// asked.
    pub fail_closed: bool,
    /// Endpoints whose costs differ by less than this share are equally good, and each of them has its turn: a share of
    /// the lesser, and at most of what a request costs at a usual endpoint that has nothing else to do. 0 to 10; default 0.25.
    pub noise_band: f64,
    /// How long a request waits for the endpoint it was given to become ready. More than 0; default 5 s.
    pub ready_deadline: Duration,
    /// For how long an endpoint that has left the pool is remembered: one that comes back within that
    /// goes on where it was, with its statistics, and out if it was out. As many are remembered as are
    /// in the pool, or 64. 0 forgets at once. Default 10 min.
    pub remember: Duration,
    /// For how long it is believed what an endpoint reports of its own load ([`crate::load`]); 10 s is a good one
    /// ([`crate::load::EXPIRY`]), and 10 ms the least. Default: no report is looked at.
    pub reported_load: Option<Duration>,
    /// Whether each response says in its extensions which endpoint it is from: [`crate::Picked`].
    /// That costs an allocation. Default `false`.
    pub picked: bool,
    /// Tells the time. Fixed when the pool is made.
    pub clock: Clock,
    /// Breaks ties and spreads backoffs. Fixed when the pool is made.
    pub rng: Rng,
}

/// A probe costs one request now and then, and an endpoint that is away costs its peers its load: it is
/// asked sooner than a dependency for which there is no other. Whoever fails half of what it is asked
/// seldom passes four probes.
fn circuit_of_an_endpoint() -> Settings {
    const PROBES: NonZeroU32 = NonZeroU32::MIN.saturating_add(3);
    let open_for = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(15));
    let step = |share| Step::new(share, Duration::from_millis(600), 5);
    Settings::default()
        .open_for(open_for)
        .successes_to_close(PROBES)
        .ramp(Some(Ramp::new([0.1, 0.3, 0.6].map(step))))
}

/// Over a shorter time nothing is remembered or believed.
const SHORTEST: Duration = Duration::from_millis(10);

impl Default for Config {
    fn default() -> Self {
        Self {
            pool: Arc::from("default"),
            rules: Rules::default(),
            circuit: circuit_of_an_endpoint(),
            max_ejected: 0.5,
            decay: Duration::from_secs(10),
            policy: Policy::default(),
            affinity: None,
            locality: None,
            overprovisioning: 1.4,
            fail_closed: false,
            noise_band: 0.25,
            ready_deadline: Duration::from_secs(5),
            remember: Duration::from_secs(600),
            reported_load: None,
            picked: false,
            clock: Clock::default(),
            rng: Rng::default(),
        }
    }
}

impl Config {
    /// The defaults, for a pool of this name.
    pub fn new(pool: impl Into<Arc<str>>) -> Self {
        Self {
            pool: pool.into(),
            ..Self::default()
        }
    }

    /// When an endpoint is ejected.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// How long an ejected endpoint stays out, and how it is probed.
    #[must_use]
    pub fn circuit(mut self, circuit: Settings) -> Self {
        self.circuit = circuit;
        self
    }

    /// With a circuit for probes that cost no user anything ([`crate::HealthRouter::hedged`]): an endpoint
    /// stays out for 1, then 2 s, and has to answer twenty copies well, one after the other.
    #[must_use]
    pub fn hedged(mut self) -> Self {
        const PROBES: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);
        let open_for = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(2));
        self.circuit = self.circuit.open_for(open_for).successes_to_close(PROBES);
        self
    }

    /// The largest share of the pool that may be out at once.
    #[must_use]
    pub fn max_ejected(mut self, share: f64) -> Self {
        self.max_ejected = share;
        self
    }

    /// The time constant with which evidence fades.
    #[must_use]
    pub fn decay(mut self, decay: Duration) -> Self {
        self.decay = decay;
        self
    }

    /// By what an endpoint is picked.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// What ties a request to an endpoint.
    #[must_use]
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.affinity = Some(affinity);
        self
    }

    /// Where the pool is asked from.
    #[must_use]
    pub fn locality(mut self, locality: impl Into<Arc<str>>) -> Self {
        self.locality = Some(locality.into());
        self
    }

    /// How much more than its share a level of endpoints can bear.
    #[must_use]
    pub fn overprovisioning(mut self, factor: f64) -> Self {
        self.overprovisioning = factor;
        self
    }

    /// Whether requests are refused while every endpoint is out.
    #[must_use]
    pub fn fail_closed(mut self, fail_closed: bool) -> Self {
        self.fail_closed = fail_closed;
        self
    }

    /// The relative difference in cost below which each has its turn.
    #[must_use]
    pub fn noise_band(mut self, share: f64) -> Self {
        self.noise_band = share;
        self
    }

    /// How long a request waits for its endpoint to become ready.
    #[must_use]
    pub fn ready_deadline(mut self, deadline: Duration) -> Self {
        self.ready_deadline = deadline;
        self
    }

    /// For how long an endpoint that has left the pool is remembered.
    #[must_use]
    pub fn remember(mut self, remember: Duration) -> Self {
        self.remember = remember;
        self
    }

    /// For how long it is believed what an endpoint reports of its own load; `None` heeds no report.
    #[must_use]
    pub const fn reported_load(mut self, expiry: Option<Duration>) -> Self {
        self.reported_load = expiry;
        self
    }

    /// Says in each response's extensions which endpoint it is from, as [`crate::Picked`].
    #[must_use]
    pub fn picked(mut self, picked: bool) -> Self {
        self.picked = picked;
        self
    }

    /// Tells the time.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Breaks ties and spreads backoffs.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    /// Refuses what makes no sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        require_name("pool", &self.pool, "a pool")?;
        require_share("max_ejected", self.max_ejected)?;
        let (band, factor) = (self.noise_band, self.overprovisioning);
        require((0.0..=10.0).contains(&band), "noise_band", || {
            format!("{band} is no share; use 0 to 10")
        })?;
        require((1.0..=1e6).contains(&factor), "overprovisioning", || {
            format!("{factor} is no such factor; use 1 to 1000000")
        })?;
        require(self.decay >= SHORTEST, "decay", || {
            format!("{:?} forgets too fast; use 10ms or more", self.decay)
        })?;
        let expiry = self.reported_load.unwrap_or(SHORTEST);
        require(expiry >= SHORTEST, "reported_load", || {
            format!("{expiry:?} believes no report; use 10ms or more")
        })?;
        require(
            !self.ready_deadline.is_zero(),
            "ready_deadline",
            || "0 never waits; use at least the time a connection takes",
        )?;
        self.policy.validate()?;
        self.rules.validate()?;
        self.circuit.validate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_configuration_that_makes_no_sense_is_refused_by_the_name_of_its_field() {
        let zero_window = FailureRate::new(0.5, Duration::ZERO, NonZeroU32::MIN);
        let no_rate = FailureRate::new(f64::NAN, Duration::from_secs(1), NonZeroU32::MIN);
        let forfeit = Settings::default().probe_deadline(Duration::ZERO);
        let bounded = |bound| Config::default().policy(Policy::ConsistentHash { bound });
        let refused = [
            (Config::new(""), "pool"),
            (Config::default().max_ejected(1.1), "max_ejected"),
            (Config::default().max_ejected(f64::NAN), "max_ejected"),
            (Config::default().noise_band(-0.1), "noise_band"),
            (Config::default().overprovisioning(0.9), "overprovisioning"),
            (Config::default().decay(Duration::ZERO), "decay"),
            (
                Config::default().reported_load(Some(Duration::ZERO)),
                "reported_load",
            ),
            (
                Config::default().ready_deadline(Duration::ZERO),
                "ready_deadline",
            ),
            (
                Config::default().rules(Rules::none().failure_rate(zero_window)),
                "rules.failure_rate.window",
            ),
            (
                Config::default().rules(Rules::none().failure_rate(no_rate)),
                "rules.failure_rate.threshold",
            ),
            (Config::default().circuit(forfeit), "probe_deadline"),
            (
                Config::default().rules(Rules::none().weights(Weights::default().connect(101))),
                "rules.weights.connect",
            ),
            (bounded(0.99), "policy.bound"),
            (bounded(f64::NAN), "policy.bound"),
        ];
        for (config, field) in refused {
            assert_eq!(config.validate().unwrap_err().field(), field);
        }
    }
}
