//! A pool whose endpoints have breakers of their own, and heed what these say of their health.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what fails here fails a test"
)]

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use buttress::breaker::BreakerService;
use buttress::breaker::{Backoff, Breaker, Config, Rule, Settings, State};
use buttress::core::clock::ManualClock;
use buttress::core::health::HealthStatus;
use buttress::core::protocol::Http;
use buttress::route::{self, Endpoint, HealthRouter};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt, service_fn};

const OPEN_FOR: Duration = Duration::from_secs(5);

type Answers = BoxCloneSyncService<Request<()>, Response<Full<Bytes>>, Infallible>;

/// One of the pool: what it is called, how it fares, and its breaker.
struct Backend {
    broken: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    breaker: Breaker,
}

impl Backend {
    fn new(name: &str, time: &ManualClock) -> Self {
        let circuit = Settings::default()
            .open_for(Backoff::constant(OPEN_FOR))
            .ramp(None);
        let config = Config::new()
            .rules([Rule::ConsecutiveFailures(2)])
            .circuit(circuit)
            .clock(time.clock());
        Self {
            broken: Arc::default(),
            calls: Arc::default(),
            breaker: Breaker::new(name, config).unwrap(),
        }
    }

    fn endpoint(&self) -> Endpoint<BreakerService<Answers, Http>> {
        let (broken, calls) = (Arc::clone(&self.broken), Arc::clone(&self.calls));
        let answers = service_fn(move |_: Request<()>| {
            calls.fetch_add(1, Ordering::Relaxed);
            let mut response = Response::new(Full::default());
            if broken.load(Ordering::Relaxed) {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            std::future::ready(Ok(response))
        });
        let guarded = self
            .breaker
            .layer()
            .layer(BoxCloneSyncService::new(answers));
        let signal = self.breaker.handle().health();
        Endpoint::new(&**self.breaker.name(), guarded).signal(signal)
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn an_endpoint_whose_breaker_opened_has_traffic_again_after_the_open_time() {
    let time = ManualClock::new();
    let [sick, well] = ["sick", "well"].map(|name| Backend::new(name, &time));
    // The pool's own rules stay out of it: the word of the breaker is all it goes by.
    let config = route::Config::new("pool")
        .rules(route::Rules::none())
        .clock(time.clock());
    let mut router = HealthRouter::new(config, [sick.endpoint(), well.endpoint()]).unwrap();
    let mut send = async |requests: u32| {
        for _ in 0..requests {
            time.advance(Duration::from_millis(5));
            let response = router.ready().await.unwrap().call(Request::new(()));
            response.await.unwrap().into_body().collect().await.unwrap();
        }
    };
    sick.broken.store(true, Ordering::Relaxed);
    send(100).await;
    let health = sick.breaker.handle().health();
    assert_eq!(health.status(), HealthStatus::Unhealthy);
    assert_eq!(sick.calls(), 2);
    sick.broken.store(false, Ordering::Relaxed);
    send(100).await;
    assert_eq!(sick.calls(), 2, "the pool leaves it alone");
    time.advance(OPEN_FOR);
    send(400).await;
    assert_eq!(sick.breaker.state(), State::Closed);
    assert_eq!(health.status(), HealthStatus::Healthy);
    assert!(sick.calls() > 4, "{}", sick.calls());
    assert!(well.calls() > 4);
}
