//! A pick alone. What it takes is held until the round is over, and given back outside of it.

use buttress_core::outcome::Outcome;

use super::SIZES;
use super::buttress::{NAME, used};
use crate::Error;
use crate::cores::{Meter, pin_to};
use crate::measure::Measured;
use crate::report::Row;

/// Picks in a round: some hundred microseconds, by which reading the clock twice is not seen.
const PICKS: usize = 1_000;

pub(super) fn rows(rounds: u32, cores: &[usize]) -> Result<Vec<Row>, Error> {
    pin_to(*cores.first().ok_or("no core to run on")?)?;
    let lane = |(size, [pick, ..]): (usize, [_; 3])| {
        let mut lane = Lane::new(pick, size)?;
        // There is nobody to take turns with.
        for _ in 0..rounds * 4 {
            lane.run()?;
        }
        lane.finish()
    };
    SIZES.into_iter().map(lane).collect()
}

struct Lane {
    bench: &'static str,
    router: buttress_route::HealthRouter<super::replica::Replica>,
    rounds: Vec<f64>,
}

impl Lane {
    fn new(bench: &'static str, size: usize) -> Result<Self, Error> {
        let router = used(size)?;
        for _ in 0..size.max(PICKS) * 20 {
            let picked = router.try_acquire().ok_or("nothing to pick")?;
            picked.record(Outcome::Success);
        }
        Ok(Self {
            bench,
            router,
            rounds: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut held = Vec::with_capacity(PICKS);
        let pick = || {
            for _ in 0..PICKS {
                held.extend(self.router.try_acquire());
            }
        };
        let span = Meter::ThreadTime.span(pick)?;
        for picked in held.drain(..) {
            picked.record(Outcome::Success);
        }
        if span.undisturbed {
            self.rounds
                .push(span.length().as_nanos() as f64 / PICKS as f64);
        }
        Ok(())
    }

    fn finish(self) -> Result<Row, Error> {
        let mut held = Vec::with_capacity(PICKS);
        let seen = mockalloc::record_allocs(|| {
            for _ in 0..PICKS {
                held.extend(self.router.try_acquire());
            }
        });
        if held.len() != PICKS {
            return Err("there was not an endpoint for each pick".into());
        }
        Ok(Row::of(&Measured {
            bench: self.bench,
            name: NAME,
            threads: 1,
            rounds: self.rounds,
            allocations: seen.num_allocs() as f64 / PICKS as f64,
        }))
    }
}
