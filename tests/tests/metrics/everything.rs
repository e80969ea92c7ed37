//! A gateway with all rooms on its page, and everything in them that can be.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress::breaker::{self, KeyedBreaker, KeyedConfig};
use buttress::core::clock::ManualClock;
use buttress::core::outcome::Outcome;
use buttress::core::spawn::Spawn;
use buttress::latency::{Config, LatencyHandle, LatencyLayer, Objective};
use buttress::route::check::{CheckFailed, CheckFn, Checks};
use buttress::route::discover::{Discovery, Node, WatchedFile};
use buttress::route::mirror::{self, MirrorHandle, MirrorLayer};
use buttress::route::split::{self, SplitHandle, SplitLayer};
use buttress::route::{self, Endpoint, HealthRouter, RouterHandle};
use buttress::telemetry::audit::{self, Audit};
use buttress::telemetry::{self, Metrics, MetricsPush};
use buttress_testing::{Behaviour, FakeUpstream};
use buttress_tests::{Stand, until};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};

/// Its answers are long-lived.
const STREAMS: &str = "10.0.0.2:80";

/// The text page of everything.
pub(crate) async fn page() -> String {
    let upstream = FakeUpstream::start().await;
    let failing = FakeUpstream::start().await;
    failing.set(Behaviour::Status(StatusCode::INTERNAL_SERVER_ERROR));
    let endpoints = [upstream.addr(), failing.addr()];
    let upgrades = "upgrade = [\"websocket\"]";
    let stand = Stand::usual(&Stand::one_route(&endpoints, "", upgrades)).await;
    for _ in 0..20 {
        stand.client().get("/").await;
    }
    let breaker = &stand.rooms.routes[0].breaker;
    breaker.force_open();
    stand.client().get("/").await;
    breaker.release();
    others(&stand.sources).await;
    stand.page("/metrics").await.text()
}

/// The text page of a gateway that nobody has asked for anything.
pub(crate) async fn newborn() -> String {
    let upstream = FakeUpstream::start().await;
    let stand = Stand::usual(&Stand::one_route(&[upstream.addr()], "", "")).await;
    stand.page("/metrics").await.text()
}

/// What the gateway has no room for, or does not switch on.
async fn others(metrics: &Metrics) {
    let time = ManualClock::new();
    metrics.register(Arc::new(server(&time).await));
    metrics.register(Arc::new(client(&time).await));
    metrics.register(Arc::new(calls(&time).await));
    metrics.register(Arc::new(keyed().handle()));
    metrics.register(Arc::new(split()));
    metrics.register(Arc::new(mirrored()));
    metrics.register(Arc::new(discovered()));
    metrics.register(Arc::new(checked().await));
    let (_, guard) = telemetry::Config::new("everything")
        .writer(io::sink)
        .otlp("http://127.0.0.1:1")
        .push(MetricsPush::new("http://127.0.0.1:1", Metrics::new()))
        .build()
        .unwrap();
    metrics.register(Arc::new(guard.handle()));
    metrics.register(Arc::new(audited()));
}

/// A canary beside what it is to replace.
fn split() -> SplitHandle {
    let nothing = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let layer = SplitLayer::new(split::Config::new("everything"), nothing).unwrap();
    layer.handle()
}

/// A shadow that nobody has asked for anything.
fn mirrored() -> MirrorHandle {
    let nothing = tower::service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
    let spawn = Spawn::current().unwrap();
    let layer = MirrorLayer::new(mirror::Config::new("everything"), nothing, spawn).unwrap();
    layer.handle()
}

/// Records in a file that is gone at once.
fn audited() -> Audit {
    let name = format!("buttress-tests-{}-everything.jsonl", std::process::id());
    let path = std::env::temp_dir().join(name);
    let audit = Audit::open(audit::Config::new(&path)).unwrap();
    std::fs::remove_file(path).unwrap();
    audit
}

fn recording(time: &ManualClock) -> Config {
    let config = Config::new().clock(time.clock());
    config.response_body_sizes(true).streaming(STREAMS)
}

/// With an objective that will be missed before long.
async fn server(time: &ManualClock) -> LatencyHandle {
    let objective = Objective::new().latency(Duration::from_millis(250), 0.95);
    let config = recording(time).objective("rising", objective.availability(0.9));
    let handle = LatencyHandle::new(config).unwrap();
    exchanges(&handle, time).await;
    for second in 0..600 {
        let duration = Duration::from_micros(100_000 + 200 * second);
        for _ in 0..20 {
            handle.record("rising", Outcome::Success, time.now(), duration);
        }
        time.advance(Duration::from_secs(1));
    }
    exchanges(&handle, time).await;
    handle
}

async fn client(time: &ManualClock) -> LatencyHandle {
    let handle = LatencyHandle::new(recording(time).client("shop")).unwrap();
    exchanges(&handle, time).await;
    handle
}

/// Of an endpoint and a route, well and badly ended, with bodies, waits and streams.
async fn exchanges(handle: &LatencyHandle, time: &ManualClock) {
    for route in ["10.0.0.1:80", STREAMS] {
        let layer = LatencyLayer::new(handle.clone()).route(route);
        for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
            for nth in 0..30 {
                let layer = layer.clone().request_body_sizes();
                // The first answer breaks off.
                let most = if nth == 0 { 1 } else { 1_000 };
                let service = layer.layer(Late::new(time, answering(time, status, most)));
                let request = Request::new(Full::new(Bytes::from_static(b"asked")));
                let response = service.oneshot(request).await.unwrap();
                let read = response.into_body().collect().await;
                assert_eq!(read.is_ok(), nth > 0);
            }
        }
    }
}

/// Reads the request, takes its time, and answers with so many bytes at most.
fn answering<B>(
    time: &ManualClock,
    status: StatusCode,
    most: usize,
) -> impl Service<Request<B>, Response = Response<Limited<Full<Bytes>>>, Error = Infallible>
+ Clone
+ use<B>
where
    B: http_body::Body<Error = Infallible>,
{
    let time = time.clone();
    tower::service_fn(move |request: Request<B>| {
        let time = time.clone();
        async move {
            request.into_body().collect().await.unwrap();
            time.advance(Duration::from_millis(5));
            let response = Response::builder().status(status);
            let body = Full::new(Bytes::from_static(b"answered"));
            Ok(response.body(Limited::new(body, most)).unwrap())
        }
    })
}

/// Lookups that find nothing.
async fn calls(time: &ManualClock) -> LatencyHandle {
    let handle = LatencyHandle::new(recording(time)).unwrap();
    let layer = LatencyLayer::plain(handle.clone()).route("lookup");
    for _ in 0..30 {
        let clock = time.clone();
        let lookup = tower::service_fn(move |()| {
            clock.advance(Duration::from_millis(3));
            std::future::ready(Err::<(), _>("no such row"))
        });
        let service = layer.layer(Late::new(time, lookup));
        service.oneshot(()).await.unwrap_err();
    }
    handle
}

/// Is ready only when it is asked a second time.
#[derive(Clone)]
struct Late<S> {
    time: ManualClock,
    asked: bool,
    inner: S,
}

impl<S> Late<S> {
    fn new(time: &ManualClock, inner: S) -> Self {
        Self {
            time: time.clone(),
            asked: false,
            inner,
        }
    }
}

impl<R, S: Service<R>> Service<R> for Late<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if std::mem::replace(&mut self.asked, true) {
            self.time.advance(Duration::from_millis(2));
            return self.inner.poll_ready(cx);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, request: R) -> S::Future {
        self.inner.call(request)
    }
}

/// Two keys, one of which has series of its own; both have been opened by hand.
fn keyed() -> KeyedBreaker<u32> {
    let config = KeyedConfig::default().series(1);
    let breakers = KeyedBreaker::new("tenant", config.breaker(breaker::Config::default())).unwrap();
    for key in [1, 2] {
        breakers.get(key).handle().force_open();
        breakers.get(key).handle().release();
    }
    breakers.handle().overflow().force_open();
    breakers.handle().overflow().release();
    breakers
}

type Upstream = BoxCloneSyncService<Request<()>, Response<Full<Bytes>>, Infallible>;

fn nobody() -> Upstream {
    let empty = |_| std::future::ready(Ok(Response::new(Full::default())));
    BoxCloneSyncService::new(tower::service_fn(empty))
}

/// A pool whose endpoints come from a file that is not there.
fn discovered() -> Discovery {
    let router = HealthRouter::<Upstream>::new(route::Config::new("discovered"), []).unwrap();
    let file = WatchedFile::new("/there/is/no/such/file");
    let make = |node: &Node| node.endpoint(nobody());
    let spawn = Spawn::current().unwrap();
    router.handle().discover(file, make, &spawn).unwrap()
}

/// A pool whose endpoint is asked how it is.
async fn checked() -> RouterHandle<Upstream> {
    let endpoint = Endpoint::new("10.0.0.2:80", nobody());
    let router = HealthRouter::new(route::Config::new("checked"), [endpoint]).unwrap();
    let handle = router.handle();
    let ping = |_, _: Upstream| std::future::ready(Err(CheckFailed::new("no pong")));
    let spawn = Spawn::current().unwrap();
    let checks = Checks::default();
    handle
        .check(CheckFn::new("ping", ping), checks, &spawn)
        .unwrap();
    let asked = || !handle.snapshot().endpoints[0].checks.is_empty();
    until("a check", asked).await;
    handle
}
