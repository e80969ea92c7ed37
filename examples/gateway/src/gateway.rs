//! The gateway as a value: bound, then run until it is drained.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use buttress::admin::AdminService;
use buttress::core::config::ConfigError;
use buttress::health::Readiness;
use buttress::telemetry::Metrics;
use buttress::telemetry::audit::Audit;

use crate::audit::{self, AuditError};
use crate::config::Config;
use crate::journal::{Journal, LastVerdict};
use crate::log_level::LogLevel;
use crate::operate::{self, Shown};
use crate::rooms::Rooms;
use crate::server::{BindError, Connections, Drain, Listener, Phase, Server, ServerConfig};
use crate::stack::{self, Proxy, Seams};

/// Connections that the admin listener holds at once: a few scrapers and a few pairs of eyes.
const MAX_ADMIN_CONNECTIONS: NonZeroUsize = NonZeroUsize::new(64).unwrap();

/// A gateway with its listeners bound.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    admin_address: SocketAddr,
    server: Server<Listener>,
    proxy: Proxy,
    admin_server: Server<Listener>,
    admin: AdminService,
    admin_drain: Drain,
    drain: Drain,
    rooms: Rooms,
    journal: Journal,
    audit: Option<Audit>,
    readiness: Readiness,
    metrics: Metrics,
}

impl Gateway {
    /// Binds the listeners; `drain` ends it.
    pub async fn bind(config: &Config, drain: Drain) -> Result<Self, StartError> {
        Self::bind_with(config, drain, Seams::default()).await
    }

    /// As [`Gateway::bind`], with a clock, a generator and a recorder of the caller's.
    pub async fn bind_with(
        config: &Config,
        drain: Drain,
        seams: Seams,
    ) -> Result<Self, StartError> {
        // The first reading calibrates the clock; no request should wait for that.
        seams.clock.now();
        let listener = Listener::bind(config.listen.address).await?;
        let admin_listener = Listener::bind(config.admin.address).await?;
        let (address, admin_address) = (listener.address(), admin_listener.address());
        let audit = audit::open(config)?;
        let level = seams.logs.clone().map(|logs| LogLevel {
            logs,
            access_log: config.log.access_log,
            audit: audit.clone(),
        });
        let (proxy, rooms) = stack::build(config, seams)?;
        let journal = Journal::start(&rooms, audit.as_ref());
        let (metrics, readiness) = (Metrics::new(), Readiness::ready());
        if let Some(audit) = &audit {
            metrics.register(Arc::new(audit.clone()));
        }
        let shown = Shown {
            rooms: &rooms,
            journal: &journal,
            metrics: &metrics,
            readiness: &readiness,
            level,
            changes: config
                .admin
                .changes
                .unwrap_or(admin_address.ip().is_loopback()),
        };
        let admin = operate::service(shown, admin_address)?;
        let of_proxy = ServerConfig::of(&config.listen);
        let of_admin = ServerConfig {
            max_connections: MAX_ADMIN_CONNECTIONS,
            lame_duck: Duration::ZERO,
            ..of_proxy
        };
        let admin_drain = Drain::new();
        let mut server = Server::new(listener, of_proxy, drain.clone());
        if config.routes.iter().any(|route| route.upgrade.is_some()) {
            server = server.taking_connect();
        }
        metrics.register(Arc::new(server.connections()));
        Ok(Self {
            address,
            admin_address,
            server,
            proxy,
            admin_server: Server::new(admin_listener, of_admin, admin_drain.clone()),
            admin,
            admin_drain,
            drain,
            journal,
            audit,
            rooms,
            readiness,
            metrics,
        })
    }

    /// Where clients reach it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it shows metrics, health and status.
    pub const fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// A view of its connections.
    pub fn connections(&self) -> Connections {
        self.server.connections()
    }

    /// The handles of all that it runs.
    pub const fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// A view of the last verdict.
    pub fn last_verdict(&self) -> LastVerdict {
        self.journal.last()
    }

    /// What `/metrics` shows; more can be registered.
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Serves until it is drained. The admin listener answers as long as the public one does.
    pub async fn run(self) {
        let Self {
            server,
            proxy,
            admin_server,
            admin,
            admin_drain,
            drain,
            readiness,
            audit,
            ..
        } = self;
        let journal = self.journal;
        let public = async move {
            match proxy {
                Proxy::Observed(proxy) => {
                    server
                        .serve_each(move |peer| proxy.clone().of_peer(peer))
                        .await;
                }
                Proxy::Plain(proxy) => {
                    server
                        .serve_each(move |peer| proxy.clone().of_peer(peer))
                        .await;
                }
            }
            admin_drain.advance(Phase::Closing);
        };
        let draining = async move {
            drain.reached(Phase::LameDuck).await;
            readiness.drain();
        };
        let admin = admin_server.serve_each(move |peer| admin.clone().of_peer(peer));
        tokio::join!(public, admin, draining);
        drop(journal);
        audit::flush(audit).await;
    }
}

/// Why a gateway could not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A listener could not be bound.
    Bind(BindError),
    /// A layer refused its settings.
    Config(ConfigError),
    /// There is no place for audit records.
    Audit(AuditError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bind(error) => error.fmt(f),
            Self::Config(error) => error.fmt(f),
            Self::Audit(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        Self::Bind(error)
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<AuditError> for StartError {
    fn from(error: AuditError) -> Self {
        Self::Audit(error)
    }
}
