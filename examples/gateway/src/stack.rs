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

use buttress::breaker::{Breaker, BreakerService};
use buttress::core::clock::Clock;
use buttress::core::config::ConfigError;
use buttress::core::protocol::Http;
use buttress::core::rng::Rng;
use buttress::correlation::{self, Correlation, CorrelationLayer, Propagate, PropagateLayer};
use buttress::latency::{self, Latency, LatencyHandle, LatencyLayer};
use buttress::route::{Endpoint, HealthRouter};
use buttress::telemetry::access::{AccessLog, AccessLogLayer};
use buttress::telemetry::trace::{
    ServerSpan, ServerSpanLayer, TracePropagate, TracePropagateLayer,
};
use tower_layer::Layer;

use crate::config::{Config, HostPolicy, Pool, Route};
use crate::dispatch::Dispatch;
use crate::ingress::Ingress;
use crate::named::Named;
use crate::rooms::{PoolRoom, Rooms, RouteRoom, endpoint_series};
use crate::settings;
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

/// Series that an endpoint may need: the statuses of a few methods.
const SERIES_PER_ENDPOINT: usize = 64;

/// Builds the stack of a configuration, and the handles of all that is in it.
pub fn build(config: &Config, seams: Seams) -> Result<(Proxy, Rooms), ConfigError> {
    let trust = settings::trust(config.correlation.trust);
    let correlation = CorrelationLayer::new(correlation::Config::new().trust(trust.clone()));
    let build = Build::new(config, seams)?;
    let routers = config.pools.iter().map(|pool| build.router(pool));
    let routers = routers.collect::<Result<Vec<_>, _>>()?;
    let (stacks, routes) = build.routes(&config.routes, &routers)?;

    let logged = AccessLogLayer::new()
        .clock(build.clock.clone())
        .layer(Dispatch::new(stacks));
    let spanned = ServerSpanLayer::new().trust(trust).layer(logged);
    let proxy = Ingress::new(correlation.layer(spanned), config);
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
    Ok((proxy, rooms))
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
    fn new(config: &Config, seams: Seams) -> Result<Self, ConfigError> {
        let Seams {
            clock,
            rng,
            latency,
        } = seams;
        let endpoints: usize = config.pools.iter().map(|pool| pool.endpoints.len()).sum();
        let of_endpoints = latency::Config::new()
            .clock(clock.clone())
            .max_series(endpoints.saturating_mul(SERIES_PER_ENDPOINT).max(1));
        Ok(Self {
            host: config.forwarded.host,
            latency: LatencyHandle::new(latency.clock(clock.clone()))?,
            endpoints: LatencyHandle::new(of_endpoints)?,
            clock,
            rng,
        })
    }

    fn routes(
        &self,
        routes: &[Route],
        routers: &[HealthRouter<EndpointStack>],
    ) -> Result<(Vec<RouteStack>, Vec<RouteRoom>), ConfigError> {
        let mut stacks = Vec::with_capacity(routes.len());
        let mut rooms = Vec::with_capacity(routes.len());
        for route in routes {
            let Some(router) = routers.get(route.pool) else {
                continue;
            };
            let breaker = self.breaker(route)?;
            rooms.push(RouteRoom {
                name: Arc::clone(breaker.name()),
                breaker: breaker.handle(),
            });
            stacks.push(self.route(route, &breaker, router.clone()));
        }
        Ok((stacks, rooms))
    }

    fn router(&self, pool: &Pool) -> Result<HealthRouter<EndpointStack>, ConfigError> {
        let config = settings::router(pool)
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
        let config = settings::breaker(&route.breaker)
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
