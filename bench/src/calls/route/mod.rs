//! `route`: an endpoint for a request, of 10, of 16 (the largest pool that is looked at whole) and of 10,000.
//! The endpoints' service is always ready and answers at once.
//!
//! | bench | what happens |
//! |---|---|
//! | `pick/…` | an endpoint is picked and its place taken, clock and randomness included; the place is given back outside of what is measured |
//! | `key/…` | the same by consistent hashing, each time of another key |
//! | `call/…` | the same, and the end of the call |
//! | `request/…` | a request through the service, to the end of its answer |
//! | `update/kept` | 10,000 endpoints are replaced by as many, all of them known |
//! | `update/new` | by as many of which none is known |
//! | `pick/updating` | a pick of 10,000 while another thread replaces them all the time |
//! | `memory/endpoint` | bytes that one of 10,000 endpoints holds, its identity included |
//!
//! tower's balancers are `Balance` over a peak EWMA (`tower-p2c-ewma`) and over requests in flight
//! (`tower-p2c-pending`), from a list that never changes. They are no services that can be shared, so
//! they are measured without the `Buffer` that users put round them.

mod buttress;
mod judge;
mod memory;
mod picks;
mod replica;
mod tower;
mod update;

use crate::cores::allowed;
use crate::measure::{Candidate, measure};
use crate::report::Row;
use crate::{Error, Options};

pub(crate) use judge::bars;

/// The sizes of pools, and the rows about them.
const SIZES: [(usize, [&str; 3]); 3] = [
    (10, ["pick/10", "call/10", "request/10"]),
    (16, ["pick/16", "call/16", "request/16"]),
    (MANY, ["pick/10000", "call/10000", "request/10000"]),
];
/// Endpoints of a large pool.
const MANY: usize = 10_000;

/// Measures.
pub(crate) fn compare(options: Options) -> Result<Vec<Row>, Error> {
    // Before this thread is pinned to one of them.
    let cores = allowed()?;
    // Measured first: nothing that a candidate leaves behind is counted.
    let memory = memory::row()?;
    let mut rows = picks::rows(options.rounds, &cores)?;
    let measured = measure(&candidates()?, options.rounds, 2)?;
    rows.extend(measured.iter().map(Row::of));
    rows.extend(update::rows(options.rounds, &cores)?);
    rows.push(memory);
    Ok(rows)
}

/// Of every bench first ours, then the peers'.
fn candidates() -> Result<Vec<Candidate>, Error> {
    let mut all = buttress::candidates()?;
    all.extend(tower::candidates()?);
    let order = |bench| {
        let benches = SIZES.iter().flat_map(|(_, benches)| benches);
        benches.into_iter().position(|other| *other == bench)
    };
    all.sort_by_key(|candidate| order(candidate.bench));
    Ok(all)
}
