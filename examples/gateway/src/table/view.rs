//! What is shown, read from the rooms.

use std::net::SocketAddr;
use std::time::Duration;

use buttress::latency::{RouteSnapshot, WindowSnapshot};
use buttress::route::EndpointSnapshot;

use crate::demo::Traffic;
use crate::journal::LastVerdict;
use crate::rooms::{PoolRoom, Rooms, RouteRoom};

/// Reads the rooms of one gateway.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Where clients reach it.
    pub proxy: SocketAddr,
    /// Where it shows metrics, health and status.
    pub admin: SocketAddr,
    /// The handles.
    pub rooms: Rooms,
    /// The last verdict.
    pub last: LastVerdict,
    /// What endpoints are called, beside their address.
    pub names: Vec<(SocketAddr, &'static str)>,
    /// Traffic of the gateway's own, if there is any.
    pub traffic: Option<Traffic>,
}

/// One look.
#[derive(Clone, Debug)]
pub struct View {
    /// Where clients reach it.
    pub proxy: SocketAddr,
    /// Where it shows metrics, health and status.
    pub admin: SocketAddr,
    /// The routes.
    pub routes: Vec<RouteRow>,
    /// The endpoints of all pools.
    pub endpoints: Vec<EndpointRow>,
    /// The last verdict, in words.
    pub last: String,
    /// Good and bad answers of the traffic of the gateway's own.
    pub traffic: Option<(u64, u64)>,
}

/// One route.
#[derive(Clone, Debug)]
pub struct RouteRow {
    /// The route's name.
    pub name: String,
    /// The state of its breaker.
    pub breaker: &'static str,
    /// Calls that the breaker has refused.
    pub rejected: u64,
    /// Requests a second, over the window.
    pub rate: f64,
    /// P50 and P99 over the window; `None` where there are too few samples to know.
    pub quantiles: Quantiles,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointRow {
    /// Its name, if it has one, and its address.
    pub name: String,
    /// What the pool is doing with it.
    pub state: &'static str,
    /// Its share of the requests sent lately, 0 to 1.
    pub share: f64,
    /// Its decayed share of successes.
    pub success: f64,
    /// Requests under way.
    pub in_flight: u32,
    /// P50 and P99 over the window.
    pub quantiles: Quantiles,
    /// When an ejected endpoint is probed.
    pub retry_after: Option<Duration>,
}

/// P50 and P99.
pub(super) type Quantiles = (Option<Duration>, Option<Duration>);

impl Viewer {
    /// Looks once.
    pub fn look(&self) -> View {
        View {
            proxy: self.proxy,
            admin: self.admin,
            routes: self.routes(),
            endpoints: self
                .rooms
                .pools
                .iter()
                .flat_map(|pool| self.endpoints(pool))
                .collect(),
            last: self.last.to_string(),
            traffic: self.traffic.as_ref().map(|traffic| {
                let counts = traffic.counts();
                (counts.good, counts.bad)
            }),
        }
    }

    fn routes(&self) -> Vec<RouteRow> {
        let latency = self.rooms.latency.snapshot();
        let row = |route: &RouteRoom| {
            let recorded = latency.route(&route.name);
            let breaker = route.breaker.snapshot();
            RouteRow {
                name: route.name.to_string(),
                breaker: breaker.state.as_str(),
                rejected: breaker.rejected,
                rate: recorded.and_then(shortest).map_or(0.0, rate),
                quantiles: quantiles(recorded.and_then(shortest)),
            }
        };
        self.rooms.routes.iter().map(row).collect()
    }

    fn endpoints(&self, pool: &PoolRoom) -> Vec<EndpointRow> {
        let row = |each: &EndpointSnapshot| EndpointRow {
            name: self.name(&each.id),
            state: each.state.as_str(),
            share: each.share,
            success: each.success_ratio,
            in_flight: each.in_flight,
            quantiles: quantiles(pool.windows(&each.id).first()),
            retry_after: each.retry_after,
        };
        pool.router.snapshot().endpoints.iter().map(row).collect()
    }

    fn name(&self, id: &str) -> String {
        let known = self
            .names
            .iter()
            .find(|(address, _)| address.to_string() == id);
        known.map_or_else(|| id.to_owned(), |(_, name)| format!("{name} {id}"))
    }
}

fn shortest(route: &RouteSnapshot) -> Option<&WindowSnapshot> {
    route.windows.iter().min_by_key(|window| window.length)
}

fn rate(window: &WindowSnapshot) -> f64 {
    let covered = window.covered.as_secs_f64();
    if covered > 0.0 {
        window.counts.count() as f64 / covered
    } else {
        0.0
    }
}

fn quantiles(window: Option<&WindowSnapshot>) -> Quantiles {
    let of = |q| window.and_then(|window| window.counts.quantile(q).value());
    (of(0.5), of(0.99))
}
