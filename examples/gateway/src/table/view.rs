//! What is shown, read from the rooms.

use std::net::SocketAddr;
use std::time::Duration;

use buttress::latency::{RouteSnapshot, WindowSnapshot};
use buttress::route::{EndpointSnapshot, EndpointState};

use super::words;
use crate::demo::Traffic;
use crate::journal::{LastVerdict, Said};
use crate::rooms::{PoolRoom, Rooms, RouteRoom};
use crate::server::Drain;

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
    /// Whether it ends.
    pub drain: Drain,
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
    /// Whether it takes no more work and waits for what is in flight.
    pub ending: bool,
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
    /// Its decayed share of successes; `None` where it gets next to nothing.
    pub success: Option<f64>,
    /// How long a good answer takes there, as the router reckons with what it has seen and what is in flight; `None` where it
    /// is not asked whatever it costs.
    pub cost: Option<Duration>,
    /// P50 and P99 over the window.
    pub quantiles: Quantiles,
    /// When an ejected endpoint is probed.
    pub retry_after: Option<Duration>,
}

/// A share that is shown as more than none.
const SHOWN: f64 = 0.005;

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
            last: self.last(),
            traffic: self.traffic.as_ref().map(|traffic| {
                let counts = traffic.counts();
                (counts.good, counts.bad)
            }),
            ending: self.drain.is_draining(),
        }
    }

    fn last(&self) -> String {
        let Some(Said {
            room,
            name,
            verdict,
        }) = self.last.said()
        else {
            return "none yet".to_owned();
        };
        let is_endpoint = room == "endpoint";
        let name = if is_endpoint {
            self.name(&name)
        } else {
            format!("{room} {name}")
        };
        words::sentence(&name, is_endpoint, &verdict)
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
            state: state(each),
            share: each.share,
            success: (each.share >= SHOWN).then_some(each.success_ratio),
            cost: cost(each),
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

/// The state, and of who is active what keeps requests away.
fn state(endpoint: &EndpointSnapshot) -> &'static str {
    match endpoint.state {
        EndpointState::Active if endpoint.suspect => "suspect",
        EndpointState::Active if endpoint.doubted => "doubted",
        EndpointState::Active if endpoint.shunned.is_some() => "shunned",
        EndpointState::Active if endpoint.given < 1.0 => "rising",
        state => state.as_str(),
    }
}

fn cost(endpoint: &EndpointSnapshot) -> Option<Duration> {
    let is_asked = endpoint.state == EndpointState::Active;
    let cost = Duration::try_from_secs_f64(endpoint.cost).ok();
    cost.filter(|_| is_asked)
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One endpoint serves, one is slow, one is out.
    pub(in crate::table) fn view() -> View {
        let millis = |millis| Some(Duration::from_secs_f64(millis / 1e3));
        let row = |name: &str, state| EndpointRow {
            name: name.to_owned(),
            state,
            share: 0.0,
            success: None,
            cost: None,
            quantiles: (None, None),
            retry_after: None,
        };
        View {
            proxy: "127.0.0.1:8080".parse().unwrap(),
            admin: "127.0.0.1:8081".parse().unwrap(),
            routes: vec![RouteRow {
                name: "demo".to_owned(),
                breaker: "closed",
                rejected: 0,
                rate: 60.0,
                quantiles: (millis(4.2), None),
            }],
            endpoints: vec![
                EndpointRow {
                    share: 0.97,
                    success: Some(1.0),
                    cost: millis(6.9),
                    quantiles: (millis(3.1), millis(9.0)),
                    ..row("steady 127.0.0.1:9001", "active")
                },
                EndpointRow {
                    cost: millis(311.0),
                    ..row("turns-slow 127.0.0.1:9002", "active")
                },
                EndpointRow {
                    share: 0.03,
                    success: Some(0.2),
                    retry_after: Some(Duration::from_millis(1_200)),
                    ..row("turns-flaky 127.0.0.1:9003", "ejected")
                },
            ],
            last: "turns-flaky 127.0.0.1:9003 is out for 2.0 s: it failed a probe".to_owned(),
            traffic: Some((1_169, 1)),
            ending: false,
        }
    }
}
