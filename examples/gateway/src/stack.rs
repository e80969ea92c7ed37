//! The layers, composed: what a request passes, from the outermost to the client.
//!
//! ```text
//! Ingress        one Host, one route, no hop-by-hop header
//! Correlation    one ID, echoed on whatever comes back
//! ServerSpan     a span where a collector is configured; nothing where none is
//! AccessLog      a line for each exchange, where asked for
//! Dispatch       to the route's own stack; refusals become problems
//!   Named          which route it is, for span and line
//!   Latency        what the client sees, to the end of the body
//!   Breaker        the pool as a whole
//!   HealthRouter   one endpoint of it
//!     Latency        what that endpoint takes
//!     Propagate      the ID on what goes out
//!     TracePropagate a span of its own for the attempt, and its headers
//!     Origin         timeouts, client
//! ```
//!
//! A pool is one pool however many routes lead to it; a breaker belongs to its route.

use std::sync::Arc;

use buttress::breaker::{self, Backoff, Breaker, BreakerService, Rule, Settings, Window};
use buttress::core::clock::Clock;
use buttress::core::config::ConfigError;
use buttress::core::protocol::Http;
use buttress::core::rng::Rng;
use buttress::correlation::{self, Correlation, CorrelationLayer, Propagate, PropagateLayer};
use buttress::latency::{self, Latency, LatencyHandle, LatencyLayer};
use buttress::route::{self, Endpoint, HealthRouter, Rules};
use buttress::telemetry::access::{AccessLog, AccessLogLayer};
use buttress::telemetry::trace::{
    ServerSpan, ServerSpanLayer, TracePropagate, TracePropagateLayer,
};
use tower_layer::Layer;

use crate::config::{Config, HostPolicy, Pool, PoolHealth, Route, RouteBreaker, Trust};
use crate::dispatch::Dispatch;
use crate::ingress::Ingress;
use crate::named::Named;
use crate::rooms::{PoolRoom, Rooms, RouteRoom, endpoint_series};
use crate::upstream::{Origin, OriginConfig};

/// What serves one endpoint.
pub type EndpointStack = Latency<Propagate<TracePropagate<Origin>>, Http>;
/// What serves one route.
pub type RouteStack = Named<Latency<BreakerService<HealthRouter<EndpointStack>, Http>, Http>>;
/// What the public listener serves.
pub type Proxy = Ingress<Correlation<ServerSpan<AccessLog<Dispatch<RouteStack>>>>>;

/// What a gateway is given that no file says: for tests, simulation and embedding.
#[derive(Clone, Debug, Default)]
pub struct Seams {
    /// The clock that all layers read.
    pub clock: Clock,
    /// The generator that all layers draw from.
    pub rng: Rng,
    /// How latency is recorded; its clock is replaced by [`Seams::clock`].
    pub latency: latency::Config,
}

/// Builds the stack of a configuration, and the handles of all that is in it.
pub fn build(config: &Config, seams: Seams) -> Result<(Proxy, Rooms), ConfigError> {
    let Seams {
        clock,
        rng,
        latency,
    } = seams;
    let trust = trust(config.correlation.trust);
    let correlation = CorrelationLayer::new(correlation::Config::new().trust(trust.clone()));
    let latency = LatencyHandle::new(latency.clock(clock.clone()))?;
    let endpoints = LatencyHandle::new(latency::Config::new().clock(clock.clone()))?;
    let build = Build {
        host: config.forwarded.host,
        clock,
        rng,
        latency,
        endpoints,
    };

    let routers = config.pools.iter().map(|pool| build.router(pool));
    let routers = routers.collect::<Result<Vec<_>, _>>()?;
    let mut stacks = Vec::with_capacity(config.routes.len());
    let mut routes = Vec::with_capacity(config.routes.len());
    for route in &config.routes {
        let Some(router) = routers.get(route.pool) else {
            continue;
        };
        let breaker = build.breaker(route)?;
        routes.push(RouteRoom {
            name: Arc::clone(breaker.name()),
            breaker: breaker.handle(),
        });
        stacks.push(build.route(route, &breaker, router.clone()));
    }
    let named = config
        .pools
        .iter()
        .zip(&routers)
        .map(|(pool, router)| PoolRoom {
            name: pool.name.as_str().into(),
            router: router.handle(),
        });
    let rooms = Rooms {
        correlation: correlation.handle(),
        latency: build.latency,
        endpoints: build.endpoints,
        routes: routes.into(),
        pools: named.collect(),
    };
    let logged = AccessLogLayer::new()
        .clock(build.clock.clone())
        .layer(Dispatch::new(stacks));
    let spanned = ServerSpanLayer::new().trust(trust).layer(logged);
    Ok((Ingress::new(correlation.layer(spanned), config), rooms))
}

/// What all pools and routes are built from.
struct Build {
    host: HostPolicy,
    clock: Clock,
    rng: Rng,
    latency: LatencyHandle,
    endpoints: LatencyHandle,
}

impl Build {
    fn router(&self, pool: &Pool) -> Result<HealthRouter<EndpointStack>, ConfigError> {
        let config = router_config(pool)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        HealthRouter::new(
            config,
            pool.endpoints.iter().map(|each| self.endpoint(pool, each)),
        )
    }

    fn endpoint(&self, pool: &Pool, endpoint: &crate::config::Endpoint) -> Endpoint<EndpointStack> {
        let origin = Origin::new(
            endpoint.authority.clone(),
            OriginConfig::of(pool, self.host),
        );
        let propagated = PropagateLayer::new().layer(TracePropagateLayer::new().layer(origin));
        let series = endpoint_series(&pool.name, &endpoint.address);
        let timed = LatencyLayer::new(self.endpoints.clone())
            .route(&series)
            .layer(propagated);
        Endpoint::new(endpoint.address.as_str(), timed).weight(endpoint.weight)
    }

    fn breaker(&self, route: &Route) -> Result<Breaker, ConfigError> {
        let config = breaker_config(&route.breaker)
            .clock(self.clock.clone())
            .rng(self.rng.clone());
        Breaker::new(route.name.as_str(), config)
    }

    fn route(
        &self,
        route: &Route,
        breaker: &Breaker,
        router: HealthRouter<EndpointStack>,
    ) -> RouteStack {
        let guarded = breaker.layer().layer(router);
        let timed = LatencyLayer::new(self.latency.clone())
            .route(&route.name)
            .layer(guarded);
        Named::new(&route.name, timed)
    }
}

/// Who is believed about an ID is believed about a trace.
fn trust(trust: Trust) -> correlation::Trust {
    match trust {
        Trust::Edge => correlation::Trust::Edge,
        Trust::Internal => correlation::Trust::Internal,
    }
}

fn router_config(pool: &Pool) -> route::Config {
    let PoolHealth {
        consecutive_failures,
        open_for,
        max_ejected,
        decay,
    } = pool.health;
    let rules = Rules::default().consecutive_failures(consecutive_failures);
    route::Config::new(pool.name.as_str())
        .rules(rules)
        .circuit(Settings::default().open_for(backoff(open_for)))
        .max_ejected(max_ejected)
        .decay(decay)
}

fn breaker_config(breaker: &RouteBreaker) -> breaker::Config {
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
                .max_probes(breaker.probes),
        )
}

/// What the file says is the first open time; it doubles while the trouble lasts, up to ten times.
fn backoff(first: std::time::Duration) -> Backoff {
    Backoff::exponential(first, first.saturating_mul(10))
}
