//! A breaker for each of many keys. No peer has any; what a map costs that knows of no breakers, evicts nothing and
//! is written by nobody tells what is the machine's doing.
#![expect(
    clippy::disallowed_types,
    reason = "the map to compare with, of a closed set of keys"
)]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use buttress_breaker::{KeyedBreaker, KeyedConfig, Limits};

use crate::Error;
use crate::measure::Candidate;

/// How many keys have a breaker of their own.
const KEYS: u64 = 100_000;
/// How many of them are in use, where it is a few.
const FEW: u64 = 100;
/// Leads from one key to the next by way of all others: it has no divisor in common with them.
const STEP: u64 = 61_803;

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let breakers = breakers()?;
    let of_few = breakers.clone();
    let plain = plain();
    let plain_of_few = Arc::clone(&plain);
    Ok(vec![
        Candidate::new("keyed/lookup", "buttress", move |calls| {
            look_up(&breakers, calls, KEYS)
        }),
        Candidate::new("keyed/lookup", PLAIN, move |calls| {
            look_up_plain(&plain, calls, KEYS)
        }),
        Candidate::new("keyed/lookup-few", "buttress", move |calls| {
            look_up(&of_few, calls, FEW)
        }),
        Candidate::new("keyed/lookup-few", PLAIN, move |calls| {
            look_up_plain(&plain_of_few, calls, FEW)
        }),
    ])
}

const PLAIN: &str = "HashMap of Arcs";

/// As large as what a breaker holds.
type Held = Arc<[u64; 250]>;

fn plain() -> Arc<HashMap<u64, Held>> {
    Arc::new((0..KEYS).map(|key| (key, Arc::new([key; 250]))).collect())
}

#[inline]
fn look_up_plain(map: &HashMap<u64, Held>, calls: u64, among: u64) -> u64 {
    for call in 0..calls {
        let key = call.wrapping_mul(STEP) % among;
        drop(black_box(map.get(&black_box(key)).map(Arc::clone)));
    }
    calls
}

/// One for each key, at the defaults.
pub(super) fn breakers() -> Result<KeyedBreaker<u64>, Error> {
    let limits = Limits::default().cap(usize::try_from(KEYS)?);
    let breakers = KeyedBreaker::new("tenant", KeyedConfig::default().limits(limits))?;
    for key in 0..KEYS {
        drop(breakers.get(key));
    }
    Ok(breakers)
}

#[inline]
fn look_up(breakers: &KeyedBreaker<u64>, calls: u64, among: u64) -> u64 {
    for call in 0..calls {
        let key = call.wrapping_mul(STEP) % among;
        drop(black_box(breakers.get(black_box(key))));
    }
    calls
}
