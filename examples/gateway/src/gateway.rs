//! The gateway as a value: bound, then run until it is drained.

use std::net::SocketAddr;

use crate::config::Config;
use crate::dispatch::Dispatch;
use crate::ingress::Ingress;
use crate::server::{BindError, Connections, Drain, Listener, Server, ServerConfig};
use crate::upstream::{Origin, OriginConfig};

/// The service that the public listener serves.
pub type Proxy = Ingress<Dispatch<Origin>>;

/// A gateway with its listeners bound.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    server: Server<Listener>,
    proxy: Proxy,
}

impl Gateway {
    /// Binds the listeners; `drain` ends it.
    pub async fn bind(config: &Config, drain: Drain) -> Result<Self, BindError> {
        let listener = Listener::bind(config.listen.address).await?;
        let address = listener.address();
        let server = Server::new(listener, ServerConfig::of(&config.listen), drain);
        Ok(Self {
            address,
            server,
            proxy: proxy(config),
        })
    }

    /// Where clients reach it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// A view of its connections.
    pub fn connections(&self) -> Connections {
        self.server.connections()
    }

    /// Serves until it is drained.
    pub async fn run(self) {
        self.server.serve(self.proxy).await;
    }
}

/// Every route to the first endpoint of its pool.
fn proxy(config: &Config) -> Proxy {
    let origin = |route: &crate::config::Route| {
        let pool = config.pools.get(route.pool)?;
        let endpoint = pool.endpoints.first()?;
        let how = OriginConfig::of(pool, config.forwarded.host);
        Some(Origin::new(endpoint.authority.clone(), how))
    };
    Ingress::new(
        Dispatch::new(config.routes.iter().filter_map(origin)),
        config,
    )
}
