//! The states of a breaker: what leads from one to the next, what is set by hand, what is only observed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_breaker::{
    Backoff, Breaker, Config, Event, HalfOpenLimit, HealthyRun, Probing, Ramp, Rule, Settings,
    State, Step, Window,
};
use buttress_core::clock::ManualClock;
use buttress_core::events::{Received, Subscription};
use buttress_core::health::HealthStatus;
use buttress_core::outcome::Outcome;
use support::{BAD, OPEN_FOR, PROBE_DEADLINE, config, trip};

const SECOND: Duration = Duration::from_secs(1);

fn of(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).unwrap()
}

fn settings() -> Settings {
    Settings::default()
        .open_for(Backoff::constant(OPEN_FOR))
        .probe_deadline(PROBE_DEADLINE)
        .ramp(None)
}

fn with(time: &ManualClock, settings: Settings) -> Breaker {
    Breaker::new("test", config(time).circuit(settings)).unwrap()
}

/// A breaker whose open time is over.
fn expired(time: &ManualClock, settings: Settings) -> Breaker {
    let breaker = with(time, settings);
    trip(&breaker);
    time.advance(OPEN_FOR);
    breaker
}

fn end(breaker: &Breaker, outcome: Outcome) {
    breaker.try_acquire().unwrap().record(outcome);
}

fn told(events: &mut Subscription<Event>) -> Vec<(Option<State>, String)> {
    std::iter::from_fn(|| events.try_recv())
        .map(|received| match received {
            Received::Event(event) => {
                let to = event.transition.map(|transition| transition.to);
                (to, event.verdict.to_string())
            }
            Received::Lagged(lost) => panic!("lost {lost}"),
        })
        .collect()
}

fn states(events: &mut Subscription<Event>) -> Vec<State> {
    told(events).into_iter().filter_map(|(to, _)| to).collect()
}

mod half_open {
    use super::*;

    fn rate(probes: u32, max_bad_ratio: f64) -> Settings {
        settings().max_probes(of(probes)).probing(Probing::Rate {
            probes: of(probes),
            max_bad_ratio,
        })
    }

    #[test]
    fn each_half_open_phase_has_its_whole_budget_of_probes() {
        let time = ManualClock::new();
        let breaker = expired(&time, settings().max_probes(of(4)));
        for _ in 0..2 {
            let mut probes: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
            assert!(breaker.try_acquire().is_err());
            assert!(breaker.try_acquire().is_err());
            probes.pop().unwrap().record(BAD);
            assert_eq!(breaker.state(), State::Open);
            time.advance(OPEN_FOR);
        }
    }

    #[test]
    fn a_place_that_is_given_back_lets_exactly_one_further_call_in() {
        let time = ManualClock::new();
        let breaker = expired(&time, settings().max_probes(of(3)));
        let mut probes: Vec<_> = (0..3).map(|_| breaker.try_acquire().unwrap()).collect();
        drop(probes.pop());
        let _further = breaker.try_acquire().unwrap();
        assert!(breaker.try_acquire().is_err());
    }

    #[test]
    fn more_ignored_outcomes_than_places_keep_nothing_from_closing() {
        let time = ManualClock::new();
        let four = settings().max_probes(of(4)).successes_to_close(of(4));
        let breaker = expired(&time, four);
        (0..9).for_each(|_| end(&breaker, Outcome::Ignored));
        assert_eq!(breaker.state(), State::HalfOpen);
        (0..4).for_each(|_| end(&breaker, Outcome::Success));
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn an_ignored_outcome_as_the_last_of_all_does_not_leave_it_half_open_for_ever() {
        let time = ManualClock::new();
        let breaker = expired(&time, rate(3, 0.4));
        end(&breaker, Outcome::Success);
        end(&breaker, BAD);
        end(&breaker, Outcome::Ignored);
        assert_eq!(breaker.state(), State::HalfOpen);
        end(&breaker, Outcome::Success);
        assert_eq!(breaker.state(), State::Closed);
    }

    #[test]
    fn a_rate_closes_and_opens_as_early_as_it_is_decided() {
        let time = ManualClock::new();
        let cases: [(f64, &[Outcome], State); 5] = [
            (
                0.25,
                &[BAD, Outcome::Success, Outcome::Success],
                State::HalfOpen,
            ),
            (
                0.25,
                &[Outcome::Success, BAD, Outcome::Success, Outcome::Success],
                State::Closed,
            ),
            (0.25, &[Outcome::Success; 3], State::Closed),
            (0.25, &[BAD, Outcome::Slow], State::Open),
            (0.0, &[BAD], State::Open),
        ];
        for (ratio, outcomes, state) in cases {
            let breaker = expired(&time, rate(4, ratio));
            for outcome in outcomes {
                end(&breaker, *outcome);
            }
            assert_eq!(breaker.state(), state, "{outcomes:?}");
        }
    }

    #[test]
    fn a_rate_says_in_its_verdict_what_it_saw() {
        let time = ManualClock::new();
        let breaker = expired(&time, rate(4, 0.25));
        end(&breaker, Outcome::Success);
        end(&breaker, BAD);
        end(&breaker, BAD);
        let verdict = breaker.handle().snapshot().verdict.unwrap().to_string();
        let expected = "opened for 5.0s: probe 0.667 (limit 0.25, 3 calls)";
        assert_eq!(verdict, expected);
    }

    #[test]
    fn its_limit_opens_it_again_as_of_then_or_closes_it() {
        let time = ManualClock::new();
        let limit = |then| settings().half_open_limit(HalfOpenLimit::new(SECOND * 9, then));
        let breaker = expired(&time, limit(State::Open));
        let mut events = breaker.handle().subscribe();
        let _hanging = breaker.try_acquire().unwrap();
        time.advance(SECOND * 3);
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.retry_after, Some(SECOND * 6 + OPEN_FOR));
        time.advance(SECOND * 8);
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(
            rejected.retry_after,
            Some(SECOND * 3),
            "two seconds are over"
        );
        time.advance(SECOND * 3);
        assert!(breaker.try_acquire().unwrap().is_probe());
        time.advance(SECOND * 9 + OPEN_FOR);
        assert!(
            breaker.try_acquire().unwrap().is_probe(),
            "over while nobody looked"
        );
        let open_twice = [State::HalfOpen, State::Open, State::HalfOpen];
        let expected = [&open_twice[..], &open_twice[1..]].concat();
        assert_eq!(states(&mut events), expected);

        let breaker = expired(&time, limit(State::Closed));
        let _hanging = breaker.try_acquire().unwrap();
        time.advance(SECOND * 9);
        assert!(!breaker.try_acquire().unwrap().is_probe());
        let rule = breaker.handle().snapshot().verdict.unwrap().rule;
        assert_eq!(
            (breaker.state(), &*rule),
            (State::Closed, "half_open_limit")
        );
    }
}

mod open {
    use super::*;

    #[test]
    fn each_time_in_a_row_is_longer_until_it_is_healthy_for_a_while() {
        let time = ManualClock::new();
        let table = [1, 2, 3].map(|n| SECOND * n);
        let run = HealthyRun::new(SECOND * 30, 3);
        let settings = settings()
            .open_for(Backoff::by_attempt(table))
            .successes_to_close(of(1))
            .healthy_run(run);
        let breaker = with(&time, settings);
        let open_for = || {
            trip(&breaker);
            let wait = breaker.handle().snapshot().retry_after.unwrap();
            time.advance(wait);
            end(&breaker, Outcome::Success);
            assert_eq!(breaker.state(), State::Closed);
            wait.as_secs()
        };
        assert_eq!(
            [open_for(), open_for(), open_for(), open_for()],
            [1, 2, 3, 3]
        );
        time.advance(SECOND * 30);
        assert_eq!(open_for(), 3, "time alone proves nothing");
        (0..3).for_each(|_| end(&breaker, Outcome::Success));
        assert_eq!(open_for(), 3, "nor do successes alone");
        (0..3).for_each(|_| end(&breaker, Outcome::Success));
        time.advance(SECOND * 30);
        assert_eq!(open_for(), 1);
    }

    #[test]
    fn what_the_upstream_asks_for_is_honoured_from_closed_and_from_a_probe_within_bounds() {
        let time = ManualClock::new();
        let backoff =
            Backoff::exponential(OPEN_FOR, SECOND * 60).jitter(buttress_breaker::Jitter::None);
        let breaker = with(&time, settings().open_for(backoff));
        let asking = |seconds: u64| {
            let wait = SECOND * u32::try_from(seconds).unwrap();
            breaker.try_acquire().unwrap().record_after(BAD, wait);
        };
        let left = || breaker.handle().snapshot().retry_after.unwrap();
        asking(20);
        assert_eq!(breaker.state(), State::Closed, "to be asked is no rule");
        asking(1);
        assert_eq!(left(), SECOND * 20);
        time.advance(left());
        asking(86_400);
        assert_eq!(left(), SECOND * 60, "never for longer than the cap");
        time.advance(left());
        asking(1);
        assert_eq!(left(), SECOND * 20, "never for less than the open time");
    }

    #[test]
    fn the_remaining_time_only_falls_and_there_is_none_in_any_other_state() {
        let time = ManualClock::new();
        let breaker = with(&time, settings());
        let left = || breaker.handle().snapshot().retry_after;
        assert_eq!(left(), None);
        trip(&breaker);
        for gone in 0..5 {
            assert_eq!(left(), Some(OPEN_FOR.saturating_sub(SECOND * gone)));
            let rejected = breaker.try_acquire().unwrap_err();
            assert_eq!(rejected.retry_after, left());
            time.advance(SECOND);
        }
        assert_eq!(left(), None);
        let _probe = breaker.try_acquire().unwrap();
        assert_eq!(left(), None);
    }

    #[test]
    fn absurd_durations_saturate() {
        let time = ManualClock::new();
        let forever = Backoff::exponential(Duration::MAX, Duration::MAX);
        let breaker = with(&time, settings().open_for(forever));
        trip(&breaker);
        time.advance(Duration::from_secs(100 * 365 * 24 * 3_600));
        assert!(breaker.try_acquire().is_err());
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn outcomes_that_arrive_in_it_neither_end_nor_lengthen_it() {
        let time = ManualClock::new();
        let breaker = with(&time, settings());
        let early: Vec<_> = (0..4).map(|_| breaker.try_acquire().unwrap()).collect();
        trip(&breaker);
        let mut events = breaker.handle().subscribe();
        time.advance(SECOND);
        for (permit, outcome) in early.into_iter().zip([BAD, Outcome::Success, BAD, BAD]) {
            permit.record(outcome);
        }
        assert_eq!(
            breaker.handle().snapshot().retry_after,
            Some(OPEN_FOR.saturating_sub(SECOND))
        );
        assert_eq!(told(&mut events), []);
    }
}

mod ramping {
    use super::*;

    /// Two steps of ten seconds and three successes.
    fn ramp() -> Ramp {
        let step = |share| Step::new(share, SECOND * 10, 3);
        Ramp::new([step(0.1), step(0.5)])
            .bad_in_a_row(of(2))
            .bad_ratio(0.5, of(4))
    }

    fn ramping(time: &ManualClock) -> Breaker {
        let settings = settings()
            .open_for(Backoff::by_attempt([OPEN_FOR, OPEN_FOR * 2]))
            .successes_to_close(of(1))
            .ramp(ramp());
        let breaker = expired(time, settings);
        end(&breaker, Outcome::Success);
        assert_eq!(breaker.state(), State::Ramping);
        breaker
    }

    fn passing(breaker: &Breaker, calls: usize) -> usize {
        let ask = |_| breaker.try_acquire().map(|it| it.record(Outcome::Success));
        (0..calls).flat_map(ask).count()
    }

    #[test]
    fn a_rising_share_of_calls_passes_until_all_do() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        let mut events = breaker.handle().subscribe();
        let health = breaker.handle().health();
        assert_eq!(health.status(), HealthStatus::Degraded);
        assert_eq!(breaker.handle().snapshot().share, Some(0.1));
        assert_eq!(passing(&breaker, 1_000), 100);
        time.advance(SECOND * 10);
        assert_eq!(passing(&breaker, 1_000), 500);
        assert_eq!(breaker.handle().snapshot().share, Some(0.5));
        time.advance(SECOND * 10);
        assert_eq!(passing(&breaker, 1_000), 1_000);
        assert_eq!(breaker.handle().snapshot().share, None);
        assert_eq!(health.status(), HealthStatus::Healthy);
        let closed = "closed: ramp 500 (limit 500, 500 calls)".to_owned();
        assert_eq!(told(&mut events), [(Some(State::Closed), closed)]);
        assert_eq!(breaker.handle().snapshot().rejected, 900 + 500 + 1);
    }

    #[test]
    fn a_rejection_says_when_a_call_passes_at_the_latest_and_one_does_then() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        end(&breaker, Outcome::Success);
        time.advance(SECOND);
        let rejected = breaker.try_acquire().unwrap_err();
        assert_eq!(rejected.reason, "ramping");
        let wait = rejected.retry_after.unwrap();
        assert!(wait < SECOND * 10 / 3, "{wait:?}");
        time.advance(wait);
        assert!(breaker.try_acquire().is_ok());
    }

    #[test]
    fn bad_calls_in_a_row_open_it_again_for_longer_with_less_patience_than_closed() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        let handle = breaker.handle();
        for outcome in [Outcome::Slow, Outcome::Ignored, BAD] {
            assert_eq!(breaker.state(), State::Ramping);
            while breaker.try_acquire().map(|it| it.record(outcome)).is_err() {}
        }
        let snapshot = handle.snapshot();
        assert_eq!((snapshot.state, snapshot.attempt), (State::Open, 2));
        assert_eq!(snapshot.retry_after, Some(OPEN_FOR * 2));
        let verdict = snapshot.verdict.unwrap().to_string();
        assert_eq!(verdict, "opened for 10.0s: ramp 2 (limit 2, 2 calls)");
    }

    #[test]
    fn a_share_of_bad_calls_opens_it_again_too() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        for outcome in [BAD, Outcome::Success, BAD, Outcome::Success] {
            assert_eq!(breaker.state(), State::Ramping);
            time.advance(SECOND * 2);
            while breaker.try_acquire().map(|it| it.record(outcome)).is_err() {
                time.advance(SECOND);
            }
        }
        assert_eq!(breaker.state(), State::Open);
    }

    #[test]
    fn a_full_ramp_is_proof_of_health_and_one_cut_short_is_none() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        for _ in 0..3 {
            passing(&breaker, 100);
            time.advance(SECOND * 10);
        }
        assert_eq!(
            (breaker.state(), breaker.handle().snapshot().attempt),
            (State::Closed, 0)
        );
        let breaker = ramping(&time);
        breaker.handle().reconfigure(config(&time)).unwrap();
        assert!(breaker.try_acquire().is_ok());
        assert_eq!(
            (breaker.state(), breaker.handle().snapshot().attempt),
            (State::Closed, 1)
        );
    }

    #[test]
    fn the_rules_of_the_closed_circuit_begin_with_nothing_after_it() {
        let time = ManualClock::new();
        let breaker = ramping(&time);
        end(&breaker, BAD);
        for _ in 0..3 {
            passing(&breaker, 100);
            time.advance(SECOND * 10);
        }
        let snapshot = breaker.handle().snapshot();
        assert_eq!(
            (snapshot.state, snapshot.consecutive_failures),
            (State::Closed, 0)
        );
    }

    #[test]
    fn by_default_there_is_one() {
        let time = ManualClock::new();
        let config = Config::new()
            .rules([Rule::ConsecutiveFailures(2)])
            .clock(time.clock());
        let breaker = Breaker::new("test", config).unwrap();
        trip(&breaker);
        time.advance(SECOND * 60);
        (0..2).for_each(|_| end(&breaker, Outcome::Success));
        assert_eq!(breaker.state(), State::Ramping);
    }
}

mod by_hand {
    use super::*;

    #[test]
    fn what_may_not_follow_is_an_error_and_changes_nothing() {
        let time = ManualClock::new();
        for from in State::ALL {
            for to in State::ALL {
                let breaker = with(&time, settings().ramp(Ramp::default()));
                let handle = breaker.handle();
                if matches!(from, State::HalfOpen | State::Ramping) {
                    handle.transition_to(State::Open).unwrap();
                }
                handle.transition_to(from).unwrap();
                let before = handle.snapshot();
                let mut events = handle.subscribe();
                match handle.transition_to(to) {
                    Ok(None) => assert_eq!((from, told(&mut events)), (to, vec![])),
                    Ok(Some(changed)) => {
                        assert!(from.may_become(to) && from != to);
                        assert_eq!((changed.from, changed.to), (from, to));
                        assert_eq!(states(&mut events), [to]);
                    }
                    Err(illegal) => {
                        assert!(!from.may_become(to));
                        assert_eq!((illegal.from, illegal.to), (from, to));
                        assert_eq!(handle.snapshot(), before);
                        assert_eq!(told(&mut events), []);
                    }
                }
            }
        }
    }

    #[test]
    fn a_ramp_that_is_not_set_cannot_be_entered() {
        let time = ManualClock::new();
        let handle = with(&time, settings()).handle();
        handle.transition_to(State::Open).unwrap();
        let illegal = handle.transition_to(State::Ramping).unwrap_err();
        assert!(illegal.to_string().ends_with("its settings have no ramp"));
        assert_eq!(handle.snapshot().state, State::Open);
    }

    #[test]
    fn a_forced_open_breaker_can_be_let_up_a_ramp() {
        let time = ManualClock::new();
        let breaker = with(&time, settings().ramp(Ramp::default()));
        breaker.handle().force_open();
        let changed = breaker.handle().transition_to(State::Ramping).unwrap();
        assert_eq!(changed.unwrap().from, State::ForcedOpen);
        let passed = (0..100).filter(|_| breaker.try_acquire().is_ok()).count();
        assert_eq!(passed, 5);
    }

    #[test]
    fn an_open_time_that_was_left_by_hand_has_no_late_effect() {
        let time = ManualClock::new();
        let breaker = with(&time, settings());
        trip(&breaker);
        breaker.handle().release();
        let mut events = breaker.handle().subscribe();
        time.advance(OPEN_FOR * 2);
        assert!(!breaker.try_acquire().unwrap().is_probe());
        assert_eq!(told(&mut events), []);
    }

    #[test]
    fn a_breaker_starts_as_it_is_told_to() {
        let time = ManualClock::new();
        let start = |state| {
            let config = config(&time).circuit(settings()).start(state);
            Breaker::new("test", config).unwrap()
        };
        let admits = [
            (State::Closed, true, HealthStatus::Healthy),
            (State::Open, false, HealthStatus::Unhealthy),
            (State::ForcedOpen, false, HealthStatus::Unhealthy),
            (State::ForcedClosed, true, HealthStatus::Healthy),
            (State::Observing, true, HealthStatus::Healthy),
        ];
        for (state, admits, health) in admits {
            let breaker = start(state);
            assert_eq!(breaker.state(), state);
            assert_eq!(breaker.try_acquire().is_ok(), admits, "{state}");
            assert_eq!(breaker.handle().health().status(), health);
            assert_eq!(breaker.handle().snapshot().generation, 0);
        }
        let open = start(State::Open);
        let wait = open.try_acquire().unwrap_err().retry_after;
        assert_eq!(wait, Some(OPEN_FOR));
        time.advance(OPEN_FOR);
        assert!(open.try_acquire().unwrap().is_probe());
    }
}

mod observing {
    use super::*;

    fn observing(time: &ManualClock) -> Breaker {
        let rate = Rule::FailureRate {
            ratio: 0.5,
            min_calls: 4,
            window: Window::Time(SECOND * 16),
        };
        let config = config(time).rules([rate, Rule::ConsecutiveFailures(2)]);
        Breaker::new("test", config.start(State::Observing)).unwrap()
    }

    #[test]
    fn everything_passes_and_each_rule_that_fires_is_told_once() {
        let time = ManualClock::new();
        let breaker = observing(&time);
        let mut events = breaker.handle().subscribe();
        (0..50).for_each(|_| end(&breaker, BAD));
        let row = "held back (observing): consecutive_failures 2 (limit 2, 2 calls)";
        let rate = "held back (observing): failure_rate 1 (limit 0.5, 4 calls in 16s)";
        let expected = [row, rate].map(|verdict| (None, verdict.to_owned()));
        assert_eq!(told(&mut events), expected);
        let snapshot = breaker.handle().snapshot();
        assert_eq!((snapshot.state, snapshot.generation), (State::Observing, 0));
        assert_eq!((snapshot.rejected, snapshot.stale), (0, 0));
        assert_eq!(snapshot.verdict.unwrap().to_string(), rate);
        assert_eq!(snapshot.transitions, []);
    }

    #[test]
    fn a_rule_is_told_again_once_its_evidence_was_gone() {
        let time = ManualClock::new();
        let breaker = observing(&time);
        let mut events = breaker.handle().subscribe();
        let rules = |events: &mut Subscription<Event>| told(events).len();
        (0..9).for_each(|_| end(&breaker, Outcome::Success));
        (0..2).for_each(|_| end(&breaker, BAD));
        assert_eq!(rules(&mut events), 1);
        (0..9).for_each(|_| end(&breaker, Outcome::Success));
        (0..2).for_each(|_| end(&breaker, BAD));
        assert_eq!(rules(&mut events), 1, "a success broke the row");
        (0..20).for_each(|_| end(&breaker, BAD));
        assert_eq!(rules(&mut events), 1, "the rate, at last");
        time.advance(SECOND * 60);
        end(&breaker, Outcome::Success);
        (0..4).for_each(|_| end(&breaker, BAD));
        assert_eq!(rules(&mut events), 2, "both windows had been empty");
    }

    #[test]
    fn what_was_observed_is_forgotten_when_it_closes() {
        let time = ManualClock::new();
        let breaker = observing(&time);
        end(&breaker, BAD);
        assert!(breaker.handle().release());
        end(&breaker, BAD);
        assert_eq!(breaker.state(), State::Closed);
        end(&breaker, BAD);
        assert_eq!(breaker.state(), State::Open);
    }
}
