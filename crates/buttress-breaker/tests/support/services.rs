//! Services that show how they are treated.
#![allow(clippy::missing_panics_doc, reason = "that is what they are for")]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_breaker::{Breaker, BreakerService};
use buttress_core::protocol::Plain;
use tokio_test::task;
use tower::{Layer, Service};

/// Panics unless the very instance that was polled ready is the one that is called.
#[derive(Debug, Default)]
pub struct Strict {
    ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without being readied"
        );
        std::future::ready(Ok(request))
    }
}

/// Panics when it is touched.
#[derive(Clone, Debug)]
pub struct Untouchable;

impl Service<u32> for Untouchable {
    type Response = u32;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        panic!("polled")
    }

    fn call(&mut self, _: u32) -> Self::Future {
        panic!("called")
    }
}

/// Never ready.
#[derive(Clone, Debug)]
pub struct Busy;

impl Service<u32> for Busy {
    type Response = u32;
    type Error = Infallible;
    type Future = std::future::Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: u32) -> Self::Future {
        panic!("called without being ready")
    }
}

/// Pending for so many polls, then done.
pub struct Steps(pub usize);

impl Future for Steps {
    type Output = Result<u32, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(Ok(0));
        };
        self.0 = left;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub fn guard<S>(breaker: &Breaker, inner: S) -> BreakerService<S, Plain> {
    breaker.plain_layer().layer(inner)
}

/// Calls without polling ready first, as is done where the breaker was open until just now.
pub fn call<S, R>(service: &mut S, request: R) -> task::Spawn<S::Future>
where
    S: Service<R>,
{
    task::spawn(service.call(request))
}

pub fn poll_ready<S: Service<u32>>(service: &mut S) -> Poll<Result<(), S::Error>> {
    task::spawn(poll_fn(|cx| service.poll_ready(cx))).poll()
}

/// Fails to become ready.
#[derive(Clone, Debug)]
pub struct Broken;

impl Broken {
    pub fn guarded(breaker: &Breaker) -> BreakerService<Self, Plain> {
        guard(breaker, Self)
    }
}

impl Service<u32> for Broken {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Err("broken"))
    }

    fn call(&mut self, _: u32) -> Self::Future {
        std::future::ready(Ok(0))
    }
}
