//! The router.

use buttress_core::outcome::Outcome;
use buttress_route::{Config, Endpoint, HealthRouter};
use http::Request;

use super::SIZES;
use super::replica::Replica;
use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

pub(super) const NAME: &str = "buttress";

/// A pool of so many endpoints at its defaults.
pub(super) fn router(endpoints: usize) -> Result<HealthRouter<Replica>, Error> {
    configured(endpoints, Config::new("pool"))
}

fn configured(endpoints: usize, config: Config) -> Result<HealthRouter<Replica>, Error> {
    Ok(HealthRouter::new(config, self::endpoints(0..endpoints))?)
}

/// The same of this configuration, where each endpoint has answered.
pub(super) fn used(endpoints: usize, config: Config) -> Result<HealthRouter<Replica>, Error> {
    let router = configured(endpoints, config)?;
    // Side by side, or those that have answered once would be asked again before the others are.
    let all: Vec<_> = (0..endpoints * 4)
        .filter_map(|_| router.try_acquire())
        .collect();
    for picked in all {
        picked.record(Outcome::Success);
    }
    Ok(router)
}

/// Those with these numbers.
pub(super) fn endpoints(numbers: impl Iterator<Item = usize>) -> Vec<Endpoint<Replica>> {
    let endpoint = |number| Endpoint::new(format!("10.0.0.1:{number}"), Replica);
    numbers.map(endpoint).collect()
}

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let mut all = Vec::new();
    for (size, [_, call, request]) in SIZES {
        let shared = used(size, Config::new("pool"))?;
        all.push(Candidate::new(call, NAME, move |calls| {
            let picks = (0..calls).filter_map(|_| shared.try_acquire());
            picks.map(|picked| picked.record(Outcome::Success)).count() as u64
        }));
        let shared = used(size, Config::new("pool"))?;
        let candidate = Candidate::new(request, NAME, move |calls| {
            let requests = (0..calls).map(|_| Request::new(()));
            drive(&mut shared.clone(), requests)
        });
        candidate.expect(1_000, 1_000)?;
        all.push(candidate);
    }
    Ok(all)
}
