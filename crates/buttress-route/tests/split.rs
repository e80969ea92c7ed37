//! A share of the requests goes to a canary: as large as the step says, more by and by, and none if it does worse.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::disallowed_types
)]

#[path = "split/judged.rs"]
mod judged;

use std::future::{Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::BoxError;
use buttress_core::clock::ManualClock;
use buttress_core::events::Received;
use buttress_core::metric::{Collect, Value};
use buttress_core::reject::Rejected;
use buttress_core::rng::Rng;
use buttress_core::verdict::Action;
use buttress_route::Affinity;
use buttress_route::split::{Config, Split, SplitHandle, SplitLayer, Stage};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use tokio_test::{assert_ready, task};
use tower_layer::Layer;
use tower_service::Service;

const STABLE: usize = 0;
const CANARY: usize = 1;

/// What an arm does with each request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// So many of a thousand fail.
    Fails(u64),
    /// By whom, and why.
    Refuses(&'static str, &'static str),
    IsNotReady,
    Breaks,
    Hangs,
    /// Answers well, so many milliseconds after it was asked.
    Takes(u64),
}

#[derive(Clone)]
struct Host {
    arm: usize,
    does: Arc<Mutex<[Does; 2]>>,
    taken: Arc<Mutex<[u64; 2]>>,
    time: ManualClock,
    rng: Rng,
}

impl Host {
    fn does(&self) -> Does {
        self.does.lock().unwrap()[self.arm]
    }
}

/// What a host answers, if it does.
struct Answer(Option<Ready<Result<Response<Full<Bytes>>, BoxError>>>);

const fn takes(does: Does) -> Duration {
    match does {
        Does::Takes(millis) => Duration::from_millis(millis),
        _ => Duration::ZERO,
    }
}

impl Future for Answer {
    type Output = Result<Response<Full<Bytes>>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(answer) => Pin::new(answer).poll(cx),
            None => Poll::Pending,
        }
    }
}

impl Service<Request<()>> for Host {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self.does() {
            Does::IsNotReady => Poll::Pending,
            Does::Breaks => Poll::Ready(Err("broken".into())),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        self.taken.lock().unwrap()[self.arm] += 1;
        let mut response = Response::new(Full::default());
        self.time.advance(takes(self.does()));
        match self.does() {
            Does::Fails(share) if (self.rng.below(1_000) as u64) < share => {
                *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            }
            Does::Refuses(by, why) => {
                response.extensions_mut().insert(Rejected::new(by, why));
            }
            Does::Hangs => return Answer(None),
            _ => {}
        }
        Answer(Some(ready(Ok(response))))
    }
}

struct World {
    time: ManualClock,
    does: Arc<Mutex<[Does; 2]>>,
    taken: Arc<Mutex<[u64; 2]>>,
    split: Split<Host>,
    /// After which whoever has no answer leaves.
    patience: Duration,
}

impl World {
    fn new(seed: u64, configure: impl FnOnce(Config) -> Config) -> Self {
        let (time, rng) = (ManualClock::new(), Rng::seeded(seed));
        let does = Arc::new(Mutex::new([Does::Fails(0); 2]));
        let taken = Arc::default();
        let host = |arm| Host {
            arm,
            does: Arc::clone(&does),
            taken: Arc::clone(&taken),
            time: time.clone(),
            rng: rng.clone(),
        };
        let config = Config::new("test").clock(time.clock()).rng(rng.clone());
        let layer = SplitLayer::new(configure(config), host(CANARY)).unwrap();
        Self {
            split: layer.layer(host(STABLE)),
            time,
            does,
            taken,
            patience: Duration::from_secs(2),
        }
    }

    fn handle(&self) -> SplitHandle {
        self.split.handle()
    }

    fn stage(&self) -> Stage {
        self.handle().snapshot().stage
    }

    fn set(&self, arm: usize, does: Does) {
        self.does.lock().unwrap()[arm] = does;
    }

    fn ask(&mut self, user: usize) {
        let request = Request::builder().header("x-user", user).body(()).unwrap();
        let _: Poll<()> = self
            .split
            .poll_ready(&mut Context::from_waker(std::task::Waker::noop()))
            .map(drop);
        let mut call = task::spawn(self.split.call(request));
        match call.poll() {
            Poll::Ready(answer) => drop(answer.unwrap()),
            Poll::Pending => self.time.advance(self.patience),
        }
    }

    /// So many requests, a millisecond apart; returns how many went to each arm.
    fn send(&mut self, requests: usize) -> [u64; 2] {
        *self.taken.lock().unwrap() = [0; 2];
        for user in 0..requests {
            self.time.advance(Duration::from_millis(1));
            self.ask(user);
        }
        *self.taken.lock().unwrap()
    }

    /// Until the canary is rolled back, or so many requests were sent.
    fn until_rolled_back(&mut self, most: usize) -> Option<usize> {
        (0..most).find(|_| {
            self.send(1);
            self.stage() == Stage::RolledBack
        })
    }
}

fn by_user(config: Config) -> Config {
    config.affinity(Affinity::header(HeaderName::from_static("x-user")))
}

fn share(taken: [u64; 2]) -> f64 {
    taken[CANARY] as f64 / (taken[STABLE] + taken[CANARY]) as f64
}

#[test]
fn each_step_has_its_share_by_chance_and_by_key() {
    for sticky in [false, true] {
        let configure = |config| if sticky { by_user(config) } else { config };
        let mut world = World::new(1, configure);
        for expected in [0.05, 0.25, 0.5, 1.0] {
            let taken = share(world.send(10_000));
            assert!(
                (taken - expected).abs() < 0.02,
                "{taken} of {expected}, {sticky}"
            );
            assert_eq!(world.handle().snapshot().share, expected);
            assert_eq!(world.handle().advance(), expected < 1.0);
        }
    }
}

#[test]
fn whoever_was_with_the_canary_stays_with_it_from_step_to_step() {
    let mut world = World::new(1, by_user);
    let with_canary = |world: &mut World| -> Vec<usize> {
        let taken = |world: &World| world.taken.lock().unwrap()[CANARY];
        let is_with = |user: &usize| {
            let before = taken(world);
            world.ask(*user);
            taken(world) > before
        };
        (0..2_000).filter(is_with).collect()
    };
    let mut earlier = Vec::new();
    for _ in 0..4 {
        let now = with_canary(&mut world);
        assert!(earlier.iter().all(|user| now.contains(user)));
        assert_eq!(now, with_canary(&mut world), "the same again");
        earlier = now;
        world.handle().advance();
    }
    assert_eq!(earlier.len(), 2_000);
}

#[test]
fn a_step_is_over_when_it_has_lasted_and_enough_calls_have_ended() {
    let mut world = World::new(2, |it| it.hold(Duration::from_secs(60)).min_calls(50));
    let mut events = world.handle().subscribe();
    world.send(10_000);
    assert_eq!(world.stage(), Stage::Step(0), "it has to last");
    world.time.advance(Duration::from_secs(50));
    world.send(2);
    assert_eq!(world.stage(), Stage::Step(1));
    world.time.advance(Duration::from_secs(70));
    world.send(40);
    assert_eq!(world.stage(), Stage::Step(1), "it has to have calls");
    world.send(3_000);
    assert_eq!(world.stage(), Stage::Step(2));
    let Some(Received::Event(event)) = events.try_recv() else {
        panic!("nothing was told");
    };
    assert_eq!((event.from, event.to), (0.05, 0.25));
    assert_eq!(event.verdict.action, Action::Advanced);
    assert!(event.verdict.observed >= 60.0 && event.verdict.samples >= 50);
}

#[test]
fn a_canary_that_is_not_ready_costs_nobody_a_wait() {
    let mut world = World::new(6, |config| config.steps([0.5]));
    world.set(CANARY, Does::IsNotReady);
    assert_eq!(world.send(1_000), [1_000, 0]);
    assert!(world.handle().snapshot().canary.totals[2] > 400);
}

#[test]
fn a_configuration_is_replaced_and_the_rollout_goes_on_where_it_was() {
    let mut world = World::new(7, |config| config);
    world.send(1_000);
    world.handle().advance();
    let seen = world.send(1_000);
    let before = world.handle().snapshot();
    let config = world.handle().config().steps([0.1, 0.3]);
    world.handle().reconfigure(config).unwrap();
    let after = world.handle().snapshot();
    assert_eq!((after.stage, after.share), (Stage::Step(1), 0.3));
    assert_eq!((after.stable, after.canary), (before.stable, before.canary));
    assert_eq!(after.canary.calls, seen[CANARY]);
    let config = world.handle().config().steps([2.0]);
    assert_eq!(
        world.handle().reconfigure(config).unwrap_err().field(),
        "steps"
    );
}

#[test]
fn a_key_function_that_panics_harms_its_own_request_alone() {
    let panics = Affinity::by(|head| {
        assert!(head.uri.path() != "/bad", "the key function panics");
        None
    });
    let mut world = World::new(8, |config| config.affinity(panics));
    let bad = || Request::builder().uri("/bad").body(()).unwrap();
    let unlucky = catch_unwind(AssertUnwindSafe(|| drop(world.split.call(bad()))));
    assert!(unlucky.is_err());
    world.send(1_000);
}

#[test]
fn the_metrics_show_shares_calls_and_rollbacks() {
    let mut world = World::new(9, |config| config);
    world.send(1_000);
    world.handle().roll_back();
    let mut families = Vec::new();
    world.handle().collect(&mut families);
    let names: Vec<_> = families.iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        [
            "buttress_split_share",
            "buttress_split_calls",
            "buttress_split_rollbacks"
        ]
    );
    assert_eq!(families[0].points[0].value, Value::Gauge(0.0));
    let calls = families[1].points.iter().map(|it| match it.value {
        Value::Counter(count) => count,
        _ => 0,
    });
    assert_eq!(calls.sum::<u64>(), 1_000);
    assert_eq!(rollbacks(&world), [0, 0, 1]);
}

/// For failing, for being late, and by hand.
fn rollbacks(world: &World) -> Vec<u64> {
    let mut families = Vec::new();
    world.handle().collect(&mut families);
    let counts = families[2].points.iter().map(|it| match it.value {
        Value::Counter(count) => count,
        _ => 0,
    });
    counts.collect()
}

#[test]
fn of_both_the_service_that_was_ready_is_the_one_that_is_called() {
    let probe = || {
        buttress_testing::ContractProbe::new(tower::service_fn(|_: Request<()>| {
            ready(Ok::<_, BoxError>(Response::new(Full::<Bytes>::default())))
        }))
    };
    let config = Config::default().steps([0.5]).rng(Rng::seeded(1));
    let layer = SplitLayer::new(config, probe()).unwrap();
    let mut service = layer.layer(probe());
    for _ in 0..20 {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let answer = task::spawn(service.call(Request::new(()))).poll();
        assert_eq!(assert_ready!(answer).unwrap().status(), 200);
    }
    let (stable, canary) = service.get_ref();
    assert!(stable.calls() > 0 && canary.calls() > 0);
}

#[test]
fn its_services_and_futures_have_the_auto_traits_of_what_they_wrap() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    let mut world = World::new(1, |config| config);
    is_send_and_sync(&world.split);
    is_send_and_sync(&world.handle());
    is_send_and_sync(&world.split.call(Request::new(())));
}

#[test]
fn no_step_of_the_clock_rolls_a_canary_back_that_does_well_or_keeps_one_that_does_not() {
    for seed in 0..20 {
        let (mut world, rng) = (World::new(seed, |config| config), Rng::seeded(seed));
        let turn = |world: &World| {
            let length = Duration::from_millis(1 << rng.below(31));
            match rng.below(3) {
                0 => world.time.turn_back(length.min(Duration::from_secs(300))),
                _ => world.time.advance(length),
            }
        };
        for _ in 0..300 {
            let mut call = task::spawn(world.split.call(Request::new(())));
            turn(&world);
            assert_ready!(call.poll()).unwrap();
        }
        assert_ne!(world.stage(), Stage::RolledBack, "{seed}");
        world.time.advance(Duration::from_secs(86_400));
        world.set(CANARY, Does::Fails(1_000));
        assert!(world.until_rolled_back(5_000).is_some(), "{seed}");
    }
}
