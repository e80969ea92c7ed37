//! recloser: a ring of calls, and no other rule.

use std::task::{Context, Poll};

use recloser::{AnyError, AsyncRecloser, Error as Refused, Recloser, RecloserFuture};
use tower_service::Service;

use super::origin::{Failed, Origin};
use super::{HOURS, WINDOW};
use crate::Error;
use crate::measure::Candidate;

const NAME: &str = "recloser";

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    Ok(vec![
        Origin::Good.guarded("closed/count", NAME, guard)?,
        Origin::Flaky.guarded("closed/failing", NAME, guard)?,
        Origin::Down.guarded("open/reject", NAME, guard)?,
    ])
}

pub(super) fn breaker() -> AsyncRecloser {
    let recloser = Recloser::custom()
        .error_rate(0.5)
        .closed_len(WINDOW as usize)
        .half_open_len(10)
        .open_wait(HOURS)
        .build();
    AsyncRecloser::from(recloser)
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
    breaker: AsyncRecloser,
}

impl Service<u64> for Guarded {
    type Response = u64;
    type Error = Refused<Failed>;
    type Future = RecloserFuture<<Origin as Service<u64>>::Future, AnyError>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.origin.poll_ready(cx).map_err(Refused::Inner)
    }

    #[inline]
    fn call(&mut self, request: u64) -> Self::Future {
        self.breaker.call(self.origin.call(request))
    }
}
