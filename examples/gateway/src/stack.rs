//! The layers, composed: what a request passes, from the outermost to the client.
//!
//! ```text
//! Ingress        one Host, one route, no hop-by-hop header but a handshake; without spans, no trace of strangers
//! Correlation    one ID, on the request as it goes on and on whatever comes back
//! ServerSpan     a span for the request           ┐ where a collector or the access log
//! AccessLog      a line for each exchange         ┘ is configured
//! Dispatch       to the route's own stack; refusals become problems
//!   Named          which route it is, for span and line (likewise)
//!   Latency        what the client sees, to the end of the body
//!   Breaker        the pool as a whole
//!   Mirror         copies of some requests to another pool, if the route's file says so
//!   Split          some requests to a canary, if the route has one
//!   Failover       another endpoint where one failed, if the pool's file says so
//!   HealthRouter   one endpoint of it
//!     TracePropagate a span of its own for the attempt, and its headers (likewise)
//!     Origin         timeouts, client, what that endpoint takes
//! ```
//!
//! A pool is one pool however many routes lead to it, with one budget for what is sent again; a breaker
//! belongs to its route. What is not
//! configured is not in the stack: a request does not carry the room for spans nobody records.

mod pool;
mod route;

use buttress::breaker::BreakerService;
use buttress::core::classify::HttpStatus;
use buttress::core::clock::Clock;
use buttress::core::config::ConfigError;
use buttress::core::protocol::Http;
use buttress::core::rng::Rng;
use buttress::core::spawn::Spawn;
use buttress::correlation::{self, Correlation, CorrelationLayer, Hosts};
use buttress::latency::{self, Latency, LatencyHandle};
use buttress::route::failover::Failover;
use buttress::route::mirror::Mirror;
use buttress::route::split::Split;
use buttress::route::{ByCopies, HealthRouter};
use buttress::telemetry::LogHandle;
use buttress::telemetry::access::{AccessLog, AccessLogLayer};
use buttress::telemetry::trace::{
    ServerSpan, ServerSpanLayer, TracePropagate, TracePropagateLayer,
};
use http::uri::{Authority, Scheme};
use tower_layer::Layer;

use crate::checks::Client;
use crate::config::{Config, Endpoint as PoolEndpoint, HostPolicy, Pool, Route};
use crate::dispatch::Dispatch;
use crate::fork::Fork;
use crate::ingress::Ingress;
use crate::named::Named;
use crate::rooms::{PoolRoom, Rooms, RouteRoom};
use crate::settings;
use crate::telemetry;
use crate::untraced::Untraced;
use crate::upgrade::{Offers, Upgrades};
use crate::upstream::Origin;

/// What serves one pool.
type PoolStack<O> = Failover<HealthRouter<O, HttpStatus, ByCopies>>;
/// What serves one route, over clients `O` of its endpoints. What they send is the request that came in,
/// which carries its ID: there is nothing to propagate to.
type RouteStack<O> = Fork<Guarded<PoolStack<O>, O>, Guarded<Split<PoolStack<O>>, O>>;
/// The same, over `P`: one pool, or two.
type Guarded<P, O> = Latency<BreakerService<Mirror<P, PoolStack<O>>, Http>, Http>;
/// The stack where spans or access lines are configured.
pub type Observed = Ingress<
    Correlation<ServerSpan<AccessLog<Dispatch<Named<RouteStack<TracePropagate<Origin>>>>>>>,
>;
/// The stack where they are not.
pub type Plain = Ingress<Correlation<Dispatch<RouteStack<Origin>>>>;

/// What the public listener serves.
#[derive(Clone, Debug)]
pub enum Proxy {
    /// With spans and access lines.
    Observed(Observed),
    /// Without.
    Plain(Plain),
}

/// What a gateway is given that no file says: for tests, simulation and embedding.
#[derive(Clone, Debug)]
pub struct Seams {
    /// The clock that all layers read; by default once for each poll of a connection.
    pub clock: Clock,
    /// The generator that all layers draw from.
    pub rng: Rng,
    /// How latency is recorded; its clock is replaced by [`Seams::clock`].
    pub latency: latency::Config,
    /// What runs copies of requests that probe endpoints; by default tokio, and outside of it nothing.
    pub spawn: Spawn,
    /// What changes which lines are written, for the admin listener to offer.
    pub logs: Option<LogHandle>,
}

impl Default for Seams {
    fn default() -> Self {
        Self {
            clock: Clock::by_moments(),
            rng: Rng::default(),
            latency: latency::Config::default(),
            spawn: Spawn::current().unwrap_or_else(|_| nothing()),
            logs: None,
        }
    }
}

/// Runs nothing.
fn nothing() -> Spawn {
    Spawn::new(drop).cap(0)
}

/// Whether spans or access lines are configured.
fn is_observed(config: &Config) -> bool {
    config.trace.otlp_endpoint.is_some() || config.log.access_log
}

/// Builds the stack of a configuration, and the handles of all that is in it.
pub fn build(config: &Config, seams: Seams) -> Result<(Proxy, Rooms), ConfigError> {
    let trust = settings::trust(&config.correlation.trust);
    let observed = is_observed(config);
    let correlation = CorrelationLayer::new(
        correlation::Config::new()
            .trust(trust.clone())
            // Where spans and access lines read the ID; all else takes the current one.
            .extensions(observed),
    )?;
    let clock = seams.clock.clone();
    let build = Build::new(config, seams)?;
    let (proxy, routes, pools) = if observed {
        let Stacks {
            services,
            routes,
            pools,
        } = build.stacks(config, traced)?;
        let names = config.routes.iter().map(|route| &route.name);
        let named = names
            .zip(services)
            .map(|(name, service)| Named::new(name, service));
        let log = AccessLogLayer::new()
            .clock(build.clock.clone())
            .redaction(telemetry::redaction(&config.log));
        let logged = log.layer(Dispatch::new(
            named.zip(hides_load(config)),
            build.latency.clone(),
        ));
        let spans = ServerSpanLayer::new().trust(trust);
        let listen = config.listen.address;
        let spans = match listen.port() {
            // Which port that will be is not known yet.
            0 => spans,
            port => spans.address(listen.ip().to_string(), port),
        };
        let spanned = spans.layer(logged);
        let upgrades = upgrades(config, &routes, &build.rng);
        let proxy = Ingress::new(correlation.layer(spanned), config, upgrades, None, clock);
        (Proxy::Observed(proxy), routes, pools)
    } else {
        let Stacks {
            services,
            routes,
            pools,
        } = build.stacks(config, |origin, _, _, _| origin)?;
        let dispatch = Dispatch::new(
            services.into_iter().zip(hides_load(config)),
            build.latency.clone(),
        );
        let untraced = Some(Untraced::new(trust));
        let upgrades = upgrades(config, &routes, &build.rng);
        let proxy = Ingress::new(
            correlation.layer(dispatch),
            config,
            upgrades,
            untraced,
            clock,
        );
        (Proxy::Plain(proxy), routes, pools)
    };
    let rooms = Rooms {
        correlation: correlation.handle(),
        latency: build.latency,
        routes: routes.into(),
        pools: pools.into(),
    };
    Ok((proxy, rooms))
}

/// What each route lets its clients change to, counted in its room.
fn upgrades(config: &Config, rooms: &[RouteRoom], rng: &Rng) -> Upgrades {
    let tunnels = rooms.iter().map(|room| room.tunnels.as_ref());
    let routes = config.routes.iter().zip(tunnels);
    Upgrades::new(&config.listen, routes, rng.clone())
}

/// Of each route, whether what its endpoints report of their load is for the gateway alone.
fn hides_load(config: &Config) -> impl Iterator<Item = bool> {
    let hides = |pool: usize| config.pools.get(pool).is_some_and(|it| it.reported_load);
    (config.routes.iter()).map(move |route| {
        hides(route.pool)
            || route
                .split
                .as_ref()
                .is_some_and(|split| hides(split.canary))
    })
}

/// A span for each attempt, which says where it went.
fn traced(
    origin: Origin,
    pool: &Pool,
    endpoint: &PoolEndpoint,
    called: &Authority,
) -> TracePropagate<Origin> {
    TracePropagateLayer::new()
        .endpoint(pool.name.as_str(), endpoint.address.as_str())
        .server(Scheme::HTTP, called.clone())
        .layer(origin)
}

/// Whether copies lead to the pool of this index, and nothing else does.
fn is_spare(routes: &[Route], pool: usize) -> bool {
    let copied = |route: &Route| route.mirror.is_some_and(|mirror| mirror.pool == pool);
    let canary = |route: &Route| route.split.as_ref().is_some_and(|it| it.canary == pool);
    let led_to = |route: &Route| route.pool == pool || canary(route);
    routes.iter().any(copied) && !routes.iter().any(led_to)
}

/// Whether a route leads to the pool of this index that lets connections go on in another protocol.
fn may_upgrade(routes: &[Route], pool: usize) -> bool {
    let mut upgrading = routes.iter().filter(|route| route.upgrade.is_some());
    upgrading.any(|route| {
        let canary = route.split.as_ref().map(|split| split.canary);
        route.pool == pool || canary == Some(pool)
    })
}

/// What is put round the client of an endpoint of a pool, which is spoken to by the name.
type MakeClient<O> = fn(Origin, &Pool, &PoolEndpoint, &Authority) -> O;

/// What all pools and routes are built from.
struct Build {
    /// Whether spans or access lines are told what was decided.
    observed: bool,
    host: HostPolicy,
    /// The hosts that are told IDs.
    told: Hosts,
    /// What endpoints may offer to clients.
    offers: Offers,
    clock: Clock,
    rng: Rng,
    latency: LatencyHandle,
    spawn: Spawn,
}

/// The stacks of all routes, over clients of one kind, and the handles of what is in them.
struct Stacks<O> {
    services: Vec<RouteStack<O>>,
    routes: Vec<RouteRoom>,
    pools: Vec<PoolRoom>,
}

impl Build {
    fn new(config: &Config, seams: Seams) -> Result<Self, ConfigError> {
        let Seams {
            clock,
            rng,
            latency,
            spawn,
            logs: _,
        } = seams;
        Ok(Self {
            observed: is_observed(config),
            host: config.forwarded.host,
            told: config.correlation.hosts.clone(),
            offers: Offers::of(&config.routes),
            // What an endpoint takes to the head is in its own times; a route's would only repeat it.
            latency: LatencyHandle::new(latency.clock(clock.clone()).head(false))?,
            clock,
            rng,
            spawn,
        })
    }

    fn stacks<O>(&self, config: &Config, client: MakeClient<O>) -> Result<Stacks<O>, ConfigError>
    where
        O: Client,
    {
        let pools = config.pools.iter().map(|pool| self.pool(pool, client));
        let pools = pools.collect::<Result<Vec<_>, _>>()?;
        let (stacks, mut pools): (Vec<_>, Vec<_>) = pools.into_iter().unzip();
        for (index, pool) in pools.iter_mut().enumerate() {
            pool.spare = is_spare(&config.routes, index);
            pool.upgrades = may_upgrade(&config.routes, index);
        }
        let routes = (config.routes.iter()).map(|route| self.route(route, &config.pools, &stacks));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        let (services, routes) = routes.into_iter().unzip();
        Ok(Stacks {
            services,
            routes,
            pools,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pool_that_only_copies_lead_to_is_spare() {
        let pool = |name| format!("[[pool]]\nname = \"{name}\"\nendpoints = [\"127.0.0.1:1\"]\n");
        let config = format!(
            "{}{}{}{}[[route]]\nname = \"r\"\npool = \"a\"\nmirror = {{ pool = \"b\" }}\n\
             [[route]]\nname = \"s\"\npath_prefix = \"/s\"\npool = \"c\"\nmirror = {{ pool = \"a\" }}\n\
             split = {{ canary = \"d\" }}\n",
            pool("a"),
            pool("b"),
            pool("c"),
            pool("d")
        );
        let config = Config::parse("test.toml", &config).unwrap();
        let (_, rooms) = build(&config, Seams::default()).unwrap();
        let spare: Vec<_> = rooms.pools.iter().map(|pool| pool.spare).collect();
        assert_eq!(spare, [false, true, false, false]);
        assert!(rooms.routes.iter().all(|route| route.mirror.is_some()));
    }
}
