//! Asking name servers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use buttress_core::clock::{Clock, Instant};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::rdata::SRV;
use hickory_resolver::proto::rr::{RData, RecordType};

use super::Dns;
use super::answer::{Answer, Question, Target, at, by_name, nodes};
use super::several::{each, in_time};
use crate::discover::node::Node;
use crate::discover::source::SourceError;

/// So many queries are under way at a time: fewer than a resolver takes at once.
const AT_ONCE: usize = 8;

/// Which addresses are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Families {
    /// A and AAAA.
    #[default]
    Both,
    /// A alone.
    V4,
    /// AAAA alone.
    V6,
}

impl Families {
    const fn types(self) -> &'static [RecordType] {
        match self {
            Self::Both => &[RecordType::A, RecordType::AAAA],
            Self::V4 => &[RecordType::A],
            Self::V6 => &[RecordType::AAAA],
        }
    }
}

/// Asks name servers where endpoints are; makes a [`Dns`] for each name. Cheap to clone.
///
/// A name with a dot at its end is asked for as it is; one without may be looked for in the system's search domains.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    /// The addresses that each name had last.
    known: Known,
}

type Known = BTreeMap<(String, RecordType), BTreeSet<IpAddr>>;

/// The records of one type at one name.
type Found = Result<(Vec<RData>, Option<Duration>), SourceError>;

impl Resolver {
    /// Asks the name servers of the system, as `/etc/resolv.conf` names them, with its search domains, timeouts and
    /// `/etc/hosts`.
    pub fn system() -> Result<Self, SourceError> {
        let mut builder = TokioResolver::builder_tokio().map_err(|error| refused(&error))?;
        uncached(builder.options_mut());
        let inner = builder.build().map_err(|error| refused(&error))?;
        Ok(Self::of(inner))
    }

    /// Asks these name servers, by UDP, and by TCP where an answer is too long for that.
    pub fn servers(servers: impl IntoIterator<Item = SocketAddr>) -> Result<Self, SourceError> {
        let servers = servers.into_iter().map(|server| {
            let mut config = NameServerConfig::udp_and_tcp(server.ip());
            for connection in &mut config.connections {
                connection.port = server.port();
            }
            config
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let provider = TokioRuntimeProvider::default();
        let mut builder = TokioResolver::builder_with_config(config, provider);
        uncached(builder.options_mut());
        let inner = builder.build().map_err(|error| refused(&error))?;
        Ok(Self::of(inner))
    }

    const fn of(inner: TokioResolver) -> Self {
        let known = BTreeMap::new();
        Self { inner, known }
    }

    /// Who is at the addresses of `host` (A and AAAA), all on `port`.
    pub fn addresses(&self, host: impl Into<String>, port: u16) -> Dns {
        let host = host.into();
        Dns::new(self.clone(), Question::Addresses { host, port })
    }

    /// Who gives the service `name` (SRV), such as `_http._tcp.orders.internal.`: at the addresses of each target, on its
    /// own port. The priorities of the records are those of the endpoints, numbered from 0 on in their order; the weight
    /// of a target is that of the endpoint at each of its addresses, and 0 is 1.
    pub fn services(&self, name: impl Into<String>) -> Dns {
        let name = name.into();
        Dns::new(self.clone(), Question::Services { name })
    }

    /// The same, where the targets themselves are the endpoints: `target:port`. Whoever connects looks their addresses up,
    /// and an endpoint keeps its statistics when its address changes.
    pub fn targets(&self, name: impl Into<String>) -> Dns {
        let name = name.into();
        Dns::new(self.clone(), Question::Targets { name })
    }

    /// An answer of one endpoint at least, within these limits.
    pub(super) async fn ask(
        &mut self,
        question: &Question,
        limits: Limits,
        clock: &Clock,
    ) -> Result<Answer, SourceError> {
        let Limits { families, most, .. } = limits;
        let time = Time::begins(clock, limits.patience);
        let (answer, known) = match question {
            Question::Addresses { host, port } => self.host(host, *port, families, &time).await,
            Question::Services { name } => {
                let (targets, ttl) = self.records_of_service(name, &time).await?;
                refuse_more(question, targets.len(), most)?;
                self.service(&targets, ttl, families, &time).await
            }
            Question::Targets { name } => {
                let (targets, ttl) = self.records_of_service(name, &time).await?;
                let nodes = nodes(&targets, by_name);
                (Answer::of(nodes, ttl), Known::new())
            }
        };
        refuse_more(question, answer.nodes.len(), most)?;
        if answer.nodes.is_empty() {
            let nobody = || SourceError::new(format!("{question}: nobody is there"));
            return Err(answer.problem.unwrap_or_else(nobody));
        }
        // Of an answer that is refused nothing is remembered, as the pool does not.
        self.known = known;
        Ok(answer)
    }

    async fn host(
        &self,
        host: &str,
        port: u16,
        families: Families,
        time: &Time<'_>,
    ) -> (Answer, Known) {
        let found = self.hosts(BTreeSet::from([host]), families, time).await;
        let nodes = at(found.at(host), port).collect();
        found.answer(nodes, None)
    }

    async fn service(
        &self,
        targets: &BTreeSet<Target>,
        ttl: Option<Duration>,
        families: Families,
        time: &Time<'_>,
    ) -> (Answer, Known) {
        let hosts = targets.iter().map(|target| &*target.host).collect();
        let found = self.hosts(hosts, families, time).await;
        let nodes = nodes(targets, |target| at(found.at(&target.host), target.port));
        found.answer(nodes, ttl)
    }

    /// The addresses of `hosts`; those that they had last where they cannot be found.
    async fn hosts(&self, hosts: BTreeSet<&str>, families: Families, time: &Time<'_>) -> Hosts {
        let mut found = Hosts::default();
        let mut questions = Vec::new();
        for host in hosts {
            match host.parse() {
                Ok(address) => found.add(host, [address]),
                Err(_) => questions.extend(families.types().iter().map(|of| (host, *of))),
            }
        }
        let lookups = questions
            .iter()
            .map(|(host, of)| self.records(host, *of, time));
        for ((host, of), answer) in questions.iter().zip(each(lookups, AT_ONCE).await) {
            let key = ((*host).to_owned(), *of);
            let addresses = match answer {
                Ok((records, ttl)) => {
                    found.ttl = sooner(found.ttl, ttl);
                    records.iter().filter_map(RData::ip_addr).collect()
                }
                Err(problem) => {
                    found.problem.get_or_insert(problem);
                    self.known.get(&key).cloned().unwrap_or_default()
                }
            };
            found.add(host, addresses.iter().copied());
            found.known.insert(key, addresses);
        }
        found
    }

    async fn records_of_service(
        &self,
        name: &str,
        time: &Time<'_>,
    ) -> Result<(BTreeSet<Target>, Option<Duration>), SourceError> {
        let (records, ttl) = self.records(name, RecordType::SRV, time).await?;
        let targets = records.into_iter().filter_map(|record| match record {
            // The root says that there is no such service.
            RData::SRV(target) if !target.target.is_root() => Some(Target::from(target)),
            _ => None,
        });
        Ok((targets.collect(), ttl))
    }

    /// The records of one type, none where there are none, and for how long that holds.
    async fn records(&self, name: &str, of: RecordType, time: &Time<'_>) -> Found {
        let found = match in_time(self.inner.lookup(name, of), time.is_over()).await {
            Some(Ok(found)) => found,
            Some(Err(error)) if error.is_no_records_found() => return Ok((Vec::new(), None)),
            Some(Err(error)) => return Err(SourceError::new(format!("{name} {of}: {error}"))),
            None => {
                let problem = format!("{name} {of}: no answer within {:?}", time.patience);
                return Err(SourceError::new(problem));
            }
        };
        let ttl = found.answers().iter().map(|record| record.ttl).min();
        let records = found.answers().iter().map(|record| record.data.clone());
        Ok((
            records.collect(),
            ttl.map(|it| Duration::from_secs(it.into())),
        ))
    }
}

/// What is looked for, how much of it is believed, and for how long it is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) families: Families,
    pub(super) most: usize,
    pub(super) patience: Duration,
}

/// The time that all parts of an answer have together.
struct Time<'a> {
    clock: &'a Clock,
    ends: Instant,
    patience: Duration,
}

impl<'a> Time<'a> {
    fn begins(clock: &'a Clock, patience: Duration) -> Self {
        let ends = clock.now().saturating_add(patience);
        Self {
            clock,
            ends,
            patience,
        }
    }

    async fn is_over(&self) {
        let left = self.ends.saturating_since(self.clock.now());
        self.clock.sleep(left).await;
    }
}

/// What was found at some names.
#[derive(Debug, Default)]
struct Hosts {
    addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    ttl: Option<Duration>,
    problem: Option<SourceError>,
    known: Known,
}

impl Hosts {
    fn add(&mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) {
        let at = self.addresses.entry(host.to_owned()).or_default();
        at.extend(addresses);
    }

    fn at(&self, host: &str) -> &BTreeSet<IpAddr> {
        static NOWHERE: BTreeSet<IpAddr> = BTreeSet::new();
        self.addresses.get(host).unwrap_or(&NOWHERE)
    }

    /// An answer that needed a record of this time to live besides.
    fn answer(self, nodes: Vec<Node>, ttl: Option<Duration>) -> (Answer, Known) {
        let answer = Answer {
            nodes,
            ttl: sooner(self.ttl, ttl),
            problem: self.problem,
        };
        (answer, self.known)
    }
}

impl From<SRV> for Target {
    fn from(record: SRV) -> Self {
        Self {
            priority: record.priority,
            host: record.target.to_lowercase().to_ascii(),
            port: record.port,
            weight: record.weight,
        }
    }
}

/// `None` is never.
fn sooner(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    one.into_iter().chain(other).min()
}

fn refuse_more(question: &Question, many: usize, most: usize) -> Result<(), SourceError> {
    if many <= most {
        return Ok(());
    }
    let problem = format!("{question}: {many} are there; at most {most} are believed");
    Err(SourceError::new(problem))
}

/// Times to live are kept by the one who asks, within bounds of its own.
const fn uncached(options: &mut ResolverOpts) {
    options.cache_size = 0;
}

fn refused(error: &NetError) -> SourceError {
    SourceError::new(format!("no resolver: {error}"))
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
