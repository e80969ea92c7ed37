//! What a breaker holds, as asked of the allocator.

use std::hint::black_box;

use super::{buttress, failsafe, keyed, recloser, tower_resilience};
use crate::Error;
use crate::report::{Memory, Row};

/// One row for each, and each made once before: what a program holds once is not counted.
pub(super) fn rows() -> Result<Vec<Row>, Error> {
    Ok(vec![
        held("memory/breaker", "buttress", buttress::by_default)?,
        held("memory/breaker", "recloser", || Ok(recloser::breaker()))?,
        held("memory/breaker", "failsafe", || Ok(failsafe::breaker()))?,
        held(
            "memory/breaker",
            "tower-resilience",
            tower_resilience::breaker,
        )?,
        held("memory/keyed-100k", "buttress", keyed::breakers)?,
    ])
}

fn held<T>(
    bench: &'static str,
    name: &'static str,
    make: impl Fn() -> Result<T, Error>,
) -> Result<Row, Error> {
    drop(make()?);
    let mut kept = None;
    let seen = mockalloc::record_allocs(|| kept = Some(make()));
    black_box(kept).transpose()?;
    Ok(Row::Memory(Memory {
        bench,
        name,
        bytes: seen.mem_leaked(),
        allocs: seen.num_leaks(),
    }))
}
