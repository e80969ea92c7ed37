//! tower-resilience: a Tower layer with nearly all of the rules.

use std::future::pending;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tower_layer::Layer;
use tower_resilience::circuitbreaker::{
    CircuitBreaker, CircuitBreakerConfigBuilder, CircuitBreakerLayer, DefaultClassifier,
    SlidingWindowType,
};

use super::origin::Origin;
use super::{HOURS, ROW, SLOW, SPAN, WINDOW};
use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

const NAME: &str = "tower-resilience";

type Settings = CircuitBreakerConfigBuilder<DefaultClassifier>;

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let slow = count()
        .slow_call_duration_threshold(SLOW)
        .slow_call_rate_threshold(0.5);
    let time = rate()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(SPAN);
    let consecutive = rate().consecutive_failures(ROW as usize);
    let benches = [
        ("closed/count", count(), Origin::Good),
        ("closed/consecutive", consecutive, Origin::Good),
        ("closed/time", time, Origin::Good),
        ("closed/slow", slow, Origin::Good),
        ("closed/failing", count(), Origin::Flaky),
        ("open/reject", count(), Origin::Down),
    ];
    let timer = timer()?;
    let mut candidates = Vec::new();
    for (bench, config, origin) in benches {
        let layer = config.build()?;
        let (service, timer) = (layer.layer(origin), timer.clone());
        let work = move |calls| {
            let _entered = timer.enter();
            drive(&mut service.clone(), 0..calls)
        };
        candidates.push(origin.expected(Candidate::new(bench, NAME, work))?);
    }
    Ok(candidates)
}

/// Its breaker sleeps where it finds another thread at its lock, and so needs a runtime's timer.
fn timer() -> Result<Handle, Error> {
    let runtime = Builder::new_current_thread().enable_time().build()?;
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(pending::<()>()));
    Ok(handle)
}

pub(super) fn breaker() -> Result<CircuitBreaker<Origin, DefaultClassifier>, Error> {
    Ok(count().build()?.layer(Origin::Good))
}

fn count() -> Settings {
    rate().sliding_window_size(WINDOW as usize)
}

fn rate() -> Settings {
    CircuitBreakerLayer::builder()
        .failure_rate_threshold(0.5)
        .wait_duration_in_open(HOURS)
        .permitted_calls_in_half_open(3)
}
