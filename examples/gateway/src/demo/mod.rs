//! Upstreams and traffic of the gateway's own, so that it shows itself with nothing installed.

mod conduct;
mod traffic;
mod upstreams;

use std::net::SocketAddr;

use crate::config::{
    Admin, Audit, Config, Correlation, Endpoint, Forwarded, Listen, Log, Metrics, Pool,
    PoolFailover, PoolHealth, PoolPick, Protocol, Route, RouteBreaker, Trace,
};
use crate::gateway::Gateway;
use crate::server::{BindError, Drain, Phase};
use crate::table::Viewer;

pub use conduct::{CYCLE, Character};
pub use traffic::{RATE, Traffic, TrafficCounts};
pub use upstreams::Upstream;

/// The demo's upstreams, running until it is dropped.
#[derive(Debug)]
pub struct Demo {
    upstreams: Vec<Upstream>,
    drain: Drain,
}

impl Demo {
    /// Starts one upstream of each [`Character`] on a free loopback port.
    pub async fn start() -> Result<Self, BindError> {
        let drain = Drain::new();
        let mut upstreams = Vec::with_capacity(Character::ALL.len());
        for character in Character::ALL {
            upstreams.push(Upstream::start(character, drain.clone()).await?);
        }
        Ok(Self { upstreams, drain })
    }

    /// The upstreams, each with the address it listens on.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// A configuration that sends everything to the upstreams as one pool.
    pub fn config(&self, listen: Option<SocketAddr>, admin: Option<SocketAddr>) -> Config {
        let endpoints = self.upstreams.iter().filter_map(endpoint).collect();
        let defaults = (Listen::default(), Admin::default());
        Config {
            listen: Listen {
                address: listen.unwrap_or(defaults.0.address),
                ..defaults.0
            },
            admin: Admin {
                address: admin.unwrap_or(defaults.1.address),
                ..defaults.1
            },
            log: Log::default(),
            audit: Audit::default(),
            trace: Trace::default(),
            metrics: Metrics::default(),
            forwarded: Forwarded::default(),
            correlation: Correlation::default(),
            pools: vec![Pool {
                endpoints,
                ..pool()
            }],
            routes: vec![route()],
        }
    }

    /// Reads the rooms of a gateway in front of the demo's upstreams, which ends by `drain`.
    pub fn viewer(&self, gateway: &Gateway, traffic: Option<Traffic>, drain: Drain) -> Viewer {
        let name = |upstream: &Upstream| (upstream.address(), upstream.character().name());
        Viewer {
            proxy: gateway.address(),
            admin: gateway.admin_address(),
            rooms: gateway.rooms().clone(),
            last: gateway.last_verdict(),
            names: self.upstreams.iter().map(name).collect(),
            traffic,
            drain,
        }
    }

    /// Sends gentle traffic to a gateway, until the handle is dropped with the demo.
    pub fn send_traffic(&self, gateway: SocketAddr) -> Traffic {
        Traffic::start(gateway, self.drain.clone())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.drain.advance(Phase::Cut);
    }
}

fn endpoint(upstream: &Upstream) -> Option<Endpoint> {
    let address = upstream.address().to_string();
    Some(Endpoint {
        authority: address.parse().ok()?,
        address,
        resolved: vec![upstream.address()],
        weight: 1,
        priority: 0,
        locality: None,
    })
}

fn pool() -> Pool {
    use std::time::Duration;
    Pool {
        name: "demo".to_owned(),
        protocol: Protocol::Http1,
        connect_timeout: Duration::from_secs(1),
        head_timeout: Duration::from_secs(5),
        body_idle_timeout: Duration::from_secs(5),
        keep_alive: Duration::from_secs(30),
        pick: PoolPick::default(),
        affinity: None,
        load_bound: Pool::LOAD_BOUND,
        noise_band: Pool::NOISE_BAND,
        remember: Pool::REMEMBER,
        locality: None,
        reported_load: false,
        endpoints: Vec::new(),
        discover: None,
        // A cycle is short; what was seen in the one before should not rule the next.
        health: PoolHealth {
            decay: Duration::from_secs(2),
            ..PoolHealth::DEFAULT
        },
        check: None,
        // What fails is to be seen.
        failover: PoolFailover {
            enabled: false,
            ..PoolFailover::defaults()
        },
    }
}

fn route() -> Route {
    Route {
        name: "demo".to_owned(),
        host: None,
        path_prefix: "/".to_owned(),
        pool: 0,
        breaker: RouteBreaker::DEFAULT,
        mirror: None,
        split: None,
        upgrade: None,
    }
}
