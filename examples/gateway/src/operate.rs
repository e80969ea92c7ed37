//! The admin listener's service, over the rooms of one gateway.

use std::net::SocketAddr;
use std::sync::Arc;

use buttress::admin::{Admin, AdminService};
use buttress::core::config::ConfigError;
use buttress::health::{Finding, Health, HealthHandle, Readiness};
use buttress::telemetry::{Metrics, prometheus};

use crate::rooms::{Rooms, health_of, serves};
use crate::status;

/// The service: metrics, health and status.
pub fn service(
    rooms: &Rooms,
    metrics: &Metrics,
    readiness: &Readiness,
    bound: SocketAddr,
) -> Result<AdminService, ConfigError> {
    register(rooms, metrics);
    let metrics = metrics.clone();
    let section = |read: fn(&Rooms) -> serde_json::Value| {
        let rooms = rooms.clone();
        move || read(&rooms)
    };
    Ok(Admin::new()
        .bound_to(bound)
        .metrics(move || (prometheus::CONTENT_TYPE, metrics.render()))
        .health(health(rooms, readiness)?)
        .status("routes", section(|rooms| status::routes(&rooms.latency)))
        .status("breakers", section(status::breakers))
        .status("pools", section(status::pools))
        .status("correlation", section(status::correlation))
        .build())
}

fn register(rooms: &Rooms, metrics: &Metrics) {
    metrics.register(Arc::new(rooms.correlation.clone()));
    metrics.register(Arc::new(rooms.latency.clone()));
    for route in rooms.routes.iter() {
        metrics.register(Arc::new(route.breaker.clone()));
    }
    for pool in rooms.pools.iter() {
        metrics.register(Arc::new(pool.router.clone()));
    }
}

/// One component per pool; a gateway without a pool that serves is not healthy.
fn health(rooms: &Rooms, readiness: &Readiness) -> Result<HealthHandle, ConfigError> {
    let health = Health::new().readiness(readiness.clone());
    let pools = rooms.pools.iter();
    pools
        .fold(health, |health, pool| {
            health.critical(&*pool.name, finding(pool.clone()))
        })
        .build()
}

fn finding(pool: crate::rooms::PoolRoom) -> impl Fn() -> Finding + Send + Sync + 'static {
    move || {
        let now = pool.router.snapshot();
        let out = now
            .endpoints
            .iter()
            .filter(|each| !serves(each.state))
            .count();
        let finding = Finding::new(health_of(&now)).detail("endpoints", now.endpoints.len());
        let finding = now.endpoints.iter().fold(finding, |finding, each| {
            finding.detail(each.id.to_string(), each.state.as_str())
        });
        match out {
            0 => finding,
            out => finding.because(format!("{out} of {} endpoints out", now.endpoints.len())),
        }
    }
}
