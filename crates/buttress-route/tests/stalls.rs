//! A body that has said how long it is and does not come is a hang, as a head that does not come is one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use buttress_core::clock::{Instant, ManualClock};
use buttress_core::rng::Rng;
use buttress_route::{Config, Endpoint, EndpointState, HealthRouter};
use buttress_testing::ScriptedBody;
use common::Tasks;
use http::{Request, Response};
use http_body::Body;
use tokio_test::assert_ready;
use tower_service::Service;

/// How often they come, and after how long they leave.
#[derive(Clone, Copy)]
struct Users {
    every: Duration,
    leave_after: Duration,
}

/// They want the answer.
const PATIENT: Users = Users {
    every: Duration::from_millis(2),
    leave_after: Duration::from_secs(2),
};
/// They leave when they have read as much as they wanted, and before the next one comes.
const BRIEF: Users = Users {
    every: Duration::from_millis(300),
    leave_after: Duration::from_millis(300),
};
const REQUESTS: u64 = 10_000;

/// Answers each request with this body.
#[derive(Clone)]
struct Origin(ScriptedBody);

impl Service<Request<()>> for Origin {
    type Response = Response<ScriptedBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ScriptedBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

/// What users saw of a pool of three, the first of which has this body.
struct Seen {
    /// How many left.
    left: u64,
    state: EndpointState,
}

/// Requests of such users, by a router that sends copies, or none.
fn seen_of(body: ScriptedBody, users: Users, copies: bool) -> Seen {
    let time = ManualClock::new();
    let well = ScriptedBody::new().data("okok").exact();
    let origins = [("ill", body), ("b", well.clone()), ("c", well)];
    let endpoints = origins.map(|(id, body)| Endpoint::new(id, Origin(body)));
    let config = Config::new("stalls")
        .clock(time.clock())
        .rng(Rng::seeded(5));
    let tasks = Tasks::default();
    let plain = HealthRouter::new(config, endpoints).unwrap();
    let handle = plain.handle();
    let left = if copies {
        ask(plain.hedged(tasks.spawn()), users, &tasks, &time)
    } else {
        ask(plain, users, &tasks, &time)
    };
    let snapshot = handle.snapshot();
    let ill = snapshot.endpoints.iter().find(|it| &*it.id == "ill");
    Seen {
        left,
        state: ill.unwrap().state,
    }
}

/// How many left.
fn ask<R, B>(mut router: R, users: Users, tasks: &Tasks, time: &ManualClock) -> u64
where
    R: Service<Request<()>, Response = Response<B>, Error = Infallible>,
    B: Body,
{
    let (mut reading, mut left) = (Vec::<(Instant, Pin<Box<B>>)>::new(), 0);
    for _ in 0..REQUESTS {
        let mut call = Box::pin(router.call(Request::new(())));
        let mut cx = Context::from_waker(Waker::noop());
        let response = assert_ready!(call.as_mut().poll(&mut cx)).unwrap();
        reading.push((time.now(), Box::pin(response.into_body())));
        reading.retain_mut(|(since, body)| {
            let ended = is_read(body.as_mut());
            let leaves = !ended && time.now().saturating_since(*since) >= users.leave_after;
            left += u64::from(leaves);
            !ended && !leaves
        });
        tasks.run();
        time.advance(users.every);
    }
    left
}

/// Reads what is there; whether that is all.
fn is_read<B: Body>(mut body: Pin<&mut B>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(_))) => {}
            Poll::Ready(_) => return true,
        }
    }
}

#[test]
fn a_body_that_stalls_costs_few_users_their_answers_as_a_head_that_does() {
    let stalls = || ScriptedBody::new().data("ok").never().data("ok").exact();
    for (copies, most) in [(false, 6), (true, 4)] {
        let seen = seen_of(stalls(), PATIENT, copies);
        // Nine where whoever left told nothing.
        assert!(
            seen.left > 0 && seen.left <= most,
            "{copies}: {}",
            seen.left
        );
    }
}

#[test]
fn a_stream_that_has_not_said_how_long_it_is_may_be_left_at_any_time() {
    let stream = ScriptedBody::new().data("event").never();
    for copies in [false, true] {
        let seen = seen_of(stream.clone(), PATIENT, copies);
        assert_eq!(seen.state, EndpointState::Active);
        assert!(seen.left > 0, "{copies}: nobody was sent there");
    }
}

#[test]
fn who_leaves_a_body_that_is_between_two_parts_has_not_waited_in_vain() {
    let paced = ScriptedBody::new().data("ok").never().data("ok").exact();
    for copies in [false, true] {
        let seen = seen_of(paced.clone(), BRIEF, copies);
        assert_eq!(seen.state, EndpointState::Active);
        // One of three, as if nothing had been seen.
        assert!(seen.left > REQUESTS / 5, "{copies}: {}", seen.left);
    }
}
