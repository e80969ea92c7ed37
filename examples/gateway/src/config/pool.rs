//! `[[pool]]`: who can stand in for whom, how it is picked, and when it is thrown out.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use super::{FailureRate, values};

use buttress::route::{SlowRate, Weights};
use http::uri::Authority;
use http::{HeaderName, StatusCode};

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
    /// How many times its share of the load an endpoint may have before keys go on to their next one; 1 or more. Heeded
    /// by [`PoolPick::ConsistentHash`].
    pub load_bound: f64,
    /// Endpoints whose costs differ by less than this share are equally good; 0 to 10.
    pub noise_band: f64,
    /// For how long it is known what was seen of an endpoint that is there no longer.
    pub remember: Duration,
    /// Where the gateway stands, the largest part first and parted by `/`: who shares more of it is asked first.
    pub locality: Option<String>,
    /// Whether it is heeded what endpoints report of their own load, and kept from clients.
    pub reported_load: bool,
    /// At least one, unless DNS says who is there; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// Who says which endpoints there are from then on, if anybody does.
    pub discover: Option<PoolDiscovery>,
    /// When an endpoint is thrown out.
    pub health: PoolHealth,
    /// How endpoints are asked how they are, if they are.
    pub check: Option<PoolCheck>,
    /// What is sent again to another endpoint.
    pub failover: PoolFailover,
}

impl Pool {
    pub(crate) const LOAD_BOUND: f64 = 1.25;
    pub(crate) const NOISE_BAND: f64 = 0.25;
    pub(crate) const REMEMBER: Duration = Duration::from_secs(600);

    /// As whom an endpoint is spoken to that `discover` has found; one that is listed goes by what is written. One that
    /// is known by its address alone goes by the name that DNS is asked for, with its own port: who stands behind the
    /// name decides by it which host is meant.
    pub fn called(&self, endpoint: &Endpoint) -> Authority {
        let name = self.discover.as_ref().and_then(PoolDiscovery::host);
        let own = &endpoint.authority;
        let called = name.filter(|_| is_address(own.host())).map(|name| {
            let port = own.port_u16().unwrap_or(80);
            format!("{name}:{port}").parse()
        });
        called.and_then(Result::ok).unwrap_or_else(|| own.clone())
    }
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
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
    /// The one that the request's key belongs to, unless it has more of the load than [`Pool::load_bound`] allows.
    ConsistentHash,
}

/// Who says which endpoints a pool has, while the gateway runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolDiscovery {
    /// A file of `host:port` lines, in the form of [`buttress::route::discover::lines`], looked at again and again.
    File {
        /// Where it is.
        path: PathBuf,
        /// The pause between two looks.
        every: Duration,
    },
    /// The addresses (A and AAAA) of a name.
    Addresses {
        /// The name.
        host: String,
        /// The port at each address.
        port: u16,
        /// Whom to ask; those of the system where there is none.
        resolvers: Vec<SocketAddr>,
    },
    /// The records of a service (SRV).
    Services {
        /// Its name.
        name: String,
        /// Whom to ask; those of the system where there is none.
        resolvers: Vec<SocketAddr>,
    },
}

impl PoolDiscovery {
    /// The host that is looked for: of a service the domain that offers it.
    fn host(&self) -> Option<&str> {
        let name = match self {
            Self::File { .. } => return None,
            Self::Addresses { host, .. } => host,
            Self::Services { name, .. } => name,
        };
        let mut host = name.strip_suffix('.').unwrap_or(name);
        while let (true, Some((_, rest))) = (host.starts_with('_'), host.split_once('.')) {
            host = rest;
        }
        Some(host).filter(|host| !host.starts_with('_'))
    }
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
    pub authority: Authority,
    /// What it resolved to when the file was read; new connections resolve afresh.
    pub resolved: Vec<SocketAddr>,
    /// Share of traffic, relative to the others of the pool; 0 takes none.
    pub weight: u32,
    /// 0 is asked first.
    pub priority: u8,
    /// Where it stands, as the pool's.
    pub locality: Option<String>,
}

impl Endpoint {
    /// The endpoint at `address`, of which nothing else is said; it is not resolved. All that it can be is a host and a
    /// port.
    pub fn at(address: &str) -> Result<Self, String> {
        let (_, port) = values::host_port(address)?;
        if port == 0 {
            return Err(
                "port 0 cannot be connected to; write the port the upstream listens on".into(),
            );
        }
        let authority = address
            .parse()
            .map_err(|_| format!("\"{address}\" is not an address; write host:port"))?;
        Ok(Self {
            authority,
            ..Self::nowhere(address)
        })
    }

    /// An endpoint of this name that nothing can be connected to.
    pub(crate) fn nowhere(name: &str) -> Self {
        Self {
            address: name.to_owned(),
            authority: Authority::from_static("nowhere.invalid:1"),
            resolved: Vec::new(),
            weight: 1,
            priority: 0,
            locality: None,
        }
    }
}

/// When an endpoint is thrown out of its pool, and how many may be out at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PoolHealth {
    /// Failures in a row that throw it out.
    pub consecutive_failures: NonZeroU32,
    /// The share of failures that throws it out, on its own.
    pub failure_rate: FailureRate,
    /// And by how much more than its peers it may fail, 0 to 1; at 1 they are not looked at.
    pub above_peers: f64,
    /// The share of late answers that throws it out, where `pick` leaves whoever is slow its share.
    pub slow_rate: SlowRate,
    /// How many failures in a row one of each kind counts for. Of a share each counts once, but for what weighs 0.
    pub failure_weights: Weights,
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
        failure_rate: FailureRate::DEFAULT,
        above_peers: 0.03,
        slow_rate: SlowRate::new(0.5, Duration::from_secs(5), NonZeroU32::new(20).unwrap()),
        failure_weights: Weights::all(1),
        probe_by_copies: true,
        open_for: Duration::from_secs(1),
        max_ejected: 0.5,
        decay: Duration::from_secs(10),
        overprovisioning: 1.4,
        fail_closed: false,
    };
}

/// How the endpoints of a pool are asked how they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolCheck {
    /// What is asked.
    pub kind: PoolCheckKind,
    /// From the end of a check to the next one of the same endpoint.
    pub interval: Duration,
    /// The same, of an endpoint in doubt.
    pub suspect_interval: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Successes in a row that take back what failures have said.
    pub rise: NonZeroU32,
    /// Failures in a row that take an endpoint out.
    pub fall: NonZeroU32,
}

/// What an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolCheckKind {
    /// A connection.
    Tcp,
    /// `GET` of a path.
    Http {
        /// Begins with `/`.
        path: String,
        /// The statuses that pass; any `2xx` where there is none.
        statuses: Vec<u16>,
        /// What the body has to contain.
        contains: Option<String>,
    },
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

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn what_is_known_by_its_address_alone_goes_by_the_name_that_found_it() {
        for (discover, endpoint, called) in [
            ("dns = \"a.test.\", port = 1", "10.0.0.1:81", "a.test:81"),
            ("dns = \"a.test\", port = 1", "[::1]:81", "a.test:81"),
            ("srv = \"_x._tcp.a.test.\"", "10.0.0.1:81", "a.test:81"),
            ("srv = \"_x._tcp.\"", "10.0.0.1:81", "10.0.0.1:81"),
            // It has a name of its own, and what that one is told is its own matter.
            ("dns = \"a.test\", port = 1", "localhost:81", "localhost:81"),
        ] {
            let text = format!(
                "[[pool]]\nname = \"p\"\nendpoints = [\"{endpoint}\"]\ndiscover = {{ {discover} }}\n\
                 [[route]]\nname = \"r\"\npool = \"p\"\n"
            );
            let pool = Config::parse("test.toml", &text).unwrap().pools.remove(0);
            assert_eq!(pool.called(&pool.endpoints[0]), called);
        }
    }
}
