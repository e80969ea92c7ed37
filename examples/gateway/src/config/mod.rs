//! `gateway.toml`: read once, checked whole, then plain data.
//!
//! A [`Config`] cannot be wrong: names are fit to be labels, every route names a pool that exists,
//! every address resolved. [`Config::load`] reports *everything* that is wrong with a file, each
//! with its line and key, so that one run of `check` is enough to mend it; but for what is no TOML,
//! which is told alone, the first of it.
//!
//! ```
//! let config = buttress_gateway::config::Config::parse(
//!     "gateway.toml",
//!     r#"
//!     [[pool]]
//!     name = "orders"
//!     endpoints = ["127.0.0.1:9001", { address = "127.0.0.1:9002", weight = 2 }]
//!
//!     [[route]]
//!     name = "orders"
//!     path_prefix = "/orders"
//!     pool = "orders"
//!     "#,
//! )?;
//! assert_eq!(config.pools.len(), 1);
//! # Ok::<(), buttress_gateway::config::ConfigError>(())
//! ```

mod file;
mod keys;
mod pool;
mod raw;
mod report;
mod route;
mod set_aside;
mod unknown_key;
mod validate;
mod values;
mod wrong_type;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use buttress::correlation::Hosts;
use buttress::telemetry::redact::Shape;
use http::HeaderName;

use crate::networks::Networks;

pub use pool::{
    Endpoint, Pool, PoolAffinity, PoolCheck, PoolCheckKind, PoolDiscovery, PoolFailover,
    PoolHealth, PoolPick, Protocol,
};
pub use route::{FailureRate, Route, RouteBreaker, RouteMirror, RouteSplit, RouteUpgrade};

pub use report::{ConfigError, ConfigProblem};

/// Everything the gateway is told, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The listener that clients reach.
    pub listen: Listen,
    /// The listener for metrics, health and status.
    pub admin: Admin,
    /// Log lines.
    pub log: Log,
    /// Audit records.
    pub audit: Audit,
    /// Span export.
    pub trace: Trace,
    /// Pushes of metrics.
    pub metrics: Metrics,
    /// What upstreams are told about the client.
    pub forwarded: Forwarded,
    /// Whose correlation IDs are believed.
    pub correlation: Correlation,
    /// Upstream pools, in the order of the file.
    pub pools: Vec<Pool>,
    /// Routes, in the order of the file; each names a pool by its index.
    pub routes: Vec<Route>,
}

impl Config {
    /// Reads and checks a file of at most 16 MiB, and resolves every address in it. Blocks; call it before serving.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&path.display().to_string(), &file::read(path)?)
    }

    /// Checks a configuration's text; `file` is only the name that problems are reported under.
    pub fn parse(file: &str, source: &str) -> Result<Self, ConfigError> {
        validate::parse(file, source)
    }
}

/// `[listen]`: the public side, and how long it waits for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// Connections held at once; beyond it accepting pauses.
    pub max_connections: usize,
    /// From a connection's first moment, or the first byte of a later request, to a whole head.
    pub header_timeout: Duration,
    /// How long a connection without a request in flight is kept.
    pub idle_timeout: Duration,
    /// Longest pause inside a request body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response that waits for it, as far as the kernel's
    /// own buffer lets that be seen.
    pub write_timeout: Duration,
    /// Largest request body; `None` is no limit.
    pub max_request_body: Option<u64>,
    /// How long, after a signal to end, new work is still taken while clients are told to leave.
    pub lame_duck: Duration,
    /// How long, after that, work in flight may take before it is cut.
    pub drain_deadline: Duration,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            max_connections: 10_000,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            max_request_body: Some(10 << 20),
            lame_duck: Duration::from_secs(2),
            drain_deadline: Duration::from_secs(20),
        }
    }
}

/// `[admin]`: metrics, health and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where to listen; loopback unless told otherwise.
    pub address: SocketAddr,
    /// Whether settings may be changed there; where nothing is said, on loopback they may.
    pub changes: Option<bool>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)),
            changes: None,
        }
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Shape of a line.
    pub format: LogFormat,
    /// Least severe level that is written: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
    /// Whether each request writes a line of its own.
    pub access_log: bool,
    /// Whether lines that repeat outside of requests are summed up.
    pub repeats: bool,
    /// The shapes of secrets that are cut out.
    pub redact: Vec<Shape>,
    /// Names of secrets beside the usual ones.
    pub secret_names: Vec<String>,
    /// Headers that access lines show.
    pub show_headers: Vec<HeaderName>,
    /// Names in queries whose values access lines show.
    pub show_query: Vec<String>,
    /// Whether paths are shown.
    pub show_path: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::Human,
            level: LogLevel::Info,
            access_log: false,
            repeats: true,
            redact: Shape::ALL.to_vec(),
            secret_names: Vec::new(),
            show_headers: Vec::new(),
            show_query: Vec::new(),
            show_path: true,
        }
    }
}

/// `[audit]`: what was changed, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The file; `None` records nothing.
    pub path: Option<PathBuf>,
    /// A file that would be longer is rotated, in bytes.
    pub max_size: u64,
    /// How many older files are kept.
    pub keep: u32,
    /// Whether each record is on the disk before the next is written.
    pub sync: bool,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            path: None,
            max_size: 10 << 20,
            keep: 5,
            sync: true,
        }
    }
}

/// Shape of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For eyes.
    Human,
    /// One JSON object a line.
    Json,
}

/// Least severe level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs somebody.
    Error,
    /// What may need somebody soon.
    Warn,
    /// State changes.
    Info,
    /// What helps to find a fault.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level's name, as filters take it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// `[trace]`: where spans go.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// A collector's OTLP/gRPC address; `None` exports nothing.
    pub otlp_endpoint: Option<String>,
    /// Share of new traces that is sampled, 0 to 1.
    pub sample_ratio: f64,
    /// Whether requests that failed or were slow are exported although they are not sampled.
    pub keep_failed: bool,
    /// How long a request takes that is slow.
    pub keep_slower_than: Duration,
}

impl Default for Trace {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            sample_ratio: 1.0,
            keep_failed: false,
            keep_slower_than: Duration::from_secs(1),
        }
    }
}

/// `[metrics]`: where they are pushed, beside the page that shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// A collector's OTLP/gRPC address; `None` pushes nothing.
    pub otlp_endpoint: Option<String>,
    /// From the end of a push to the next.
    pub push_every: Duration,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            push_every: Duration::from_secs(60),
        }
    }
}

/// `[forwarded]`: what upstreams are told about the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarded {
    /// The `Host` that upstreams see.
    pub host: HostPolicy,
    /// The `X-Forwarded-*` headers that upstreams see.
    pub x_forwarded: ForwardedPolicy,
}

impl Default for Forwarded {
    fn default() -> Self {
        Self {
            host: HostPolicy::Preserve,
            x_forwarded: ForwardedPolicy::Replace,
        }
    }
}

/// Which `Host` an upstream sees. An HTTP/2 pool always sees the endpoint's own authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPolicy {
    /// The client's.
    Preserve,
    /// The endpoint's own address.
    Upstream,
}

/// What becomes of `X-Forwarded-*`. `Forwarded` never passes, whatever the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedPolicy {
    /// What the client sent is dropped, and what the gateway saw itself is put in its place.
    Replace,
    /// What the gateway saw is added to what the client sent: only behind a trusted proxy.
    Append,
    /// What the client sent is dropped, and nothing is added.
    Drop,
}

/// `[correlation]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correlation {
    /// Whose IDs are believed.
    pub trust: Trust,
    /// The endpoints that are told IDs and traces.
    pub hosts: Hosts,
}

/// Whose correlation IDs are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Nobody's: the gateway stands at the edge and mints every ID.
    #[default]
    Edge,
    /// Everybody's: all callers are services of our own.
    Internal,
    /// Those of callers in these networks.
    Networks(Networks),
}
