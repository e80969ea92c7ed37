//! The real thing: `HealthRouter`, alone or under a breaker.

use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use buttress_breaker::Breaker;
use buttress_core::clock::{Clock, Instant};
use buttress_core::rng::Rng;
use buttress_route::{Config, Endpoint, HealthRouter, RouterHandle};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::reached::{Calls, Desk, Reached};
use super::{End, Router, View};

/// A router made of `S`, whose endpoints speak through `desk`.
struct Buttress<S: Service<Request<()>>> {
    stack: S,
    handle: RouterHandle<Reached>,
    desk: Desk,
    calls: Calls<S::Future>,
}

/// The router alone.
pub(super) fn bare(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let (router, desk) = router(members, clock, rng);
    let handle = router.handle();
    Box::new(Buttress {
        stack: router,
        handle,
        desk,
        calls: Calls::new(),
    })
}

/// The router under the route's breaker.
pub(super) fn guarded(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let (router, desk) = router(members, clock, rng.clone());
    let handle = router.handle();
    let config = buttress_breaker::Config::for_http_upstream();
    let config = config.clock(clock.clone()).rng(rng);
    let breaker = Breaker::new("pool", config);
    #[expect(clippy::expect_used, reason = "a preset makes sense")]
    let breaker = breaker.expect("a breaker of a preset");
    let stack = breaker.layer().layer(router);
    Box::new(Buttress {
        stack,
        handle,
        desk,
        calls: Calls::new(),
    })
}

fn router(members: &[usize], clock: &Clock, rng: Rng) -> (HealthRouter<Reached>, Desk) {
    let desk = Desk::default();
    let config = Config::new("pool").clock(clock.clone()).rng(rng);
    let router = HealthRouter::new(config, endpoints(members, &desk));
    #[expect(
        clippy::expect_used,
        reason = "the defaults make sense, and indices differ"
    )]
    (router.expect("a pool of the defaults"), desk)
}

fn endpoints(members: &[usize], desk: &Desk) -> Vec<Endpoint<Reached>> {
    let endpoint = |&host: &usize| {
        let desk = Rc::clone(desk);
        Endpoint::new(format!("host-{host}"), Reached { host, desk })
    };
    members.iter().map(endpoint).collect()
}

impl<S: Service<Request<()>>> Router for Buttress<S> {
    fn send(&mut self, call: usize, _: View<'_>) -> Option<usize> {
        let _ = self
            .stack
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        let future = self.stack.call(Request::new(()));
        self.calls.begin(call, future, &self.desk)
    }

    fn ended(&mut self, call: usize, _: usize, end: End, _: Duration, _: Instant) {
        self.calls.end(call, end);
    }

    fn members(&mut self, members: &[usize], _: Instant) {
        let updated = self.handle.update(endpoints(members, &self.desk));
        debug_assert!(updated.is_ok(), "indices differ");
    }

    fn ejections(&self) -> u64 {
        let pool = self.handle.snapshot();
        let of_each = pool.endpoints.iter().flat_map(|it| &it.ejections);
        of_each.map(|(_, times)| times).sum()
    }
}
