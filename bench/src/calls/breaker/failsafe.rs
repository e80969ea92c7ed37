//! failsafe: failures in a row. Its other rule, a moving average, has no counterpart.

use std::task::{Context, Poll};

use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{ConsecutiveFailures, consecutive_failures};
use failsafe::futures::{CircuitBreaker, ResponseFuture};
use failsafe::{Any, Config, Error as Refused, StateMachine};
use tower_service::Service;

use super::origin::{Failed, Origin};
use super::{HOURS, ROW};
use crate::Error;
use crate::measure::Candidate;

const NAME: &str = "failsafe";

type Breaker = StateMachine<ConsecutiveFailures<Constant>, ()>;

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    Ok(vec![
        Origin::Good.guarded("closed/consecutive", NAME, guard)?,
        Origin::Flaky.guarded("closed/failing", NAME, guard)?,
        Origin::Down.guarded("open/reject", NAME, guard)?,
    ])
}

pub(super) fn breaker() -> Breaker {
    Config::new()
        .failure_policy(consecutive_failures(ROW, constant(HOURS)))
        .build()
}

fn guard(origin: Origin) -> Guarded {
    Guarded {
        origin,
        breaker: breaker(),
    }
}

/// The thinnest service around it.
#[derive(Clone, Debug)]
struct Guarded {
    origin: Origin,
    breaker: Breaker,
}

impl Service<u64> for Guarded {
    type Response = u64;
    type Error = Refused<Failed>;
    type Future =
        ResponseFuture<<Origin as Service<u64>>::Future, ConsecutiveFailures<Constant>, (), Any>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.origin.poll_ready(cx).map_err(Refused::Inner)
    }

    #[inline]
    fn call(&mut self, request: u64) -> Self::Future {
        self.breaker.call(self.origin.call(request))
    }
}
