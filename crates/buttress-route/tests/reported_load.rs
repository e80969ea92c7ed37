//! What endpoints say of their own load: who is busier gets less, a liar gains next to nothing, and what is old counts
//! for nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::rng::Rng;
use buttress_route::load::{
    ENDPOINT_LOAD_METRICS, ENDPOINT_LOAD_METRICS_BIN, EXPIRY, LoadReporter, ReportLoad,
    ReportLoadLayer,
};
use buttress_route::{Config, Endpoint, EndpointSnapshot, HealthRouter, Policy};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tokio_test::{assert_ready_ok, task};
use tower_layer::Layer;
use tower_service::Service;

/// Answers at once, with whatever header it is told to send.
#[derive(Clone, Debug, Default)]
struct Origin(Arc<Mutex<Option<HeaderValue>>>);

impl Service<Request<()>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(Full::default());
        if let Some(says) = self.0.lock().unwrap().clone() {
            response.headers_mut().insert(&ENDPOINT_LOAD_METRICS, says);
        }
        ready(Ok(response))
    }
}

type Server = ReportLoad<Origin>;

/// A pool whose endpoints report what they are told to.
struct World {
    time: ManualClock,
    origins: Vec<Origin>,
    reporters: Vec<LoadReporter>,
    router: HealthRouter<Server>,
}

impl World {
    fn new(endpoints: usize, config: impl FnOnce(Config) -> Config) -> Self {
        let time = ManualClock::new();
        let origins = vec![(); endpoints];
        let origins: Vec<_> = origins.iter().map(|()| Origin::default()).collect();
        let reporters: Vec<_> = origins.iter().map(|_| LoadReporter::new()).collect();
        let servers = origins.iter().zip(&reporters).enumerate();
        let servers = servers.map(|(index, (origin, reporter))| {
            let server = ReportLoadLayer::new(reporter.clone()).layer(origin.clone());
            Endpoint::new(index.to_string(), server)
        });
        let set = Config::new("p").clock(time.clock()).rng(Rng::seeded(3));
        let router = HealthRouter::new(config(set), servers).unwrap();
        Self {
            time,
            origins,
            reporters,
            router,
        }
    }

    /// A pool that heeds what these utilisations say, once they are known.
    fn saying(utilizations: &[f64]) -> Self {
        let mut world = Self::new(utilizations.len(), heeding);
        world.say(utilizations);
        world.load(500);
        world
    }

    fn say(&self, utilizations: &[f64]) {
        for (reporter, utilization) in self.reporters.iter().zip(utilizations) {
            reporter.set_application_utilization(*utilization);
        }
    }

    /// As many requests, one each millisecond; the share that each endpoint took.
    fn load(&mut self, requests: u64) -> Vec<f64> {
        let before = self.picks();
        for _ in 0..requests {
            let mut call = task::spawn(self.router.call(Request::new(())));
            drop(assert_ready_ok!(call.poll()));
            self.time.advance(Duration::from_millis(1));
        }
        let after = self.picks();
        let taken = before
            .iter()
            .zip(after)
            .map(|(before, after)| after - before);
        taken.map(|it| it as f64 / requests as f64).collect()
    }

    fn picks(&self) -> Vec<u64> {
        let pool = self.router.handle().snapshot();
        pool.endpoints.iter().map(|it| it.picks).collect()
    }

    fn shown(&self, index: usize) -> EndpointSnapshot {
        self.router.handle().snapshot().endpoints[index].clone()
    }
}

fn heeding(config: Config) -> Config {
    config.reported_load(Some(EXPIRY))
}

/// Whether a share is as expected, of some thousands of requests.
fn about(share: f64, expected: f64) -> bool {
    (share - expected).abs() < 0.03
}

#[test]
fn who_says_it_is_busier_than_its_peers_gets_less_and_not_nothing() {
    let mut world = World::saying(&[0.9, 0.4, 0.4, 0.4]);
    let shares = world.load(8_000);
    // Two thirds of its requests are its own, and the rest is shared.
    assert!(about(shares[0], 2.0 / 3.0 / 4.0), "{shares:?}");
    assert!(shares[1..].iter().all(|it| about(*it, 0.278)), "{shares:?}");
    let shown = world.shown(0);
    assert!((shown.given - 2.0 / 3.0).abs() < 1e-6);
    assert!((shown.reported.unwrap().utilization - 0.9).abs() < 1e-9);
    assert!((world.shown(1).given - 1.0).abs() < 1e-9);

    world.say(&[0.4; 4]);
    world.load(500);
    assert!(about(world.load(8_000)[0], 0.25), "and back");
}

#[test]
fn whatever_picks_heeds_it_but_for_a_key() {
    for policy in [
        Policy::RoundRobin,
        Policy::Random,
        Policy::WeightedRandom,
        Policy::LeastRequest,
        Policy::PeakEwma,
    ] {
        let mut world = World::new(4, |config| heeding(config).policy(policy.clone()));
        world.say(&[0.9, 0.4, 0.4, 0.4]);
        world.load(500);
        let share = world.load(8_000)[0];
        assert!(share < 0.215, "{policy:?}: {share}");
        assert!(share > 0.1, "{policy:?}: {share}");
    }
}

#[test]
fn a_grpc_answer_may_say_it_in_its_trailers() {
    let answer = |_: Request<()>| {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        // 0.3 of the CPU.
        let report = HeaderValue::from_static("CTMzMzMzM9M/");
        trailers.insert(&ENDPOINT_LOAD_METRICS_BIN, report);
        let body = Full::<Bytes>::from("message").with_trailers(ready(Some(Ok(trailers))));
        let mut response = Response::new(body);
        let grpc = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(CONTENT_TYPE, grpc);
        ready(Ok::<_, Infallible>(response))
    };
    for (heeds, expected) in [(true, Some(0.3)), (false, None)] {
        let config = Config::new("p").reported_load(heeds.then_some(EXPIRY));
        let server = [Endpoint::new("a", tower::service_fn(answer))];
        let mut router = HealthRouter::new(config, server).unwrap();
        let mut call = task::spawn(router.call(Request::new(())));
        let body = assert_ready_ok!(call.poll()).into_body();
        let reported = || {
            let shown = router.handle().snapshot().endpoints[0].reported;
            shown.map(|it| it.utilization)
        };
        assert_eq!(reported(), None, "not before it is said");
        assert_ready_ok!(task::spawn(body.collect()).poll());
        assert_eq!(reported(), expected);
    }
}

#[test]
fn in_a_large_pool_it_is_heeded_as_well() {
    let mut says = vec![0.4; 40];
    says[7] = 1.9;
    let mut world = World::saying(&says);
    world.load(5_000);
    let shares = world.load(20_000);
    let given = 1.0 / 2.5;
    assert!((shares[7] - given / 40.0).abs() < 0.005, "{}", shares[7]);
}

#[test]
fn without_the_setting_nothing_is_read() {
    let mut world = World::new(4, |config| config);
    world.say(&[0.9, f64::NAN, 0.4, 0.4]);
    *world.origins[1].0.lock().unwrap() = Some(HeaderValue::from_static("nonsense"));
    world.load(500);
    assert!(about(world.load(8_000)[0], 0.25));
    assert_eq!(world.shown(0).reported, None);
    assert!((0..4).all(|it| world.shown(it).reports_ignored == 0));
}

#[test]
fn a_report_counts_until_it_is_old() {
    let mut world = World::saying(&[1.5, 0.1, 0.1, 0.1]);
    assert!(world.shown(0).given < 0.5);
    let age = world.shown(0).reported.unwrap().age;
    let left = EXPIRY.saturating_sub(age);
    world
        .time
        .advance(left.saturating_sub(Duration::from_millis(1)));
    assert!(world.shown(0).reported.is_some());
    world.time.advance(Duration::from_millis(1));
    assert_eq!(world.shown(0).reported, None);
    // It goes on without a word.
    world.say(&[f64::NAN; 4]);
    world.load(100);
    assert!((world.shown(0).given - 1.0).abs() < 1e-9);
    assert!(about(world.load(8_000)[0], 0.25));
}

#[test]
fn whether_it_is_heeded_can_be_changed_while_it_serves() {
    let mut world = World::saying(&[1.5, 0.1, 0.1, 0.1]);
    let handle = world.router.handle();
    assert!(world.shown(0).given < 0.5);
    handle
        .reconfigure(handle.config().reported_load(None))
        .unwrap();
    world.load(100);
    assert!((world.shown(0).given - 1.0).abs() < 1e-9);
    assert!(about(world.load(8_000)[0], 0.25));
    handle.reconfigure(heeding(handle.config())).unwrap();
    world.load(500);
    assert!(world.shown(0).given < 0.5);
}

#[test]
fn who_claims_to_be_idle_gains_nothing_among_honest_ones() {
    let mut world = World::saying(&[0.0, 0.6, 0.6, 0.6, 0.6]);
    let shares = world.load(10_000);
    assert!(about(shares[0], 0.2), "{shares:?}");
}

#[test]
fn of_two_the_one_that_claims_to_be_idle_takes_little_from_the_other() {
    let mut world = World::saying(&[0.0, 0.6]);
    let shares = world.load(10_000);
    assert!(shares[0] < 0.67, "{shares:?}");
}

#[test]
fn whom_no_peer_reports_beside_is_given_all() {
    let mut world = World::new(3, heeding);
    world.reporters[0].set_cpu_utilization(50.0);
    world.load(500);
    assert!(about(world.load(8_000)[0], 1.0 / 3.0));
}

#[test]
fn nonsense_is_counted_and_changes_nothing() {
    let mut world = World::new(3, heeding);
    let nonsense = [
        "TEXT application_utilization=NaN",
        "TEXT application_utilization=-1",
        "TEXT application_utilization=1e300",
        "BIN CAE=",
        "JSON {",
    ];
    for says in nonsense {
        *world.origins[0].0.lock().unwrap() = Some(HeaderValue::from_static(says));
        world.load(300);
    }
    let shown = world.shown(0);
    assert_eq!(shown.reports_ignored, shown.picks);
    assert_eq!((shown.reported, world.shown(1).reports_ignored), (None, 0));
    assert!(about(world.load(6_000)[0], 1.0 / 3.0));
}

#[test]
fn a_report_in_json_counts_as_well() {
    let mut world = World::new(4, heeding);
    world.say(&[f64::NAN, 0.4, 0.4, 0.4]);
    let says = HeaderValue::from_static("JSON {\"cpuUtilization\": 0.9}");
    *world.origins[0].0.lock().unwrap() = Some(says);
    world.load(500);
    assert!((world.shown(0).given - 2.0 / 3.0).abs() < 1e-6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever all of them say, nobody has less than a quarter of what it is due, or more than four times that.
    #[test]
    fn whatever_is_said_everybody_is_given_at_least_a_quarter(
        says in proptest::collection::vec(prop_oneof![0.0..2.0_f64, 0.0..100.0_f64, Just(0.0)], 2..8),
    ) {
        let world = World::saying(&says);
        for index in 0..says.len() {
            let given = world.shown(index).given;
            prop_assert!((0.25..=1.0).contains(&given), "{given}");
        }
        let most = (0..says.len()).map(|it| world.shown(it).given).fold(0.0, f64::max);
        prop_assert!(most > 0.99, "somebody is no busier than the middle");
    }
}
