//! A breaker for each of many keys. No peer has any.

use std::hint::black_box;

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
    Ok(vec![
        Candidate::new("keyed/lookup", "buttress", move |calls| {
            look_up(&breakers, calls, KEYS)
        }),
        Candidate::new("keyed/lookup-few", "buttress", move |calls| {
            look_up(&of_few, calls, FEW)
        }),
    ])
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
