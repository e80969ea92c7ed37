//! What the file says, in the layers' own settings. `check` asks them whether they make sense, so
//! that it refuses all that starting would refuse.

use std::time::Duration;

use buttress::breaker::{self, Backoff, HealthyRun, Ramp, Rule, Settings, Window};
use buttress::core::config::ConfigError;
use buttress::correlation;
use buttress::route::check::{Checks, HttpCheck};
use buttress::route::load::EXPIRY;
use buttress::route::{self, Affinity, Policy, Rules, failover, mirror, split};

use crate::body::RequestBody;
use crate::config::{
    Endpoint, Pool, PoolAffinity, PoolCheck, PoolCheckKind, PoolFailover, PoolHealth, PoolPick,
    Route, RouteBreaker, RouteMirror, RouteSplit, Trust,
};
use crate::networks::FromWithin;

/// Who is believed about an ID is believed about a trace.
pub fn trust(trust: &Trust) -> correlation::Trust {
    match trust {
        Trust::Edge => correlation::Trust::Edge,
        Trust::Internal => correlation::Trust::Internal,
        // Whoever accepts the connection has looked at its peer.
        Trust::Networks(_) => {
            correlation::Trust::when(|head| head.extensions.get::<FromWithin>().is_some())
        }
    }
}

/// A pool's settings.
pub fn router(pool: &Pool) -> route::Config {
    let PoolHealth {
        consecutive_failures,
        failure_rate,
        above_peers,
        slow_rate,
        failure_weights,
        probe_by_copies,
        open_for,
        max_ejected,
        decay,
        overprovisioning,
        fail_closed,
    } = pool.health;
    let rate = route::FailureRate::new(
        failure_rate.ratio,
        failure_rate.window,
        failure_rate.min_calls,
    );
    let rules = Rules::default()
        .consecutive_failures(consecutive_failures)
        .failure_rate(rate.above_peers(above_peers))
        .slow_rate(slow_rate)
        .weights(failure_weights);
    let config = route::Config::new(pool.name.as_str());
    let config = if probe_by_copies {
        config.hedged()
    } else {
        config
    };
    // An endpoint that is away costs its peers its load, and a probe, where it is no copy, a user an answer.
    let times = if probe_by_copies { 2 } else { 3 };
    let out_for = Backoff::exponential(open_for, open_for.saturating_mul(times));
    let circuit = config.circuit.clone().open_for(out_for);
    let config = match &pool.affinity {
        Some(affinity) => config.affinity(self::affinity(affinity)),
        None => config,
    };
    let config = match &pool.locality {
        Some(locality) => config.locality(locality.as_str()),
        None => config,
    };
    config
        .reported_load(pool.reported_load.then_some(EXPIRY))
        .policy(policy(pool))
        .noise_band(pool.noise_band)
        .remember(pool.remember)
        .overprovisioning(overprovisioning)
        .fail_closed(fail_closed)
        .rules(rules)
        .circuit(circuit)
        .max_ejected(max_ejected)
        .decay(decay)
}

/// How often endpoints are asked where nothing is said.
pub fn checks_by_default() -> Checks {
    Checks::default()
}

/// How often the endpoints of a pool are asked, and what it takes to believe them.
pub fn checks(check: &PoolCheck) -> Checks {
    checks_by_default()
        .interval(check.interval)
        .suspect_interval(check.suspect_interval)
        .timeout(check.timeout)
        .rise(check.rise)
        .fall(check.fall)
}

/// What endpoints are asked over HTTP; `None` if they are not.
pub fn http_check(kind: &PoolCheckKind) -> Result<Option<HttpCheck<RequestBody>>, ConfigError> {
    let PoolCheckKind::Http {
        path,
        statuses,
        contains,
    } = kind
    else {
        return Ok(None);
    };
    let check = HttpCheck::get(path)?;
    let check = (statuses.iter()).fold(check, |check, &status| check.status(status..=status));
    Ok(Some(match contains {
        Some(text) => check.body_contains(text.clone()),
        None => check,
    }))
}

/// What is sent again to another endpoint of a pool.
pub fn failover(pool: &Pool) -> failover::Config {
    let PoolFailover {
        enabled,
        attempts,
        within,
        ref statuses,
        max_body,
        idempotency_key,
        budget,
    } = pool.failover;
    let config = failover::Config::new(pool.name.as_str());
    let budget = failover::Budget::new(budget, config.budget.per_second);
    // Where there is no other endpoint no request is kept for one.
    let has_another = pool.endpoints.len() > 1 || pool.discover.is_some();
    config
        .enabled(enabled && has_another)
        .attempts(attempts.get())
        .within(within)
        .statuses(statuses.iter().copied())
        .max_body(usize::try_from(max_body).unwrap_or(usize::MAX))
        .idempotency_key(idempotency_key)
        .budget(budget)
}

/// What the file says of an endpoint, reached through `service`.
pub fn endpoint<S>(endpoint: &Endpoint, service: S) -> route::Endpoint<S> {
    route::Endpoint::new(endpoint.address.as_str(), service)
        .weight(endpoint.weight)
        .priority(endpoint.priority)
        .locality(endpoint.locality.as_deref().unwrap_or_default())
}

/// Where copies of a route's requests go; of one that has no mirror nowhere.
pub fn mirror(route: &Route) -> mirror::Config {
    let config = mirror::Config::new(route.name.as_str());
    match route.mirror {
        None => config.share(0.0),
        Some(RouteMirror {
            pool: _,
            share,
            max_in_flight,
            timeout,
        }) => config
            .share(share)
            .max_in_flight(max_in_flight)
            .timeout(timeout),
    }
}

/// How a canary is let in where nothing is said.
pub fn split_by_default() -> split::Config {
    split::Config::default()
}

/// Which share of the requests of the route `name` goes to its canary.
pub fn split(name: &str, split: &RouteSplit) -> split::Config {
    let config = split::Config::new(name)
        .steps(split.steps.iter().copied())
        .hold(split.step_for)
        .min_calls(split.min_calls)
        .window(split.window)
        .significance(split.significance)
        .above(split.above)
        .min_failures(split.min_failures)
        .late_after(split.late_after);
    match &split.key {
        Some(key) => config.affinity(affinity(key)),
        None => config,
    }
}

/// By what a pool picks.
const fn policy(pool: &Pool) -> Policy {
    match pool.pick {
        PoolPick::ExpectedCost => Policy::ExpectedCost,
        PoolPick::RoundRobin => Policy::RoundRobin,
        PoolPick::Random => Policy::Random,
        PoolPick::WeightedRandom => Policy::WeightedRandom,
        PoolPick::LeastRequest => Policy::LeastRequest,
        PoolPick::PeakEwma => Policy::PeakEwma,
        PoolPick::ConsistentHash => Policy::ConsistentHash {
            bound: pool.load_bound,
        },
    }
}

fn affinity(affinity: &PoolAffinity) -> Affinity {
    match affinity {
        PoolAffinity::Header(name) => Affinity::header(name.clone()),
        PoolAffinity::Cookie(name) => Affinity::cookie(name),
        PoolAffinity::Path => Affinity::path(),
    }
}

/// The settings of a route's breaker.
pub fn breaker(breaker: &RouteBreaker) -> breaker::Config {
    let in_a_row = breaker
        .consecutive_failures
        .map(|n| Rule::ConsecutiveFailures(n.get()));
    let rate = breaker.failure_rate.map(|rate| Rule::FailureRate {
        ratio: rate.ratio,
        min_calls: rate.min_calls.get(),
        window: Window::Time(rate.window),
    });
    breaker::Config::new()
        .rules(in_a_row.into_iter().chain(rate))
        .circuit(
            Settings::default()
                .open_for(backoff(breaker.open_for))
                .max_probes(breaker.probes)
                .ramp(breaker.ramp.then(ramp))
                .healthy_run(HealthyRun::new(PROVEN, GOOD_ANSWERS)),
        )
}

/// What the file says is the first open time; it doubles while the trouble lasts, up to ten times: users are rejected
/// for that much longer than it lasted.
fn backoff(first: Duration) -> Backoff {
    Backoff::exponential(first, first.saturating_mul(10))
}

/// Closed for so long and with so many good answers the trouble is over, and the next one begins with the first open time.
const PROVEN: Duration = Duration::from_secs(10);
const GOOD_ANSWERS: u32 = 10;

/// Pools let each endpoint back by a ramp of its own: this one is for what is behind them.
fn ramp() -> Ramp {
    Ramp::exponential(0.1, 2.0, Duration::from_secs(1), 10)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use buttress::route::Weights;

    use super::*;
    use crate::config::Config;

    fn pool(keys: &str) -> Pool {
        let text = format!(
            "[[pool]]\nname = \"p\"\n{keys}\n[[route]]\nname = \"r\"\npath_prefix = \"/\"\npool = \"p\"\n"
        );
        Config::parse("gateway.toml", &text)
            .unwrap()
            .pools
            .remove(0)
    }

    #[test]
    fn every_way_to_pick_is_the_routers_own_of_that_name() {
        for name in [
            "expected_cost",
            "round_robin",
            "random",
            "weighted_random",
            "least_request",
            "peak_ewma",
            "consistent_hash",
        ] {
            let affinity = if name == "consistent_hash" {
                "affinity = \"path\"\n"
            } else {
                ""
            };
            let keys = format!("pick = \"{name}\"\n{affinity}endpoints = [\"127.0.0.1:1\"]");
            let config = router(&pool(&keys));
            assert_eq!(config.policy.as_str(), name);
            assert_eq!(config.affinity.is_some(), !affinity.is_empty());
        }
    }

    #[test]
    fn when_an_endpoint_is_thrown_out_is_as_the_file_says_and_by_default_as_the_router_does() {
        let endpoints = "endpoints = [\"127.0.0.1:1\"]\n";
        assert_eq!(router(&pool(endpoints)).rules, Rules::default());
        let keys = "[pool.health]\nconsecutive_failures = 7\n\
                    failure_rate = { ratio = 0.2, min_calls = 9, window = \"3s\", above_peers = 0.5 }\n\
                    slow_rate = { times = 3, min_calls = 8, window = \"2s\", above_peers = 0.4 }\n\
                    failure_weights = { connect = 2, transport = 3, deadline = 4, answer = 5, overloaded = 0, body = 6, panic = 7 }";
        let rules = router(&pool(&format!("{endpoints}{keys}"))).rules;
        let rate =
            route::FailureRate::new(0.2, Duration::from_secs(3), NonZeroU32::new(9).unwrap());
        assert_eq!(rules.failure_rate, Some(rate.above_peers(0.5)));
        let calls = NonZeroU32::new(8).unwrap();
        let slow = route::SlowRate::new(0.4, Duration::from_secs(2), calls);
        assert_eq!(rules.slow_rate, Some(slow.times(3.0)));
        assert_eq!(rules.consecutive_failures, NonZeroU32::new(7));
        let weights = Weights::default().connect(2).transport(3).deadline(4);
        let weights = weights.answer(5).overloaded(0).body(6).panic(7);
        assert_eq!(rules.weights, weights);
    }

    #[test]
    fn what_is_said_of_picks_reaches_the_router_and_by_default_it_is_the_routers_own() {
        let endpoints = "endpoints = [\"127.0.0.1:1\"]\n";
        let (ours, own) = (router(&pool(endpoints)), route::Config::default());
        assert_eq!(ours.remember, own.remember);
        assert!((ours.noise_band - own.noise_band).abs() < f64::EPSILON);
        let keys = "noise_band = 0\nremember = \"0s\"\nload_bound = 2\naffinity = \"path\"\n\
                    pick = \"consistent_hash\"\n";
        let config = router(&pool(&format!("{keys}{endpoints}")));
        assert!(config.noise_band.abs() < f64::EPSILON && config.remember.is_zero());
        assert!(
            matches!(config.policy, Policy::ConsistentHash { bound } if (1.9..2.1).contains(&bound))
        );
    }

    #[test]
    fn when_a_canary_does_worse_is_as_the_file_says_and_by_default_as_the_split_does() {
        let said = |keys: &str| {
            let text = format!(
                "[[pool]]\nname = \"p\"\nendpoints = [\"127.0.0.1:1\"]\n\
                 [[pool]]\nname = \"q\"\nendpoints = [\"127.0.0.1:2\"]\n\
                 [[route]]\nname = \"r\"\npool = \"p\"\n[route.split]\ncanary = \"q\"\n{keys}"
            );
            let route = Config::parse("gateway.toml", &text)
                .unwrap()
                .routes
                .remove(0);
            let split = split("r", &route.split.unwrap());
            (
                split.significance,
                split.above,
                split.min_failures,
                split.late_after,
            )
        };
        let default = split_by_default();
        let by_default = (
            default.significance,
            default.above,
            default.min_failures,
            default.late_after,
        );
        assert_eq!(said(""), by_default);
        let keys = "significance = 3.0\nabove = 0.05\nmin_failures = 20\nlate_after = \"4s\"";
        assert_eq!(said(keys), (3.0, 0.05, 20, Duration::from_secs(4)));
    }

    #[test]
    fn what_is_said_of_an_endpoint_reaches_the_router() {
        let keys = "locality = \"eu/1a\"\nreported_load = true\nendpoints = [\"127.0.0.1:1\", { address = \"127.0.0.1:2\", \
                    weight = 0, priority = 1, locality = \"eu/1b\" }]\n\
                    health = { overprovisioning = 2.0, fail_closed = true }";
        let pool = pool(keys);
        let config = router(&pool);
        assert_eq!(config.locality.as_deref(), Some("eu/1a"));
        assert!(config.fail_closed && config.overprovisioning > 1.9);
        assert_eq!(config.reported_load, Some(EXPIRY));
        let endpoints = pool.endpoints.iter().map(|it| endpoint(it, ()));
        let router = route::HealthRouter::new(config, endpoints).unwrap();
        let shown = router.handle().snapshot().endpoints;
        assert_eq!((shown[0].weight, shown[0].priority), (1, 0));
        assert_eq!((shown[1].weight, shown[1].priority), (0, 1));
        assert_eq!(shown[1].locality.as_deref(), Some("eu/1b"));
    }
}
