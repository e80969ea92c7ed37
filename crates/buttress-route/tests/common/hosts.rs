//! Hosts whose answers are drawn one by one, behind a router with copies or without, on a manual clock.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::classify::HttpStatus;
use buttress_core::clock::{Clock, Instant, ManualClock};
use buttress_core::health::HealthSignal;
use buttress_core::rng::Rng;
use buttress_route::{ByCopies, Config, Endpoint, HealthRouter, PoolSnapshot, RouterHandle};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio_test::task::{self, Spawn};
use tower_service::Service;

use super::Tasks;

/// Users leave after so long.
const PATIENCE: Duration = Duration::from_secs(2);
/// What most answers take.
const USUAL: Duration = Duration::from_millis(10);

/// What a host does with requests from now on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Does {
    /// As all do.
    Well,
    /// So many times as long.
    Slow(u32),
    /// One in so many takes twenty times as long.
    Heavy(usize),
    /// One in so many fails at once.
    Fails(usize),
    Limits,
    Hangs,
}

#[derive(Clone)]
pub struct Host {
    /// What others say of it.
    pub signal: HealthSignal,
    does: Arc<Mutex<Does>>,
    rng: Rng,
    clock: Clock,
}

impl Host {
    pub fn set(&self, does: Does) {
        *self.does.lock().unwrap() = does;
    }

    /// Status, and after how long; `None` is never.
    fn answer(&self) -> Option<(u16, Duration)> {
        let usual = USUAL.mul_f64(0.8 + 0.4 * self.rng.unit());
        let is_one_in = |many: usize| self.rng.below(many) == 0;
        match *self.does.lock().unwrap() {
            Does::Slow(times) => Some((200, usual * times)),
            Does::Heavy(many) if is_one_in(many) => Some((200, usual * 20)),
            Does::Fails(many) if is_one_in(many) => Some((500, Duration::from_millis(1))),
            Does::Limits => Some((429, Duration::from_millis(1))),
            Does::Hangs => None,
            _ => Some((200, usual)),
        }
    }
}

impl Service<Request<()>> for Host {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        let (answer, clock) = (self.answer(), self.clock.clone());
        Box::pin(async move {
            let Some((status, after)) = answer else {
                return std::future::pending().await;
            };
            clock.sleep(after).await;
            let mut response = Response::new(Full::default());
            *response.status_mut() = status.try_into().unwrap();
            Ok(response)
        })
    }
}

/// Some router of them.
enum Asked {
    ByUsers(HealthRouter<Host>),
    ByCopies(HealthRouter<Host, HttpStatus, ByCopies>),
}

type Call = Spawn<Pin<Box<dyn Future<Output = ()> + Send>>>;

/// A pool of hosts, and its users.
pub struct Hosts {
    pub time: ManualClock,
    pub all: Vec<Host>,
    pub handle: RouterHandle<Host>,
    router: Asked,
    tasks: Tasks,
    calls: Vec<(Instant, Call)>,
}

impl Hosts {
    /// All of which do the same.
    pub fn new(
        hosts: usize,
        does: Does,
        copies: bool,
        configure: impl FnOnce(Config) -> Config,
    ) -> Self {
        let (time, tasks) = (ManualClock::new(), Tasks::default());
        let rng = Rng::seeded(23);
        let host = |_| Host {
            signal: HealthSignal::new(),
            does: Arc::new(Mutex::new(does)),
            rng: rng.clone(),
            clock: time.clock(),
        };
        let hosts: Vec<Host> = (0..hosts).map(host).collect();
        let endpoints = hosts.iter().enumerate().map(|(nth, host)| {
            let endpoint = Endpoint::new(nth.to_string(), host.clone());
            endpoint.signal(host.signal.clone())
        });
        let config = Config::new("hosts")
            .clock(time.clock())
            .rng(Rng::seeded(17));
        let config = if copies { config.hedged() } else { config };
        let router = HealthRouter::new(configure(config), endpoints).unwrap();
        let handle = router.handle();
        let router = if copies {
            Asked::ByCopies(router.hedged(tasks.spawn()))
        } else {
            Asked::ByUsers(router)
        };
        let calls = Vec::new();
        Self {
            time,
            all: hosts,
            handle,
            router,
            tasks,
            calls,
        }
    }

    /// Lets time pass in steps of a millisecond, with a request each `every` of them; after each step `look` looks.
    pub fn load(&mut self, duration: Duration, every: u32, mut look: impl FnMut(&Self)) {
        for millis in 0..u32::try_from(duration.as_millis()).unwrap() {
            if millis % every == 0 {
                self.start();
            }
            self.poll();
            self.time.advance(Duration::from_millis(1));
            self.poll();
            look(self);
        }
    }

    pub fn shown(&self) -> PoolSnapshot {
        self.handle.snapshot()
    }

    fn start(&mut self) {
        let request = Request::new(());
        let call: Pin<Box<dyn Future<Output = ()> + Send>> = match &mut self.router {
            Asked::ByUsers(router) => {
                let call = router.call(request);
                Box::pin(async move { drop(call.await) })
            }
            Asked::ByCopies(router) => {
                let call = router.call(request);
                Box::pin(async move { drop(call.await) })
            }
        };
        self.calls.push((self.time.now(), task::spawn(call)));
    }

    fn poll(&mut self) {
        let now = self.time.now();
        self.calls.retain_mut(|(since, call)| {
            call.poll().is_pending() && now.saturating_since(*since) < PATIENCE
        });
        self.tasks.run();
    }
}
