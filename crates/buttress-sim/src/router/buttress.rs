//! The real thing: `HealthRouter` as in the gateway, with users as its probes, under failover, under a
//! breaker.

use std::task::{Context, Waker};
use std::time::Duration;

use buttress_breaker::Breaker;
use buttress_core::classify::HttpStatus;
use buttress_core::clock::{Clock, Instant};
use buttress_core::rng::Rng;
use buttress_route::failover::{self, FailoverLayer};
use buttress_route::{ByCopies, Config, Endpoint, HealthRouter, RouterHandle};
use http::Request;
use tower_layer::Layer;
use tower_service::Service;

use super::copies::Copies;
use super::reached::{Calls, Desk, Reached};
use super::{End, Router, View};

/// A router made of `S`, and what it is reached by.
struct Buttress<S: Service<Request<()>>> {
    stack: S,
    calls: Calls<S::Future>,
    reach: Reach,
}

/// The endpoints of a router speak through `desk`; what it does in the background is among `copies`.
struct Reach {
    handle: RouterHandle<Reached>,
    desk: Desk,
    copies: Copies,
}

/// Copies of requests are the probes.
pub(super) fn by_copies(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let (router, reach) = hedged(members, clock, rng);
    reach.router_of(router)
}

/// Requests are the probes.
pub(super) fn by_users(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let config = Config::new("pool").clock(clock.clone()).rng(rng);
    let desk = Desk::default();
    let router = over(config, members, &desk);
    let reach = Reach {
        handle: router.handle(),
        desk,
        copies: Copies::new().0,
    };
    reach.router_of(router)
}

/// Copies are the probes, and what failed at one host goes to another.
pub(super) fn failing_over(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let (router, reach) = hedged(members, clock, rng);
    let config = failover::Config::new("pool").clock(clock.clone());
    #[expect(clippy::expect_used, reason = "the defaults make sense")]
    let layer = FailoverLayer::new(config).expect("failover of the defaults");
    reach.router_of(layer.layer(router))
}

/// Copies are the probes, under the route's breaker.
pub(super) fn guarded(members: &[usize], clock: &Clock, rng: Rng) -> Box<dyn Router> {
    let (router, reach) = hedged(members, clock, rng.clone());
    let config = buttress_breaker::Config::for_http_upstream();
    let config = config.clock(clock.clone()).rng(rng);
    let breaker = Breaker::new("pool", config);
    #[expect(clippy::expect_used, reason = "a preset makes sense")]
    let breaker = breaker.expect("a breaker of a preset");
    reach.router_of(breaker.layer().layer(router))
}

fn hedged(
    members: &[usize],
    clock: &Clock,
    rng: Rng,
) -> (HealthRouter<Reached, HttpStatus, ByCopies>, Reach) {
    let config = Config::new("pool").hedged().clock(clock.clone()).rng(rng);
    let (desk, (copies, spawn)) = (Desk::default(), Copies::new());
    let router = over(config, members, &desk).hedged(spawn);
    let handle = router.handle();
    let reach = Reach {
        handle,
        desk,
        copies,
    };
    (router, reach)
}

fn over(config: Config, members: &[usize], desk: &Desk) -> HealthRouter<Reached> {
    let router = HealthRouter::new(config, endpoints(members, desk));
    #[expect(
        clippy::expect_used,
        reason = "the defaults make sense, and indices differ"
    )]
    router.expect("a pool of the defaults")
}

fn endpoints(members: &[usize], desk: &Desk) -> Vec<Endpoint<Reached>> {
    let endpoint = |&host: &usize| {
        let desk = desk.clone();
        Endpoint::new(format!("host-{host}"), Reached { host, desk })
    };
    members.iter().map(endpoint).collect()
}

impl Reach {
    fn router_of<S: Service<Request<()>> + 'static>(self, stack: S) -> Box<dyn Router> {
        Box::new(Buttress {
            stack,
            calls: Calls::new(),
            reach: self,
        })
    }
}

impl<S: Service<Request<()>>> Router for Buttress<S> {
    fn send(&mut self, call: usize, _: View<'_>) -> Option<usize> {
        let _ = self
            .stack
            .poll_ready(&mut Context::from_waker(Waker::noop()));
        let future = self.stack.call(Request::new(()));
        self.calls.begin(call, future, &self.reach.desk)
    }

    fn ended(&mut self, call: usize, _: usize, end: End, _: Duration, _: Instant) -> Option<usize> {
        if self.reach.copies.end(call, end) {
            return None;
        }
        self.calls.end(call, end, &self.reach.desk)
    }

    fn copy(&mut self, call: usize) -> Option<usize> {
        self.reach.copies.begin(call, &self.reach.desk)
    }

    fn given_up(&mut self) -> Option<usize> {
        self.reach.copies.given_up()
    }

    fn members(&mut self, members: &[usize], _: Instant) {
        let reach = &self.reach;
        let updated = reach.handle.update(endpoints(members, &reach.desk));
        debug_assert!(updated.is_ok(), "indices differ");
    }

    fn ejections(&self) -> u64 {
        let pool = self.reach.handle.snapshot();
        let of_each = pool.endpoints.iter().flat_map(|it| &it.ejections);
        of_each.map(|(_, times)| times).sum()
    }
}
