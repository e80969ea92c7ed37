//! A gateway on free ports.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use buttress::core::clock::ManualClock;
use buttress::core::rng::Rng;
use buttress::latency;
use buttress_gateway::config::Config;
use buttress_gateway::gateway::Gateway;
use buttress_gateway::rooms::Rooms;
use buttress_gateway::server::{Connections, Drain};
use buttress_gateway::stack::Seams;
use tokio::task::JoinHandle;

use crate::{Answer, Client, Metrics};

/// How long a condition is waited for before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running gateway.
#[derive(Debug)]
pub struct Stand {
    /// Where clients reach it.
    pub address: SocketAddr,
    /// Where it shows metrics, health and status.
    pub admin: SocketAddr,
    /// The handles of all that it runs.
    pub rooms: Rooms,
    /// What its page of metrics is made of; more can be registered.
    pub sources: buttress::telemetry::Metrics,
    /// Its open connections.
    pub connections: Connections,
    /// Ends it.
    pub drain: Drain,
    /// Ends when it has ended.
    pub ended: JoinHandle<()>,
}

impl Stand {
    /// A gateway whose layers stand on a clock that moves only when it is told to.
    pub async fn on(time: &ManualClock, config: &str) -> Self {
        let clock = time.clock();
        let seams = Seams {
            clock,
            rng: Rng::seeded(7),
            latency: latency::Config::new(),
            ..Seams::default()
        };
        Self::with(seams, config).await
    }

    /// A gateway on the usual clock.
    pub async fn usual(config: &str) -> Self {
        Self::with(Seams::default(), config).await
    }

    /// A gateway with these seams; `config` is the rest of a file after its listeners.
    pub async fn with(seams: Seams, config: &str) -> Self {
        let file = format!(
            "[listen]\naddress = \"127.0.0.1:0\"\nmax_request_body = \"unlimited\"\n\
             [admin]\naddress = \"127.0.0.1:0\"\n{config}"
        );
        let config = Config::parse("test.toml", &file).unwrap();
        let drain = Drain::new();
        let gateway = Gateway::bind_with(&config, drain.clone(), seams)
            .await
            .unwrap();
        Self {
            address: gateway.address(),
            admin: gateway.admin_address(),
            rooms: gateway.rooms().clone(),
            sources: gateway.metrics().clone(),
            connections: gateway.connections(),
            drain,
            ended: tokio::spawn(gateway.run()),
        }
    }

    /// The text of one route `all` to one pool `pool` over these endpoints; `pool` and `route` are
    /// further lines of each.
    pub fn one_route(endpoints: &[SocketAddr], pool: &str, route: &str) -> String {
        let mut list = String::new();
        for endpoint in endpoints {
            write!(list, "\"{endpoint}\", ").unwrap();
        }
        format!(
            "[[pool]]\nname = \"pool\"\nendpoints = [{list}]\n{pool}\n\
             [[route]]\nname = \"all\"\npath_prefix = \"/\"\npool = \"pool\"\n{route}\n"
        )
    }

    /// A client of the public listener.
    pub fn client(&self) -> Client {
        Client::of(self.address)
    }

    /// A page of the admin listener.
    pub async fn page(&self, path: &str) -> Answer {
        Client::of(self.admin).get(path).await
    }

    /// `/metrics`, read.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(&self.page("/metrics").await.text())
    }

    /// `/status`, read.
    pub async fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.page("/status").await.text()).unwrap()
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        self.ended.abort();
    }
}

/// Waits until `condition` holds, and fails if it does not in a generous time.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, wait).await.is_ok(),
        "never came: {what}"
    );
}
