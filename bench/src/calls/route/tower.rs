//! tower's balancers.

use std::sync::Mutex;
use std::time::Duration;

use http::Request;
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PeakEwmaDiscover, PendingRequestsDiscover};
use tower_service::Service;

use super::SIZES;
use super::replica::Replica;
use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

/// The mean that an endpoint has before it has any, and the decay: those of tower's own example.
const DEFAULT_RTT: Duration = Duration::from_millis(30);
const DECAY: Duration = Duration::from_secs(10);

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let mut all = Vec::new();
    for (size, [.., request]) in SIZES {
        let list = || ServiceList::new::<Request<()>>(vec![Replica; size]);
        let complete = CompleteOnResponse::default;
        let ewma = PeakEwmaDiscover::new::<Request<()>>(list(), DEFAULT_RTT, DECAY, complete());
        all.push(candidate(request, "tower-p2c-ewma", Balance::new(ewma))?);
        let pending = PendingRequestsDiscover::new::<Request<()>>(list(), complete());
        all.push(candidate(
            request,
            "tower-p2c-pending",
            Balance::new(pending),
        )?);
    }
    Ok(all)
}

/// A balancer cannot be shared: it is lent to one round at a time.
fn candidate<S>(bench: &'static str, name: &'static str, balance: S) -> Result<Candidate, Error>
where
    S: Service<Request<()>> + Send + 'static,
{
    let balance = Mutex::new(balance);
    let candidate = Candidate::new(bench, name, move |calls| {
        let Ok(mut balance) = balance.lock() else {
            return 0;
        };
        drive(&mut *balance, (0..calls).map(|_| Request::new(())))
    });
    candidate.expect(1_000, 1_000)?;
    Ok(candidate)
}
