//! What the file says, in the layers' own settings. `check` asks them whether they make sense, so
//! that it refuses all that starting would refuse.

use std::time::Duration;

use buttress::breaker::{self, Backoff, Ramp, Rule, Settings, Window};
use buttress::correlation;
use buttress::route::{self, Rules, failover};

use crate::config::{Pool, PoolFailover, PoolHealth, RouteBreaker, Trust};
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
        open_for,
        max_ejected,
        decay,
    } = pool.health;
    let rules = Rules::default().consecutive_failures(consecutive_failures);
    let config = route::Config::new(pool.name.as_str());
    // An endpoint that is away costs its peers its load: three times is long enough.
    let out_for = Backoff::exponential(open_for, open_for.saturating_mul(3));
    let circuit = config.circuit.clone().open_for(out_for);
    config
        .rules(rules)
        .circuit(circuit)
        .max_ejected(max_ejected)
        .decay(decay)
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
    let has_another = pool.endpoints.len() > 1;
    config
        .enabled(enabled && has_another)
        .attempts(attempts.get())
        .within(within)
        .statuses(statuses.iter().copied())
        .max_body(usize::try_from(max_body).unwrap_or(usize::MAX))
        .idempotency_key(idempotency_key)
        .budget(budget)
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
                .ramp(breaker.ramp.then(Ramp::default)),
        )
}

/// What the file says is the first open time; it doubles while the trouble lasts, up to ten times.
fn backoff(first: Duration) -> Backoff {
    Backoff::exponential(first, first.saturating_mul(10))
}
