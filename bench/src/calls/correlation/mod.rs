//! `correlation`: what giving an exchange its ID adds to one that has none.
//!
//! | bench | what comes in |
//! |---|---|
//! | `correlation/accepted` | a request whose only header is a valid ID, which is believed |
//! | `correlation/minted` | a request without any header |
//! | `correlation/accepted/full` | a valid ID beside the headers and extensions of a real request |
//! | `correlation/minted/full` | the headers and extensions of a real request |
//!
//! The baseline makes the request and the response, the same for all but for the name of the header that each
//! layer reads by default, and is reported as it is; what is reported of the layers is what they add: the
//! difference of the medians, of the minima and of the allocations. In the bare exchanges a layer also pays for the first header and the first extension
//! of a map, several allocations each; in the full ones for its own alone.
//!
//! buttress is `CorrelationLayer`, tower-http `SetRequestIdLayer` and `PropagateRequestIdLayer`. Both
//! put the ID into the request's header and extensions and echo it on the response's.

mod exchange;

use buttress_correlation::{Config, CorrelationLayer, Trust, X_CORRELATION_ID, X_REQUEST_ID};
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_layer::Layer;

use self::exchange::{Exchange, Head, Origin};
use crate::measure::{Candidate, Measured, measure};
use crate::report::{Row, median, minimum};
use crate::{Error, Options};

const BASELINE: &str = "baseline";
const TOWER_HTTP: &str = "tower-http";
/// Of a shorter header.
const THEIR_BASELINE: &str = "baseline/theirs";

/// Measures.
pub(crate) fn compare(options: Options) -> Result<Vec<Row>, Error> {
    let candidates = candidates()?;
    let measured = measure(&candidates, options.rounds, 1)?;
    Ok(measured
        .iter()
        .map(|one| over_baseline(one, &measured))
        .collect())
}

fn candidates() -> Result<Vec<Candidate>, Error> {
    let exchanges = [
        (
            "correlation/accepted",
            Exchange {
                head: Head::Bare,
                id: true,
            },
        ),
        (
            "correlation/minted",
            Exchange {
                head: Head::Bare,
                id: false,
            },
        ),
        (
            "correlation/accepted/full",
            Exchange {
                head: Head::Full,
                id: true,
            },
        ),
        (
            "correlation/minted/full",
            Exchange {
                head: Head::Full,
                id: false,
            },
        ),
    ];
    let buttress = CorrelationLayer::new(Config::default().trust(Trust::Internal))?;
    let mut candidates = Vec::new();
    for (bench, exchange) in exchanges {
        let origin = Origin(exchange.head);
        candidates.push(exchange.with(bench, BASELINE, X_CORRELATION_ID.clone(), origin)?);
        candidates.push(exchange.with(
            bench,
            "buttress",
            X_CORRELATION_ID.clone(),
            buttress.layer(origin),
        )?);
        candidates.push(exchange.with(bench, THEIR_BASELINE, X_REQUEST_ID.clone(), origin)?);
        candidates.push(exchange.with(
            bench,
            TOWER_HTTP,
            X_REQUEST_ID.clone(),
            tower_http(origin),
        )?);
    }
    Ok(candidates)
}

/// The layers in the order in which their documentation puts them: the ID is set first.
fn tower_http<S>(origin: S) -> impl exchange::Served
where
    S: exchange::Served,
{
    let propagating = PropagateRequestIdLayer::x_request_id().layer(origin);
    SetRequestIdLayer::x_request_id(MakeRequestUuid).layer(propagating)
}

fn over_baseline(one: &Measured, all: &[Measured]) -> Row {
    let name = match one.name {
        BASELINE | THEIR_BASELINE => return Row::of(one),
        TOWER_HTTP => THEIR_BASELINE,
        _ => BASELINE,
    };
    let baseline = all
        .iter()
        .find(|other| other.bench == one.bench && other.name == name);
    let Some(baseline) = baseline else {
        return Row::of(one);
    };
    Row::time(
        one,
        median(&one.rounds) - median(&baseline.rounds),
        minimum(&one.rounds) - minimum(&baseline.rounds),
        one.allocations - baseline.allocations,
    )
}
