//! What an endpoint holds, as asked of the allocator.

use std::hint::black_box;

use buttress_route::Config;

use super::MANY;
use super::buttress::{NAME, used};
use crate::Error;
use crate::report::{Memory, Row};

pub(super) fn row() -> Result<Row, Error> {
    // What a program holds once is not counted.
    drop(used(1, Config::new("pool"))?);
    let mut kept = None;
    // With what comes with the first answers.
    let seen = mockalloc::record_allocs(|| kept = Some(used(MANY, Config::new("pool"))));
    black_box(kept.ok_or("nothing was made")??);
    let many = MANY as u64;
    Ok(Row::Memory(Memory {
        bench: "memory/endpoint",
        name: NAME,
        bytes: seen.mem_leaked() / many,
        allocs: seen.num_leaks() / many,
    }))
}
