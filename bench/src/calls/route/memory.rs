//! What an endpoint holds, as asked of the allocator.

use std::hint::black_box;

use super::MANY;
use super::buttress::{NAME, used};
use crate::Error;
use crate::report::{Memory, Row};

pub(super) fn row() -> Result<Row, Error> {
    // What a program holds once is not counted.
    drop(used(1)?);
    let mut kept = None;
    let seen = mockalloc::record_allocs(|| kept = Some(used(MANY)));
    let router = kept.ok_or("nothing was made")??;
    // What comes with the first answers.
    let first = mockalloc::record_allocs(|| {
        for _ in 0..MANY * 20 {
            if let Some(picked) = router.try_acquire() {
                picked.record(buttress_core::outcome::Outcome::Success);
            }
        }
    });
    black_box(router);
    let many = MANY as u64;
    Ok(Row::Memory(Memory {
        bench: "memory/endpoint",
        name: NAME,
        bytes: (seen.mem_leaked() + first.mem_leaked()) / many,
        allocs: (seen.num_leaks() + first.num_leaks()) / many,
    }))
}
