//! `breaker`: a call through a circuit breaker round a service that is always ready and answers at
//! once, so that what is measured is the breaker.
//!
//! | bench | what happens |
//! |---|---|
//! | `closed/count` | a success; the rule is a failure rate over the last 100 calls |
//! | `closed/consecutive` | a success; the rule is 5 failures in a row |
//! | `closed/time` | a success; the rule is a failure rate over 10 s |
//! | `closed/slow` | a success whose time is taken; the rules are failures and slow calls, over the last 100 |
//! | `closed/failing` | every fourth call fails, below the threshold of a half |
//! | `open/reject` | the circuit is open and stays so |
//! | `keyed/lookup` | one of 100,000 breakers is found by its key, each in its turn |
//! | `keyed/lookup-few` | the same, where a hundred of them are in use |
//! | `memory/breaker` | bytes that one breaker with its default rules holds |
//! | `memory/keyed-100k` | bytes that 100,000 of them, found by key, hold |
//!
//! The implementation named `buttress` is a Tower service, as that of each peer is; `buttress-bare`
//! is a breaker that is asked before a call and told after it. recloser and failsafe are no services:
//! they guard the future of the call, in the thinnest service there can be.
//!
//! No peer has keys. Beside `keyed/…` stands a plain map of as many values, each as large as a breaker and cloned
//! as one is: what it takes is the memory's doing.
//!
//! A peer that does not have a rule has no row. tower-resilience looks at every call of a time window
//! again at each call, so its `closed/time` grows with the number of calls that are made.

mod buttress;
mod failsafe;
mod keyed;
mod memory;
mod origin;
mod recloser;
mod tower_resilience;

use std::time::Duration;

use crate::measure::{Candidate, measure};
use crate::report::Row;
use crate::{Error, Options};

/// The circuits that are open stay so: longer than any comparison takes.
const HOURS: Duration = Duration::from_secs(10 * 3600);
/// Calls in a window of calls.
const WINDOW: u32 = 100;
/// A window of time.
const SPAN: Duration = Duration::from_secs(10);
/// Calls that take longer are slow; none does.
const SLOW: Duration = Duration::from_secs(1);
/// Failures in a row.
const ROW: u32 = 5;

/// The order of the rows.
const BENCHES: [&str; 8] = [
    "closed/count",
    "closed/consecutive",
    "closed/time",
    "closed/slow",
    "closed/failing",
    "open/reject",
    "keyed/lookup",
    "keyed/lookup-few",
];

/// Measures.
pub(crate) fn compare(options: Options) -> Result<Vec<Row>, Error> {
    // Measured first: nothing that a candidate leaves behind is counted.
    let memory = memory::rows()?;
    let candidates = candidates()?;
    let measured = measure(&candidates, options.rounds, 2)?;
    let mut rows: Vec<Row> = measured.iter().map(Row::of).collect();
    rows.extend(memory);
    Ok(rows)
}

/// Of every bench first ours, then the peers'.
fn candidates() -> Result<Vec<Candidate>, Error> {
    let mut all = buttress::candidates()?;
    all.extend(keyed::candidates()?);
    all.extend(recloser::candidates()?);
    all.extend(failsafe::candidates()?);
    all.extend(tower_resilience::candidates()?);
    all.sort_by_key(|candidate| BENCHES.iter().position(|bench| *bench == candidate.bench));
    Ok(all)
}
