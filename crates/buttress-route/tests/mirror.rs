//! A share of the requests is copied to a shadow, and nobody who waits for an answer notices.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

mod common;

use std::future::{Future, Ready, poll_fn, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::BoxError;
use buttress_core::attempt::Attempt;
use buttress_core::clock::ManualClock;
use buttress_core::metric::{Collect, Value};
use buttress_core::replay::Replay;
use buttress_core::rng::Rng;
use buttress_route::mirror::{Config, Mirror, MirrorHandle, MirrorLayer};
use bytes::Bytes;
use common::Tasks;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tokio_test::{assert_ready, task};
use tower_layer::Layer;
use tower_service::Service;

type Body = Replay<Full<Bytes>>;
type Answer = Result<Response<Full<Bytes>>, BoxError>;

/// What the shadow does with a copy.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Status(u16),
    Hangs,
    IsNotReady,
    Breaks,
    Panics,
    PanicsInReady,
}

#[derive(Clone)]
struct Shadow {
    does: Arc<Mutex<Does>>,
    seen: Arc<Mutex<Vec<Request<()>>>>,
}

impl Shadow {
    fn does(&self) -> Does {
        *self.does.lock().unwrap()
    }
}

impl Service<Request<Body>> for Shadow {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(self.does() != Does::PanicsInReady, "the shadow panics");
        match self.does() {
            Does::IsNotReady => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.seen.lock().unwrap().push(request.map(drop));
        let does = self.does();
        assert!(does != Does::Panics, "the shadow panics");
        Box::pin(async move {
            match does {
                Does::Status(status) => {
                    let mut response = Response::new(Full::from("thrown away"));
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok(response)
                }
                Does::Hangs => poll_fn(|_| Poll::Pending).await,
                _ => Err("broken".into()),
            }
        })
    }
}

/// What users ask: it answers at once.
#[derive(Clone)]
struct Origin;

impl Service<Request<Body>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Answer>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(Full::from("the answer"))))
    }
}

struct World {
    time: ManualClock,
    tasks: Tasks,
    shadow: Shadow,
    mirror: Mirror<Origin, Shadow>,
}

impl World {
    fn new(does: Does, configure: impl FnOnce(Config) -> Config) -> Self {
        let (time, tasks) = (ManualClock::new(), Tasks::default());
        let shadow = Shadow {
            does: Arc::new(Mutex::new(does)),
            seen: Arc::default(),
        };
        let config = Config::new("test")
            .share(1.0)
            .clock(time.clock())
            .rng(Rng::seeded(1));
        let layer = MirrorLayer::new(configure(config), shadow.clone(), tasks.spawn()).unwrap();
        Self {
            mirror: layer.layer(Origin),
            time,
            tasks,
            shadow,
        }
    }

    fn handle(&self) -> MirrorHandle {
        self.mirror.handle()
    }

    /// Asks, and has the answer before any copy is sent.
    fn ask(&mut self, method: Method, body: &'static str) {
        let request = Request::builder()
            .method(method)
            .uri("/a?b")
            .header("x-user", "7");
        let request = request.body(Replay::new(Full::from(body))).unwrap();
        let answer = assert_ready!(task::spawn(self.mirror.call(request)).poll()).unwrap();
        assert_eq!(answer.status(), 200);
    }

    fn get(&mut self, times: usize) {
        (0..times).for_each(|_| self.ask(Method::GET, ""));
    }

    fn seen(&self) -> usize {
        self.shadow.seen.lock().unwrap().len()
    }

    /// Success, failure, late, dropped.
    fn copies(&self) -> [u64; 4] {
        let snapshot = self.handle().snapshot();
        [0, 1, 2, 3].map(|result| snapshot.copies[result].1)
    }
}

#[test]
fn a_share_of_the_requests_is_copied_and_the_rest_is_not() {
    for share in [0.0, 0.3, 1.0] {
        let mut world = World::new(Does::Status(200), |config| config.share(share));
        for _ in 0..2_000 {
            world.get(1);
            world.tasks.run();
        }
        let copied = world.seen() as f64 / 2_000.0;
        assert!((copied - share).abs() < 0.05, "{copied} of {share}");
        assert_eq!(world.copies()[0], world.seen() as u64);
    }
}

#[test]
fn a_copy_is_the_request_and_says_that_it_is_one() {
    let mut world = World::new(Does::Status(200), |config| config);
    world.get(1);
    assert_eq!(world.seen(), 0, "the answer was there before it was sent");
    world.tasks.run();
    let seen = world.shadow.seen.lock().unwrap();
    assert_eq!(
        (seen[0].uri().to_string(), seen[0].method()),
        ("/a?b".to_owned(), &Method::GET)
    );
    assert_eq!(seen[0].headers()["x-user"], "7");
    assert_eq!(seen[0].extensions().get(), Some(&Attempt::copy()));
}

#[test]
fn what_does_something_has_a_body_or_is_a_handshake_is_not_copied_unless_it_is_chosen() {
    let mut world = World::new(Does::Status(200), |config| config);
    for (method, body) in [
        (Method::POST, ""),
        (Method::DELETE, ""),
        (Method::GET, "body"),
    ] {
        world.ask(method, body);
    }
    let handshake = Request::builder().header("upgrade", "websocket");
    let handshake = handshake.body(Replay::new(Full::default())).unwrap();
    assert_ready!(task::spawn(world.mirror.call(handshake)).poll()).unwrap();
    world.tasks.run();
    assert_eq!(world.seen(), 0);
    let config = world
        .handle()
        .config()
        .requests(|head| head.method != Method::GET);
    world.handle().reconfigure(config).unwrap();
    world.ask(Method::DELETE, "");
    world.ask(Method::POST, "body");
    world.get(1);
    world.tasks.run();
    assert_eq!(world.seen(), 1);
}

#[test]
fn whatever_a_shadow_does_the_user_has_the_answer_and_it_is_counted() {
    for (does, copies) in [
        (Does::Status(404), [1, 0, 0, 0]),
        (Does::Status(500), [0, 1, 0, 0]),
        (Does::Breaks, [0, 1, 0, 0]),
        (Does::Panics, [0, 1, 0, 0]),
        (Does::PanicsInReady, [0, 1, 0, 0]),
        (Does::Hangs, [0, 0, 1, 0]),
        (Does::IsNotReady, [0, 0, 1, 0]),
    ] {
        let mut world = World::new(does, |config| config.timeout(Duration::from_secs(2)));
        world.get(1);
        world.tasks.run();
        world.time.advance(Duration::from_secs(3));
        world.tasks.run();
        assert_eq!(world.copies(), copies, "{does:?}");
        assert_eq!(world.handle().snapshot().in_flight, 0, "{does:?}");
    }
}

#[test]
fn no_more_copies_are_under_way_than_there_is_room_for() {
    let mut world = World::new(Does::Hangs, |config| config.max_in_flight(3));
    world.get(10);
    world.tasks.run();
    assert_eq!((world.seen(), world.handle().snapshot().in_flight), (3, 3));
    assert_eq!(world.copies(), [0, 0, 0, 7]);
    world.time.advance(Duration::from_secs(6));
    world.tasks.run();
    world.get(1);
    world.tasks.run();
    assert_eq!(world.seen(), 4, "there is room again");
}

#[test]
fn what_cannot_be_run_is_dropped_and_counted() {
    let time = ManualClock::new();
    let config = Config::default().share(1.0).clock(time.clock());
    let shadow = World::new(Does::Status(200), |config| config).shadow;
    let nowhere = buttress_core::spawn::Spawn::new(drop).cap(0);
    let mut mirror = MirrorLayer::new(config, shadow, nowhere)
        .unwrap()
        .layer(Origin);
    let request = Request::new(Replay::new(Full::default()));
    assert_ready!(task::spawn(mirror.call(request)).poll()).unwrap();
    let snapshot = mirror.handle().snapshot();
    assert_eq!((snapshot.copies[3].1, snapshot.in_flight), (1, 0));
}

#[test]
fn copies_end_with_the_mirror() {
    let mut world = World::new(Does::Hangs, |config| config);
    world.get(2);
    world.tasks.run();
    let World { mirror, tasks, .. } = world;
    assert_eq!(tasks.live(), 2);
    drop(mirror);
    tasks.run();
    assert_eq!(tasks.live(), 0);
}

#[test]
fn whoever_chooses_and_panics_harms_its_own_request_alone() {
    let mut world = World::new(Does::Status(200), |config| {
        config.requests(|head| {
            assert!(head.uri.path() != "/bad", "who chooses panics");
            true
        })
    });
    let bad = Request::builder()
        .uri("/bad")
        .body(Replay::new(Full::default()))
        .unwrap();
    let unlucky = catch_unwind(AssertUnwindSafe(|| drop(world.mirror.call(bad))));
    assert!(unlucky.is_err());
    world.get(1);
    world.tasks.run();
    assert_eq!(world.copies(), [1, 0, 0, 0]);
}

#[test]
fn the_service_that_was_ready_is_the_one_that_is_called() {
    let probe = buttress_testing::ContractProbe::new(Origin);
    let shadow = World::new(Does::Status(200), |config| config).shadow;
    let layer = MirrorLayer::new(Config::default(), shadow, Tasks::default().spawn()).unwrap();
    let mut service = layer.layer(probe);
    for _ in 0..3 {
        let ready = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        assert!(ready.is_ready());
        let request = Request::new(Replay::new(Full::default()));
        assert_ready!(task::spawn(service.call(request)).poll()).unwrap();
    }
    assert_eq!(service.get_ref().clones(), 0);
}

#[test]
fn the_metrics_show_what_became_of_copies() {
    let mut world = World::new(Does::Status(200), |config| config);
    world.get(2);
    let mut families = Vec::new();
    world.handle().collect(&mut families);
    let names: Vec<_> = families.iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["buttress_mirror_copies", "buttress_mirror_in_flight"]
    );
    assert_eq!(families[1].points[0].value, Value::Gauge(2.0));
}

#[test]
fn its_services_and_futures_have_the_auto_traits_of_what_they_wrap() {
    const fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    const fn is_movable<T: Send + Sync + Unpin>(_: &T) {}
    let mut world = World::new(Does::Status(200), |config| config);
    is_send_and_sync(&world.mirror);
    is_send_and_sync(&world.handle());
    is_movable(
        &world
            .mirror
            .call(Request::new(Replay::new(Full::default()))),
    );
}
