//! Names of DNS that say who is there.

mod answer;
mod pace;
mod resolver;
mod several;

use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::rng::Rng;

use super::node::Node;
use super::source::{Source, SourceError};
use answer::{Answer, Question};
use pace::Pace;
use resolver::Limits;

pub use resolver::{Families, Resolver};

/// The bounds of a time to live, where nothing else is said.
const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// For how long an answer is waited for, all that it needs included, where nothing else is said.
const PATIENCE: Duration = Duration::from_secs(20);
/// So many endpoints are believed, where nothing else is said.
const MOST: usize = 1_024;

/// A name of DNS that says who is there ([`Resolver`] makes one), asked again when the answer's time to live is over.
///
/// # What it promises
///
/// All in `tests/dns.rs`, against a name server:
///
/// - It is asked again when the shortest time to live of all records that it needed is over, within
///   [`Dns::shortest`] and [`Dns::longest`], and up to a tenth later by chance, so that many routers do not ask at once.
/// - **Failing static.** No answer, one that fails (`SERVFAIL`, `REFUSED`, nonsense), a name that is not there and one at
///   which nobody is change nothing: the last endpoints stay, the refusal is told
///   ([`Discovery`](super::Discovery)), and it is asked again after 1 s, then after twice that and so on up to
///   [`Dns::longest`], each up to a half later by chance. Where only some of what is needed fails (one family of
///   addresses, one target of a service) or has not come in time, of that the last answer counts, which is told as well.
/// - The identity of an endpoint is its `address:port`, or its `target:port` by [`Resolver::targets`]: who is named again
///   keeps service, connections and statistics, in whatever order.
/// - More than [`Dns::most`] endpoints are refused. Addresses at which nobody can be (unspecified, multicast, broadcast)
///   and port 0 are left out.
///
/// # What it costs
///
/// A query for each family of each name, up to eight at a time; nothing is cached beside the addresses that each name had
/// last. It runs on tokio, with its time and its network, whatever the pool's clock; how long it waits between two
/// questions is told by the pool's clock.
///
/// ```no_run
/// use buttress_core::spawn::Spawn;
/// use buttress_route::discover::{Node, Resolver};
/// use buttress_route::{Config, HealthRouter};
/// # use std::convert::Infallible;
/// # use http::{Request, Response};
/// # use http_body_util::Empty;
/// # use bytes::Bytes;
/// # use tower::util::BoxCloneSyncService;
/// # type Client = BoxCloneSyncService<Request<()>, Response<Empty<Bytes>>, Infallible>;
/// # fn client(_: &str) -> Client {
/// #     BoxCloneSyncService::new(tower::service_fn(|_| async { Ok(Response::new(Empty::new())) }))
/// # }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let router = HealthRouter::new(Config::new("orders"), [])?;
/// let names = Resolver::system()?;
/// // Or `names.addresses("orders.internal.", 8080)`.
/// let orders = names.services("_http._tcp.orders.internal.");
/// let make = |node: &Node| node.endpoint(client(node.id()));
/// router.handle().discover(orders, make, &Spawn::current()?)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dns {
    resolver: Resolver,
    question: Question,
    families: Families,
    most: usize,
    patience: Duration,
    pace: Pace,
    rng: Rng,
    /// What failed of the last answer that was believed.
    problem: Option<SourceError>,
}

impl Dns {
    fn new(resolver: Resolver, question: Question) -> Self {
        Self {
            resolver,
            question,
            families: Families::default(),
            most: MOST,
            patience: PATIENCE,
            pace: Pace::new(SHORTEST, LONGEST),
            rng: Rng::default(),
            problem: None,
        }
    }

    /// Asks no sooner than this after an answer, however short a time to live is. Default 5 s; no less than 1 s.
    #[must_use]
    pub fn shortest(mut self, shortest: Duration) -> Self {
        self.pace.shortest(shortest);
        self
    }

    /// Asks no later than this, and a tenth more by chance, however long a time to live is. Default 60 s; no less than
    /// the shortest.
    #[must_use]
    pub fn longest(mut self, longest: Duration) -> Self {
        self.pace.longest(longest);
        self
    }

    /// Waits as long for an answer, all that it needs included; what has not come by then has failed, and the rest
    /// counts. Default 20 s; no less than 1 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience.max(Duration::from_secs(1));
        self
    }

    /// Looks for addresses of these families. Default both.
    #[must_use]
    pub const fn families(mut self, families: Families) -> Self {
        self.families = families;
        self
    }

    /// Refuses an answer of more endpoints than this. Default 1,024.
    #[must_use]
    pub const fn most(mut self, most: usize) -> Self {
        self.most = most;
        self
    }

    /// With this generator for what is left to chance. By default the thread's.
    #[must_use]
    pub fn rng(mut self, rng: Rng) -> Self {
        self.rng = rng;
        self
    }

    async fn ask(&mut self, clock: &Clock) -> Result<Answer, SourceError> {
        let limits = Limits {
            families: self.families,
            most: self.most,
            patience: self.patience,
        };
        self.resolver.ask(&self.question, limits, clock).await
    }
}

impl Source for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    async fn next(&mut self, clock: &Clock) -> Result<Vec<Node>, SourceError> {
        if let Some(wait) = self.pace.wait() {
            clock.sleep(wait).await;
        }
        // Should the answer never come to its end, that was a failure.
        self.pace.failed(&self.rng);
        self.problem = None;
        let answer = self.ask(clock).await?;
        self.pace
            .answered(answer.ttl, answer.problem.is_none(), &self.rng);
        self.problem = answer.problem;
        Ok(answer.nodes)
    }

    fn problem(&self) -> Option<SourceError> {
        self.problem.clone()
    }
}
