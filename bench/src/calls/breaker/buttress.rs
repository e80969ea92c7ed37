//! buttress, as a service and bare.

use std::hint::black_box;

use buttress_breaker::{Breaker, Config, Rule, Window};
use buttress_core::circuit::{Backoff, Jitter, Settings, State};
use buttress_core::outcome::{FailureKind, Outcome};
use tower_layer::Layer;

use super::origin::Origin;
use super::{HOURS, ROW, SLOW, SPAN, WINDOW};
use crate::Error;
use crate::measure::Candidate;

const SERVICE: &str = "buttress";
const BARE: &str = "buttress-bare";

/// Both forms of every bench.
pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let benches = [
        ("closed/count", count(), Origin::Good),
        ("closed/consecutive", consecutive(), Origin::Good),
        ("closed/time", time(), Origin::Good),
        ("closed/slow", slow(), Origin::Good),
        ("closed/failing", count(), Origin::Flaky),
        ("open/reject", consecutive(), Origin::Down),
    ];
    let mut candidates = Vec::new();
    for (bench, config, origin) in benches {
        let guard = breaker(config.clone())?;
        let layer = guard.plain_layer();
        candidates.push(origin.guarded(bench, SERVICE, |origin| layer.layer(origin))?);
        is_as_it_should(bench, &guard)?;
        let guard = breaker(config)?;
        let asked = guard.clone();
        let work = move |calls| bare(&asked, origin, calls);
        candidates.push(origin.expected(Candidate::new(bench, BARE, work))?);
        is_as_it_should(bench, &guard)?;
    }
    Ok(candidates)
}

/// A breaker with the rules that `memory/breaker` is about.
pub(super) fn by_default() -> Result<Breaker, Error> {
    Ok(Breaker::new("dependency", Config::default())?)
}

fn breaker(config: Config) -> Result<Breaker, Error> {
    let open_for = Backoff::constant(HOURS).jitter(Jitter::None);
    Ok(Breaker::new(
        "dependency",
        config.circuit(Settings::default().open_for(open_for)),
    )?)
}

fn count() -> Config {
    rate(Window::Calls(WINDOW))
}

fn time() -> Config {
    rate(Window::Time(SPAN))
}

fn slow() -> Config {
    let window = Window::Calls(WINDOW);
    let slow = Rule::SlowRate {
        slower_than: SLOW,
        ratio: 0.5,
        min_calls: 20,
        window,
    };
    Config::default().rules([failures(window), slow])
}

fn consecutive() -> Config {
    Config::default().rules([Rule::ConsecutiveFailures(ROW)])
}

fn rate(window: Window) -> Config {
    Config::default().rules([failures(window)])
}

const fn failures(window: Window) -> Rule {
    Rule::FailureRate {
        ratio: 0.5,
        min_calls: 20,
        window,
    }
}

/// Asks before each call and tells after it.
#[inline]
fn bare(breaker: &Breaker, origin: Origin, calls: u64) -> u64 {
    let mut answered = 0;
    for request in 0..calls {
        let Ok(permit) = black_box(breaker.try_acquire()) else {
            continue;
        };
        let answer = black_box(origin.answer(black_box(request)));
        permit.record(match answer {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(FailureKind::Answer),
        });
        answered += u64::from(answer.is_ok());
    }
    answered
}

fn is_as_it_should(bench: &str, breaker: &Breaker) -> Result<(), Error> {
    let expected = if bench == "open/reject" {
        State::Open
    } else {
        State::Closed
    };
    let state = breaker.state();
    if state == expected {
        return Ok(());
    }
    Err(format!(
        "{bench}: the circuit is {}, not {}",
        state.as_str(),
        expected.as_str()
    )
    .into())
}
