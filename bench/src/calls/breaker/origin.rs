//! The services that are guarded: ready at once, and ended at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tower_service::Service;

use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

/// Answers, or does not.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Every request is answered.
    Good,
    /// Every fourth one fails.
    Flaky,
    /// Every one fails.
    Down,
}

/// How often [`Origin::Down`] was asked: not at all by a circuit that is open.
static ASKED_WHILE_DOWN: AtomicU64 = AtomicU64::new(0);

/// The failure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

impl Origin {
    #[inline]
    pub(super) fn answer(self, request: u64) -> Result<u64, Failed> {
        match self {
            Self::Good => Ok(request),
            Self::Flaky if request % 4 != 3 => Ok(request),
            Self::Flaky => Err(Failed),
            Self::Down => {
                ASKED_WHILE_DOWN.fetch_add(1, Ordering::Relaxed);
                Err(Failed)
            }
        }
    }

    /// How many of `calls` calls are answered.
    const fn answered(self, calls: u64) -> u64 {
        match self {
            Self::Good => calls,
            Self::Flaky => calls / 4 * 3,
            Self::Down => 0,
        }
    }

    /// What `guard` puts a breaker round, as a candidate. It is one breaker, of which every thread
    /// has a clone.
    pub(super) fn guarded<S>(
        self,
        bench: &'static str,
        name: &'static str,
        guard: impl FnOnce(Self) -> S,
    ) -> Result<Candidate, Error>
    where
        S: Service<u64> + Clone + Send + Sync + 'static,
    {
        let service = guard(self);
        let work = move |calls| drive(&mut service.clone(), 0..calls);
        self.expected(Candidate::new(bench, name, work))
    }

    /// `candidate`, if it answers as this does, and does not ask this if it is down.
    pub(super) fn expected(self, candidate: Candidate) -> Result<Candidate, Error> {
        candidate.warm_up();
        let before = ASKED_WHILE_DOWN.load(Ordering::Relaxed);
        candidate.expect(1_000, self.answered(1_000))?;
        if ASKED_WHILE_DOWN.load(Ordering::Relaxed) == before {
            return Ok(candidate);
        }
        Err(format!(
            "{} of {}: the circuit is not open",
            candidate.bench, candidate.name
        )
        .into())
    }
}

impl Service<u64> for Origin {
    type Response = u64;
    type Error = Failed;
    type Future = Answering;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: u64) -> Self::Future {
        Answering {
            origin: *self,
            request,
        }
    }
}

/// Asks when it is polled: a breaker that is given a call may drop it instead.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answering {
    origin: Origin,
    request: u64,
}

impl Future for Answering {
    type Output = Result<u64, Failed>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(self.origin.answer(self.request))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the origin failed")
    }
}

impl std::error::Error for Failed {}
