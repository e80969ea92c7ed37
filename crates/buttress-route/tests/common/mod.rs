//! Backends on a manual clock, and a load on a router of them.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    missing_debug_implementations,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

mod aimed;
mod hosts;
mod policies;
mod tasks;
mod transitions;

pub use aimed::{Aimed, outcome};
pub use hosts::{Does, Hosts};
pub use policies::{HASH, policies};
pub use tasks::Tasks;
pub use transitions::{TRANSITIONS, Transition};

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::clock::{Clock, ManualClock};
use buttress_core::health::HealthSignal;
use buttress_core::outcome::TransportFailure;
use buttress_core::rng::Rng;
use buttress_route::{Config, Endpoint, HealthRouter, Picked, ResponseFuture, RouterHandle};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio_test::task::{self, Spawn};
use tower_service::Service;

/// What a backend does with requests from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Status(u16, Duration),
    Refuse,
    Hang,
    NotReady,
    PanicInCall,
    PanicInPoll,
    PanicInClone,
}

pub const fn ok_after(ms: u64) -> Mode {
    Mode::Status(200, Duration::from_millis(ms))
}

pub const fn fails_after(ms: u64) -> Mode {
    Mode::Status(500, Duration::from_millis(ms))
}

#[derive(Debug)]
pub struct Backend {
    /// What others say of it.
    pub signal: HealthSignal,
    mode: Arc<Mutex<Mode>>,
    calls: Arc<Mutex<u64>>,
    clock: Clock,
}

impl Clone for Backend {
    fn clone(&self) -> Self {
        assert!(
            self.mode() != Mode::PanicInClone,
            "the backend panics in clone"
        );
        Self {
            signal: self.signal.clone(),
            mode: Arc::clone(&self.mode),
            calls: Arc::clone(&self.calls),
            clock: self.clock.clone(),
        }
    }
}

impl Backend {
    pub fn new(time: &ManualClock, mode: Mode) -> Self {
        Self {
            signal: HealthSignal::new(),
            mode: Arc::new(Mutex::new(mode)),
            calls: Arc::default(),
            clock: time.clock(),
        }
    }

    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    pub fn calls(&self) -> u64 {
        *self.calls.lock().unwrap()
    }

    fn mode(&self) -> Mode {
        *self.mode.lock().unwrap()
    }
}

type Answer = Result<Response<Full<Bytes>>, TransportFailure>;

impl Service<Request<()>> for Backend {
    type Response = Response<Full<Bytes>>;
    type Error = TransportFailure;
    type Future = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportFailure>> {
        match self.mode() {
            Mode::NotReady => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        *self.calls.lock().unwrap() += 1;
        let (mode, clock) = (self.mode(), self.clock.clone());
        assert!(mode != Mode::PanicInCall, "the backend panics in call");
        Box::pin(async move {
            match mode {
                Mode::Status(status, latency) => {
                    if !latency.is_zero() {
                        clock.sleep(latency).await;
                    }
                    let mut response = Response::new(Full::default());
                    *response.status_mut() = StatusCode::from_u16(status).unwrap();
                    Ok(response)
                }
                Mode::Refuse => Err(TransportFailure::new()),
                Mode::PanicInPoll => panic!("the backend panics in poll"),
                _ => std::future::pending().await,
            }
        })
    }
}

pub type Router = HealthRouter<Backend>;
type Exchange = ResponseFuture<Backend, (), buttress_core::classify::HttpStatus>;

/// A router over backends named `0`, `1` …, on a manual clock.
pub struct World {
    pub time: ManualClock,
    pub backends: Vec<Backend>,
    pub router: Router,
    in_flight: Vec<Spawn<Exchange>>,
}

/// How requests ended: by endpoint, good and bad.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    pub ok: BTreeMap<String, u64>,
    pub bad: BTreeMap<String, u64>,
    pub rejected: u64,
    pub errors: u64,
}

impl Ended {
    pub fn total_ok(&self) -> u64 {
        self.ok.values().sum()
    }

    pub fn total_bad(&self) -> u64 {
        self.bad.values().sum::<u64>() + self.rejected + self.errors
    }

    pub fn share(&self, id: &str) -> f64 {
        let of = |counts: &BTreeMap<String, u64>| counts.get(id).copied().unwrap_or(0);
        let all = self.total_ok() + self.bad.values().sum::<u64>();
        (of(&self.ok) + of(&self.bad)) as f64 / all.max(1) as f64
    }

    fn count(&mut self, answer: Result<Response<impl Sized>, TransportFailure>) {
        let Ok(response) = answer else {
            self.errors += 1;
            return;
        };
        let Some(Picked { endpoint: id, .. }) = response.extensions().get() else {
            self.rejected += 1;
            return;
        };
        let side = if response.status().is_success() {
            &mut self.ok
        } else {
            &mut self.bad
        };
        *side.entry(id.to_string()).or_default() += 1;
    }
}

pub fn request() -> Request<()> {
    Request::new(())
}

impl World {
    pub fn new(modes: &[Mode]) -> Self {
        Self::with(modes, |config| config)
    }

    pub fn with(modes: &[Mode], configure: impl FnOnce(Config) -> Config) -> Self {
        let time = ManualClock::new();
        let backends: Vec<_> = modes
            .iter()
            .map(|mode| Backend::new(&time, *mode))
            .collect();
        let endpoints = backends.iter().enumerate().map(endpoint);
        let config = Config::new("test")
            .picked(true)
            .clock(time.clock())
            .rng(Rng::seeded(11));
        let router = HealthRouter::new(configure(config), endpoints).unwrap();
        Self {
            time,
            backends,
            router,
            in_flight: Vec::new(),
        }
    }

    pub fn handle(&self) -> RouterHandle<Backend> {
        self.router.handle()
    }

    /// Starts a request; it goes on with [`World::pass`].
    pub fn start(&mut self) {
        self.in_flight
            .push(task::spawn(self.router.call(request())));
    }

    /// Drops every request in flight.
    pub fn cancel_all(&mut self) {
        self.in_flight.clear();
    }

    /// Polls what is in flight until time has to pass.
    pub fn poll(&mut self, ended: &mut Ended) {
        self.in_flight.retain_mut(|exchange| match exchange.poll() {
            Poll::Ready(answer) => {
                ended.count(answer);
                false
            }
            Poll::Pending => true,
        });
    }

    /// Lets time pass in steps of a millisecond, with no new request.
    pub fn pass(&mut self, duration: Duration) -> Ended {
        self.load(0, duration)
    }

    /// Lets time pass, with as many new requests each millisecond.
    pub fn load(&mut self, each_ms: u32, duration: Duration) -> Ended {
        let mut ended = Ended::default();
        for _ in 0..duration.as_millis() {
            for _ in 0..each_ms {
                self.start();
            }
            self.poll(&mut ended);
            self.time.advance(Duration::from_millis(1));
            self.poll(&mut ended);
        }
        ended
    }

    /// Some requests that end without time passing, beside whatever else is in flight.
    pub fn one_by_one_detached(&mut self, requests: u32) -> Ended {
        let mut ended = Ended::default();
        for _ in 0..requests {
            self.start();
            self.poll(&mut ended);
        }
        ended
    }

    /// One request after another, each to its end.
    pub fn one_by_one(&mut self, requests: u32) -> Ended {
        let mut ended = Ended::default();
        for _ in 0..requests {
            self.start();
            self.poll(&mut ended);
            while !self.in_flight.is_empty() {
                self.time.advance(Duration::from_millis(1));
                self.poll(&mut ended);
            }
        }
        ended
    }
}

pub fn endpoint((index, backend): (usize, &Backend)) -> Endpoint<Backend> {
    Endpoint::new(index.to_string(), backend.clone()).signal(backend.signal.clone())
}
