//! `gateway.toml`: read once, checked whole, then plain data.
//!
//! A [`Config`] cannot be wrong: names are fit to be labels, every route names a pool that exists,
//! every address resolved. [`Config::load`] reports *everything* that is wrong with a file, each
//! with its line and key, so that one run of `check` is enough to mend it.
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

mod raw;
mod report;
mod validate;
mod values;

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use buttress::correlation::Hosts;
use buttress::telemetry::redact::Shape;
use http::{HeaderName, StatusCode};

use crate::networks::Networks;

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
    /// Reads and checks a file, and resolves every address in it. Blocks; call it before serving.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let source =
            std::fs::read_to_string(path).map_err(|error| report::unreadable(&file, &error))?;
        Self::parse(&file, &source)
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

/// `[[pool]]`: endpoints that can stand in for each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Fit to be a label; no other pool has it.
    pub name: String,
    /// What is spoken to the endpoints.
    pub protocol: Protocol,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest wait for a response's head once nothing more of the request is moving.
    pub head_timeout: Duration,
    /// Longest pause inside a response body.
    pub body_idle_timeout: Duration,
    /// How long an idle connection to an endpoint is kept.
    pub keep_alive: Duration,
    /// By what an endpoint is picked for a request.
    pub pick: PoolPick,
    /// What ties a request to an endpoint; there exactly if `pick` heeds it.
    pub affinity: Option<PoolAffinity>,
    /// Where the gateway stands, the largest part first and parted by `/`: who shares more of it is asked first.
    pub locality: Option<String>,
    /// At least one; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// When an endpoint is thrown out.
    pub health: PoolHealth,
    /// What is sent again to another endpoint.
    pub failover: PoolFailover,
}

/// What is spoken to a pool's endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, by prior knowledge.
    Http2,
}

/// By what an endpoint of a pool is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolPick {
    /// The least expected time to a good answer.
    #[default]
    ExpectedCost,
    /// Each in its turn, by weight.
    RoundRobin,
    /// Any, whatever its weight.
    Random,
    /// Any, by weight.
    WeightedRandom,
    /// Of two the one with fewer requests in flight.
    LeastRequest,
    /// Of two the one with less peak latency times requests in flight.
    PeakEwma,
    /// The one that the request's key belongs to, unless it has a quarter more than its share of the load.
    ConsistentHash,
}

/// What ties a request to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolAffinity {
    /// The value of this header.
    Header(HeaderName),
    /// The value of this cookie.
    Cookie(String),
    /// The path, without the query.
    Path,
}

/// One endpoint of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, as written.
    pub address: String,
    /// The same, as part of a URI.
    pub authority: http::uri::Authority,
    /// What it resolved to when the file was read; new connections resolve afresh.
    pub resolved: Vec<SocketAddr>,
    /// Share of traffic, relative to the others of the pool; 0 takes none.
    pub weight: u32,
    /// 0 is asked first.
    pub priority: u8,
    /// Where it stands, as the pool's.
    pub locality: Option<String>,
}

/// When an endpoint is thrown out of its pool, and how many may be out at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolHealth {
    /// Failures in a row that throw it out.
    pub consecutive_failures: NonZeroU32,
    /// Whether copies of requests are the probes, where they can be.
    pub probe_by_copies: bool,
    /// How long it stays out before it is probed.
    pub open_for: Duration,
    /// Largest share of the pool that may be out at once, 0 to 1.
    pub max_ejected: f64,
    /// The time constant with which what was seen of an endpoint fades.
    pub decay: Duration,
    /// How much more than its share a priority bears before the next takes what it lacks; 1 or more.
    pub overprovisioning: f64,
    /// Whether requests are refused while every endpoint is out.
    pub fail_closed: bool,
}

impl PoolHealth {
    pub(crate) const DEFAULT: Self = Self {
        consecutive_failures: NonZeroU32::new(5).unwrap(),
        probe_by_copies: true,
        open_for: Duration::from_secs(1),
        max_ejected: 0.5,
        decay: Duration::from_secs(10),
        overprovisioning: 1.4,
        fail_closed: false,
    };
}

/// What is sent again to another endpoint of its pool where one failed.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolFailover {
    /// Whether anything is.
    pub enabled: bool,
    /// How often a request is sent at most, the first time among them.
    pub attempts: NonZeroU32,
    /// How long after it came.
    pub within: Duration,
    /// Answers that another endpoint might give better.
    pub statuses: Vec<StatusCode>,
    /// Longest request body that is held to be sent again, in bytes.
    pub max_body: u64,
    /// Whether a client's `Idempotency-Key` is believed.
    pub idempotency_key: bool,
    /// For each request that was answered well, so much of one may be sent again, 0 to 1.
    pub budget: f64,
}

impl PoolFailover {
    pub(crate) fn defaults() -> Self {
        Self {
            enabled: true,
            attempts: NonZeroU32::MIN.saturating_add(2),
            within: Duration::from_secs(10),
            statuses: vec![
                StatusCode::BAD_GATEWAY,
                StatusCode::SERVICE_UNAVAILABLE,
                StatusCode::GATEWAY_TIMEOUT,
            ],
            max_body: 64 << 10,
            idempotency_key: false,
            budget: 0.2,
        }
    }
}

/// `[[route]]`: which requests go to which pool, and the breaker that guards them.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Fit to be a label; no other route has it.
    pub name: String,
    /// Lower case, without a port; `None` matches any host.
    pub host: Option<String>,
    /// Begins with `/`; matches at segment boundaries.
    pub path_prefix: String,
    /// Index into [`Config::pools`].
    pub pool: usize,
    /// The breaker over the whole pool.
    pub breaker: RouteBreaker,
}

/// When a route's breaker trips, and how it recovers. At least one rule is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RouteBreaker {
    /// Trips on failures in a row.
    pub consecutive_failures: Option<NonZeroU32>,
    /// Trips on a share of failures.
    pub failure_rate: Option<FailureRate>,
    /// How long it rejects before it probes.
    pub open_for: Duration,
    /// Probes let through at once.
    pub probes: NonZeroU32,
    /// Whether traffic rises step by step once the probes have succeeded.
    pub ramp: bool,
}

impl RouteBreaker {
    pub(crate) const DEFAULT: Self = Self {
        consecutive_failures: None,
        failure_rate: Some(FailureRate::DEFAULT),
        open_for: Duration::from_secs(5),
        probes: NonZeroU32::new(3).unwrap(),
        ramp: true,
    };
}

/// A share of failures over a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailureRate {
    /// Share of failures that trips, above 0 and at most 1.
    pub ratio: f64,
    /// Fewer calls than this in the window say nothing.
    pub min_calls: NonZeroU32,
    /// How far back the rule looks.
    pub window: Duration,
}

impl FailureRate {
    pub(crate) const DEFAULT: Self = Self {
        ratio: 0.5,
        min_calls: NonZeroU32::new(20).unwrap(),
        window: Duration::from_secs(10),
    };
}
