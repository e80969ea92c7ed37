//! The list of endpoints replaced, and picks while that is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use buttress_core::outcome::Outcome;
use buttress_route::HealthRouter;

use super::MANY;
use super::buttress::{NAME, endpoints, router};
use super::replica::Replica;
use crate::Error;
use crate::cores::{Meter, pin_to};
use crate::measure::Measured;
use crate::report::Row;

/// Picks in a round.
const PICKS: usize = 500;

pub(super) fn rows(rounds: u32, cores: &[usize]) -> Result<Vec<Row>, Error> {
    pin_to(*cores.first().ok_or("no core to run on")?)?;
    let mut rows = vec![
        update("update/kept", rounds, |_| 0)?,
        update("update/new", rounds, |round| round * MANY)?,
    ];
    if let &[here, there, ..] = cores {
        rows.push(while_updating(rounds, here, there)?);
    }
    Ok(rows)
}

/// Replaces the list by the endpoints numbered from `first` of the round on.
fn update(bench: &'static str, rounds: u32, first: impl Fn(usize) -> usize) -> Result<Row, Error> {
    let router = router(MANY)?;
    let handle = router.handle();
    let mut measured = measured(bench);
    for round in 0..rounds as usize {
        let first = first(round + 1);
        let endpoints = endpoints(first..first + MANY);
        let mut outcome = Ok(());
        let span = Meter::ThreadTime.span(|| outcome = handle.update(endpoints))?;
        outcome?;
        // In CPU time, and too long for nobody to come between.
        measured.rounds.push(span.length().as_nanos() as f64);
    }
    let first = first(rounds as usize + 1);
    let endpoints = endpoints(first..first + MANY);
    let seen = mockalloc::record_allocs(|| drop(handle.update(endpoints)));
    measured.allocations = seen.num_allocs() as f64;
    Ok(Row::of(&measured))
}

/// Picks on one core while another replaces the list without a pause.
fn while_updating(rounds: u32, here: usize, there: usize) -> Result<Row, Error> {
    let (router, done) = (router(MANY)?, AtomicBool::new(false));
    let mut measured = measured("pick/updating");
    thread::scope(|scope| {
        let updater = scope.spawn(|| keep_updating(&router, there, &done));
        let picked = picks(&router, rounds, here);
        done.store(true, Ordering::Release);
        updater.join().map_err(|_| "the updater panicked")??;
        measured.rounds = picked?;
        Ok::<(), Error>(())
    })?;
    Ok(Row::of(&measured))
}

fn keep_updating(
    router: &HealthRouter<Replica>,
    core: usize,
    done: &AtomicBool,
) -> Result<(), Error> {
    pin_to(core)?;
    while !done.load(Ordering::Acquire) {
        router.handle().update(endpoints(0..MANY))?;
    }
    Ok(())
}

fn picks(router: &HealthRouter<Replica>, rounds: u32, core: usize) -> Result<Vec<f64>, Error> {
    pin_to(core)?;
    let mut taken = Vec::new();
    for _ in 0..rounds * 4 {
        let mut held = Vec::with_capacity(PICKS);
        // The time that passes: one that waits is seen.
        let span = Meter::WallTime.span(|| {
            for _ in 0..PICKS {
                held.extend(router.try_acquire());
            }
        })?;
        for picked in held.drain(..) {
            picked.record(Outcome::Success);
        }
        if span.undisturbed {
            taken.push(span.length().as_nanos() as f64 / PICKS as f64);
        }
    }
    Ok(taken)
}

fn measured(bench: &'static str) -> Measured {
    Measured {
        bench,
        name: NAME,
        threads: 1,
        rounds: Vec::new(),
        allocations: 0.0,
    }
}
