//! A request that failed at one endpoint goes to another: which, how often, and with what.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

#[path = "failover/limits.rs"]
mod limits;
#[path = "failover/reasons.rs"]
mod reasons;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::BoxError;
use buttress_core::attempt::Attempt;
use buttress_core::clock::ManualClock;
use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::{TransportFailure, Unsent};
use buttress_core::reject::Rejected;
use buttress_core::replay::Replay;
use buttress_core::rng::Rng;
use buttress_route::failover::{Config, Failover, FailoverHandle, FailoverLayer};
use buttress_route::{Affinity, Endpoint, HealthRouter, Policy, RouterHandle, Rules};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tokio_test::task::{self, Spawn};
use tokio_test::{assert_pending, assert_ready};
use tower_layer::Layer;
use tower_service::Service;

type Body = Replay<Full<Bytes>>;
type Answer = Result<Response<Full<Bytes>>, BoxError>;

/// What an endpoint says to every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Status(u16),
    /// Nothing before it, and the request's body is not read.
    StatusUnread(u16),
    Marked(Mark),
    Breaks,
    Refuses,
    IsNotReady,
    BreaksReadying,
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Unsent,
    Deadline,
    Rejected,
}

/// What an endpoint saw of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    by: usize,
    body: Bytes,
    attempt: Option<Attempt>,
}

#[derive(Clone)]
struct Host {
    number: usize,
    says: Arc<Mutex<Vec<Says>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Host {
    fn says(&self) -> Says {
        self.says.lock().unwrap()[self.number]
    }
}

impl Service<Request<Body>> for Host {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.says() {
            Says::IsNotReady => Poll::Pending,
            Says::BreaksReadying => Poll::Ready(Err("closed".into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let host = self.clone();
        Box::pin(async move {
            let attempt = request.extensions().get::<Attempt>().copied();
            let body = match host.says() {
                Says::StatusUnread(_) => Bytes::new(),
                _ => request.into_body().collect().await.unwrap().to_bytes(),
            };
            let says_something = |_: &mut Context<'_>| match host.says() {
                Says::Nothing => Poll::Pending,
                _ => Poll::Ready(()),
            };
            let by = host.number;
            host.seen.lock().unwrap().push(Seen { by, body, attempt });
            poll_fn(says_something).await;
            let mut response = Response::new(Full::from(by.to_string()));
            match host.says() {
                Says::Status(status) | Says::StatusUnread(status) => {
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                }
                Says::Marked(mark) => {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    let marks = response.extensions_mut();
                    match mark {
                        Mark::Unsent => drop(marks.insert(Unsent::new())),
                        Mark::Deadline => drop(marks.insert(DeadlineExceeded::new())),
                        Mark::Rejected => drop(marks.insert(Rejected::new("breaker", "open"))),
                    }
                }
                Says::Breaks => return Err(TransportFailure::new().into()),
                Says::Refuses => {
                    return Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into());
                }
                _ => unreachable!("it is not called, or says nothing"),
            }
            Ok(response)
        })
    }
}

type Stack = Failover<HealthRouter<Host>>;
type Call = Spawn<<Stack as Service<Request<Body>>>::Future>;

/// A pool of hosts that are never thrown out, under failover.
struct World {
    time: ManualClock,
    says: Arc<Mutex<Vec<Says>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    stack: Stack,
}

impl World {
    fn new(says: &[Says]) -> Self {
        Self::with(says, |config| config)
    }

    fn with(says: &[Says], configure: impl FnOnce(Config) -> Config) -> Self {
        Self::over(says, &[], configure)
    }

    /// Hosts of these priorities; of 0 where none is given.
    fn over(says: &[Says], priorities: &[u8], configure: impl FnOnce(Config) -> Config) -> Self {
        let time = ManualClock::new();
        let (seen, says) = (Arc::default(), Arc::new(Mutex::new(says.to_vec())));
        let host = |number| Host {
            number,
            says: Arc::clone(&says),
            seen: Arc::clone(&seen),
        };
        let count = says.lock().unwrap().len();
        let endpoint = |number: usize| {
            let priority = priorities.get(number).copied().unwrap_or_default();
            Endpoint::new(number.to_string(), host(number)).priority(priority)
        };
        let endpoints = (0..count).map(endpoint);
        let user = Affinity::header(USER);
        let pool = buttress_route::Config::default()
            .rules(Rules::none())
            .ready_deadline(Duration::from_millis(100))
            .affinity(user)
            .clock(time.clock())
            .rng(Rng::seeded(3));
        let router = HealthRouter::new(pool, endpoints).unwrap();
        let config = configure(Config::default().clock(time.clock()));
        let stack = FailoverLayer::new(config).unwrap().layer(router);
        Self {
            time,
            says,
            seen,
            stack,
        }
    }

    fn pool(&self) -> RouterHandle<Host> {
        self.stack.get_ref().handle()
    }

    fn handle(&self) -> FailoverHandle {
        self.stack.handle()
    }

    fn start(&mut self, request: Request<Body>) -> Call {
        task::spawn(self.stack.call(request))
    }

    /// The status and the host that answered, or `None` for an error.
    fn ask(&mut self, request: Request<Body>) -> Option<(u16, String)> {
        let mut call = self.start(request);
        let response = assert_ready!(call.poll()).ok()?;
        let status = response.status().as_u16();
        let body = task::spawn(response.into_body().collect()).poll();
        let body = assert_ready!(body).unwrap().to_bytes();
        Some((status, String::from_utf8(body.to_vec()).unwrap()))
    }

    fn took(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn given_up(&self, reason: &str) -> u64 {
        let seen = self.handle().snapshot();
        let found = seen.given_up.iter().find(|(name, _)| *name == reason);
        found.unwrap().1
    }

    fn resent(&self, reason: &str) -> u64 {
        let seen = self.handle().snapshot();
        let found = seen.resent.iter().find(|(name, _)| *name == reason);
        found.unwrap().1
    }
}

fn request(method: Method, body: &'static str) -> Request<Body> {
    let body = Replay::new(Full::from(body));
    Request::builder().method(method).body(body).unwrap()
}

fn get() -> Request<Body> {
    request(Method::GET, "")
}

const OK: Says = Says::Status(200);

/// Whose request it is, which a policy may heed.
const USER: HeaderName = HeaderName::from_static("x-user");

fn get_of(user: u32) -> Request<Body> {
    let mut request = get();
    request.headers_mut().insert(USER, user.into());
    request
}

#[test]
fn no_endpoint_is_asked_twice_and_the_last_answer_stands_where_none_is_left() {
    let mut world = World::with(&[Says::Status(503); 3], |it| it.attempts(8));
    assert_eq!(world.ask(get()).unwrap().0, 503);
    let mut asked: Vec<usize> = world.took().iter().map(|seen| seen.by).collect();
    asked.sort_unstable();
    assert_eq!(asked, [0, 1, 2]);
    assert_eq!(world.given_up("no_endpoint"), 1);
}

#[test]
fn another_of_the_same_priority_is_asked_before_one_of_the_next() {
    let broken = Says::Status(503);
    let mut world = World::over(&[OK, broken, broken, broken], &[1, 0, 0, 0], |it| {
        it.attempts(4)
    });
    assert_eq!(world.ask(get()), Some((200, "0".into())));
    let took: Vec<_> = world.took().iter().map(|seen| seen.by).collect();
    assert_eq!(took.len(), 4);
    assert!(took.ends_with(&[0]), "{took:?}");
}

#[test]
fn where_the_others_are_out_they_are_asked_unless_the_pool_fails_closed() {
    let mut world = World::new(&[Says::Status(503), OK]);
    world.pool().eject("1");
    assert_eq!(world.ask(get()), Some((200, "1".into())));
    let config = world.pool().config().fail_closed(true);
    world.pool().reconfigure(config).unwrap();
    assert_eq!(world.ask(get()), Some((503, "0".into())));
    assert_eq!(world.given_up("no_endpoint"), 1);
}

#[test]
fn a_body_arrives_whole_at_each_attempt_read_before_or_not() {
    for says in [Says::Status(503), Says::StatusUnread(503)] {
        let mut world = World::new(&[says, OK]);
        for _ in 0..30 {
            assert_eq!(world.ask(request(Method::PUT, "the whole")).unwrap().0, 200);
        }
        let seen = world.took();
        let arrived = seen.iter().filter(|it| it.by == 1);
        assert!(arrived.map(|it| &it.body).all(|body| body == "the whole"));
        assert!(world.resent("status") > 0);
    }
}

#[test]
fn a_request_that_is_dropped_in_a_later_attempt_leaves_nothing_in_flight() {
    let mut world = World::new(&[Says::Status(503), Says::Nothing]);
    let router = world.stack.get_ref().handle();
    let mut dropped = 0;
    for _ in 0..30 {
        let mut call = world.start(get());
        assert_pending!(call.poll());
        let in_flight: u32 = router
            .snapshot()
            .endpoints
            .iter()
            .map(|it| it.in_flight)
            .sum();
        assert_eq!(in_flight, 1);
        drop(call);
        dropped += 1;
    }
    let endpoints = router.snapshot().endpoints;
    assert!(endpoints.iter().all(|it| it.in_flight == 0));
    assert_eq!(endpoints[1].outcomes.abandoned, dropped);
    assert_eq!(endpoints[0].outcomes.failure, world.resent("status"));
}

#[test]
fn switched_off_it_sends_nothing_again_and_switched_on_it_goes_on() {
    let mut world = World::with(&[Says::Status(503), OK], |it| it.enabled(false));
    let well = |world: &mut World| (0..30).all(|_| world.ask(get()).unwrap().0 == 200);
    assert!(!well(&mut world));
    assert_eq!(world.handle().snapshot().resends(), 0);
    world.handle().reconfigure(Config::default()).unwrap();
    assert!(well(&mut world));
    let refused = world.handle().reconfigure(Config::default().attempts(0));
    assert_eq!(refused.unwrap_err().field(), "attempts");
}

#[test]
fn the_first_service_called_is_the_one_that_was_ready() {
    let probe = buttress_testing::ContractProbe::new(tower::service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    }));
    let mut service = FailoverLayer::new(Config::default()).unwrap().layer(probe);
    for _ in 0..3 {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let ready = Service::<Request<()>>::poll_ready(&mut service, &mut cx);
        assert!(ready.is_ready());
        let answer = task::spawn(service.call(Request::new(()))).poll();
        assert_eq!(assert_ready!(answer).unwrap().status(), 200);
    }
}

#[test]
fn its_services_and_futures_have_the_auto_traits_of_what_they_wrap() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    let mut world = World::new(&[OK]);
    is_send_and_sync(&world.stack);
    is_send_and_sync(&world.handle());
    is_send(&world.stack.call(get()));
}

#[test]
fn whoever_belongs_to_an_endpoint_goes_to_the_one_that_is_next_for_its_key() {
    for priorities in [[0; 6], [0, 0, 0, 1, 1, 1]] {
        let mut world = World::over(&[OK; 6], &priorities, |config| config);
        let policy = Policy::ConsistentHash { bound: 2.0 };
        let config = world.pool().config().policy(policy);
        world.pool().reconfigure(config).unwrap();
        let mut nexts = BTreeSet::new();
        for user in 0..40 {
            let mut owners = Vec::new();
            for _ in 0..3 {
                let owner = world.ask(get_of(user)).unwrap().1;
                assert!(world.pool().eject(&owner));
                owners.push(owner);
            }
            for owner in &owners {
                assert!(world.pool().restore(owner));
            }
            world.time.advance(Duration::from_secs(60));
            world.took();
            for owner in &owners[..2] {
                world.says.lock().unwrap()[owner.parse::<usize>().unwrap()] = Says::Status(503);
            }
            let answer = world.ask(get_of(user)).unwrap();
            assert_eq!(answer, (200, owners[2].clone()));
            let asked: Vec<String> = world.took().iter().map(|it| it.by.to_string()).collect();
            assert_eq!(asked, owners, "user {user}");
            world.says.lock().unwrap().fill(OK);
            nexts.insert(owners[1].clone());
        }
        assert!(nexts.len() > 2, "{nexts:?}");
    }
}

#[test]
fn no_step_of_the_clock_keeps_a_request_from_another_endpoint_for_long() {
    let said = [OK, Says::Status(503), Says::Refuses, Says::Nothing];
    for seed in 0..20 {
        let (mut world, rng) = (World::new(&[OK; 4]), Rng::seeded(seed));
        let mut open = Vec::new();
        for _ in 0..200 {
            turn(&world.time, &rng);
            world.says.lock().unwrap()[rng.below(4)] = said[rng.below(said.len())];
            let mut call = world.start(get());
            if call.poll().is_pending() {
                open.push(call);
            }
            open.retain_mut(|call| call.poll().is_pending());
        }
        drop(open);
        world
            .says
            .lock()
            .unwrap()
            .copy_from_slice(&[OK, Says::Status(503), OK, OK]);
        world.time.advance(Duration::from_secs(86_400));
        for _ in 0..100 {
            world.time.advance(Duration::from_secs(1));
            assert_eq!(world.ask(get()).unwrap().0, 200);
        }
        let pool = world.pool().snapshot();
        assert!(pool.endpoints.iter().all(|it| it.in_flight == 0));
    }
}

/// On by nothing to weeks, or back by nothing to minutes.
fn turn(time: &ManualClock, rng: &Rng) {
    let length = Duration::from_millis(1 << rng.below(31));
    match rng.below(3) {
        0 => time.turn_back(length.min(Duration::from_secs(300))),
        _ => time.advance(length),
    }
}
