//! The admin listener's service, over the rooms of one gateway.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use buttress::admin::{Admin, AdminService};
use buttress::breaker::BreakerHandle;
use buttress::core::config::ConfigError;
use buttress::core::health::HealthStatus;
use buttress::core::metric::Collect;
use buttress::health::{Finding, Health, HealthHandle, Readiness};
use buttress::route::EndpointSnapshot;
use buttress::telemetry::metrics::{Metrics, ProcessMetrics, RuntimeMetrics};
use tokio::runtime::Handle;

use crate::journal::Journal;
use crate::log_level::LogLevel;
use crate::overrides;
use crate::rooms::{PoolRoom, Rooms, RouteRoom, health_of, serves};
use crate::status;

/// What the admin listener shows, and lets be changed.
pub struct Shown<'g> {
    /// The handles of all that runs.
    pub rooms: &'g Rooms,
    /// What is decided.
    pub journal: &'g Journal,
    /// What is measured.
    pub metrics: &'g Metrics,
    /// Whether traffic should come.
    pub readiness: &'g Readiness,
    /// The level of the log, where it can be changed.
    pub level: Option<LogLevel>,
    /// Whether anything may be changed.
    pub changes: bool,
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shown").finish_non_exhaustive()
    }
}

/// The service: metrics, health, status and settings. Has to be built inside of the runtime that serves.
pub fn service(shown: Shown<'_>, bound: SocketAddr) -> Result<AdminService, ConfigError> {
    let Shown {
        rooms,
        journal,
        metrics,
        readiness,
        level,
        changes,
    } = shown;
    register(rooms, metrics);
    metrics.register(Arc::new(journal.dropped()));
    let health = health(rooms, readiness)?;
    metrics.register(Arc::new(health.clone()));
    let metrics = metrics.clone();
    let section = |read: fn(&Rooms) -> serde_json::Value| {
        let rooms = rooms.clone();
        move || read(&rooms)
    };
    let admin = Admin::new()
        .bound_to(bound)
        .metrics(move |headers| metrics.page(headers))
        .health(health)
        .status("routes", section(|rooms| status::routes(&rooms.latency)))
        .status("breakers", section(status::breakers))
        .status("splits", section(status::splits))
        .status("pools", section(status::pools))
        .status("correlation", section(status::correlation));
    if !changes {
        return Ok(admin.build());
    }
    let admin = overrides::offered_by(rooms, admin);
    Ok(match level {
        Some(level) => level.offered_by(admin).build(),
        None => admin.build(),
    })
}

fn register(rooms: &Rooms, metrics: &Metrics) {
    metrics.register(Arc::new(rooms.correlation.clone()));
    metrics.register(Arc::new(rooms.latency.clone()));
    for route in rooms.routes.iter() {
        metrics.register(Arc::new(route.breaker.clone()));
        if let Some(mirror) = &route.mirror {
            metrics.register(Arc::new(mirror.clone()));
        }
        if let Some(split) = &route.split {
            metrics.register(Arc::new(split.handle.clone()));
        }
        if let Some(tunnels) = &route.tunnels {
            metrics.register(Arc::new(tunnels.clone()));
        }
    }
    for pool in rooms.pools.iter() {
        metrics.register(Arc::clone(&pool.router) as Arc<dyn Collect>);
        metrics.register(Arc::new(pool.failover.clone()));
        metrics.register(Arc::new(pool.clone()));
        if let Some(discovery) = &pool.discovery {
            metrics.register(Arc::new(discovery.clone()));
        }
    }
    metrics.register(Arc::new(ProcessMetrics::new()));
    metrics.register(Arc::new(RuntimeMetrics::of(&Handle::current())));
}

/// One component per pool, by what its endpoints have shown, and one per route, by what its breaker
/// says: the gateway is as well as the worst of them, what is spare aside.
fn health(rooms: &Rooms, readiness: &Readiness) -> Result<HealthHandle, ConfigError> {
    let health = Health::new().readiness(readiness.clone());
    let health = rooms.pools.iter().fold(health, |health, pool| {
        let (name, finding) = (
            format!("pool {}", pool.name),
            of_pool(pool.clone(), Arc::clone(&rooms.routes)),
        );
        if pool.spare {
            health.optional(name, finding)
        } else {
            health.critical(name, finding)
        }
    });
    let health = rooms.routes.iter().fold(health, |health, route| {
        health.critical(
            format!("route {}", route.name),
            of_route(route.breaker.clone()),
        )
    });
    health.build()
}

/// A pool that bears less of each route, 0 to 1, only degrades the gateway where it is lost: a gateway that is given up for
/// it would take along what it still serves.
const MOST: f64 = 0.5;

fn of_pool(
    pool: PoolRoom,
    routes: Arc<[RouteRoom]>,
) -> impl Fn() -> Finding + Send + Sync + 'static {
    let bears = move |pool: &str| routes.iter().any(|route| route.share_of(pool) >= MOST);
    move || {
        let now = pool.router.snapshot();
        let (all, out) = (
            now.endpoints.len(),
            now.endpoints.iter().filter(|each| !serves(each)).count(),
        );
        let status = health_of(&now);
        let spared = status == HealthStatus::Unhealthy && !pool.spare && !bears(&pool.name);
        let status = if spared {
            HealthStatus::Degraded
        } else {
            status
        };
        let finding = (now.endpoints.iter()).fold(Finding::new(status), |finding, each| {
            finding.detail(each.id.to_string(), words(each))
        });
        match out {
            0 => finding,
            out if spared => finding.because(format!(
                "{out} of {all} endpoints do not serve, and less than half of any route goes there"
            )),
            out => finding.because(format!("{out} of {all} endpoints do not serve")),
        }
    }
}

/// The state, and the last verdict where there is one.
fn words(endpoint: &EndpointSnapshot) -> String {
    let state = endpoint.state.as_str();
    match &endpoint.last_verdict {
        Some(verdict) => format!("{state}, {verdict}"),
        None => state.to_owned(),
    }
}

fn of_route(breaker: BreakerHandle) -> impl Fn() -> Finding + Send + Sync + 'static {
    move || {
        let now = breaker.snapshot();
        let finding = Finding::new(breaker.health().status()).detail("breaker", now.state.as_str());
        match now.verdict {
            Some(verdict) if !now.state.is_closed() => finding.because(verdict.to_string()),
            _ => finding,
        }
    }
}
