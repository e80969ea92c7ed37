//! A pick alone. What it takes is held until the round is over, and given back outside of it.

use buttress_core::outcome::Outcome;
use buttress_route::{Config, Policy};

use super::buttress::{NAME, used};
use super::{MANY, SIZES};
use crate::Error;
use crate::cores::{Meter, pin_to};
use crate::measure::Measured;
use crate::report::Row;

/// Picks in a round: some hundred microseconds, by which reading the clock twice is not seen.
const PICKS: usize = 1_000;

/// The rows by key: of a pool that is counted for each request, and of a large one.
const KEYED: [(usize, &str); 2] = [(10, "key/10"), (MANY, "key/10000")];
/// A key for each pick, no two of them alike.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

pub(super) fn rows(rounds: u32, cores: &[usize]) -> Result<Vec<Row>, Error> {
    pin_to(*cores.first().ok_or("no core to run on")?)?;
    let by_cost = SIZES.map(|(size, [pick, ..])| (size, pick, Config::new("pool")));
    let by_key = Policy::ConsistentHash { bound: 1.25 };
    let by_key = KEYED.map(|(size, pick)| (size, pick, Config::new("pool").policy(by_key.clone())));
    let lane = |(size, pick, config)| {
        let mut lane = Lane::new(pick, size, config)?;
        // There is nobody to take turns with.
        for _ in 0..rounds * 4 {
            lane.run()?;
        }
        lane.finish()
    };
    by_cost.into_iter().chain(by_key).map(lane).collect()
}

struct Lane {
    bench: &'static str,
    router: buttress_route::HealthRouter<super::replica::Replica>,
    /// The last one; no policy but the one by key heeds it.
    key: u64,
    rounds: Vec<f64>,
}

impl Lane {
    fn new(bench: &'static str, size: usize, config: Config) -> Result<Self, Error> {
        let router = used(size, config)?;
        for _ in 0..size.max(PICKS) * 20 {
            let picked = router.try_acquire().ok_or("nothing to pick")?;
            picked.record(Outcome::Success);
        }
        Ok(Self {
            bench,
            router,
            key: 0,
            rounds: Vec::new(),
        })
    }

    fn run(&mut self) -> Result<(), Error> {
        let mut held = Vec::with_capacity(PICKS);
        let pick = || {
            for _ in 0..PICKS {
                self.key = self.key.wrapping_add(STEP);
                held.extend(self.router.try_acquire_for(self.key));
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

    fn finish(mut self) -> Result<Row, Error> {
        let mut held = Vec::with_capacity(PICKS);
        let seen = mockalloc::record_allocs(|| {
            for _ in 0..PICKS {
                self.key = self.key.wrapping_add(STEP);
                held.extend(self.router.try_acquire_for(self.key));
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
