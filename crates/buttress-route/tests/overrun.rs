//! Where those who are well are overrun by the share of who is ill, it is given back: never less is served than if all were asked
//! in turn.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_route::{Acquired, Config, Endpoint, HealthRouter, Policy};
use common::policies;

const AT_EASE: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_millis(100);
const IN_VAIN: Duration = Duration::from_secs(1);
const TIMED_OUT: Outcome = Outcome::Failure(FailureKind::Deadline);

struct Pool {
    time: ManualClock,
    router: HealthRouter<()>,
}

/// What the answers of those who are well are like.
#[derive(Clone, Copy)]
enum Peers {
    InTime,
    /// And every other one comes too late for who asked.
    Overrun(Outcome),
}

impl Pool {
    fn new(policy: Policy) -> Self {
        let time = ManualClock::new();
        let config = Config::new("test").policy(policy);
        let config = config.clock(time.clock()).rng(Rng::seeded(5));
        let endpoints = ["ill", "well", "as well"].map(|id| Endpoint::new(id, ()));
        let router = HealthRouter::new(config, endpoints).unwrap();
        Self { time, router }
    }

    /// So many requests, one after the other; how many of them go to the first endpoint, which fails them if it is ill.
    fn ask(&self, requests: usize, is_ill: bool, peers: Peers) -> usize {
        let mut asked = 0;
        for nth in 0..requests {
            let call = self.router.try_acquire().unwrap();
            if &**call.id() == "ill" && is_ill {
                asked += 1;
                call.record(Outcome::Failure(FailureKind::Answer));
            } else {
                self.answer(call, nth, peers);
            }
        }
        asked
    }

    fn answer(&self, call: Acquired<()>, nth: usize, peers: Peers) {
        let (takes, outcome) = match peers {
            Peers::InTime => (AT_EASE, Outcome::Success),
            Peers::Overrun(outcome) if nth.is_multiple_of(2) => (IN_VAIN, outcome),
            Peers::Overrun(_) => (LATE, Outcome::Success),
        };
        self.time.advance(takes);
        call.record(outcome);
    }

    fn in_turn(&self) -> f64 {
        self.router.handle().snapshot().in_turn
    }
}

/// A pool of which one is out, and the others cannot bear its share.
fn overrun(policy: Policy, outcome: Outcome) -> Pool {
    let pool = Pool::new(policy);
    pool.ask(300, false, Peers::InTime);
    pool.ask(300, true, Peers::InTime);
    assert!(pool.in_turn() < f64::EPSILON);
    pool.ask(60, true, Peers::Overrun(outcome));
    pool
}

#[test]
fn while_the_others_are_overrun_whoever_is_out_takes_its_turn_again() {
    for outcome in [TIMED_OUT, Outcome::Abandoned] {
        let pool = overrun(Policy::default(), outcome);
        assert!(pool.in_turn() > 0.9, "{outcome:?}: {}", pool.in_turn());
        let asked = pool.ask(60, true, Peers::Overrun(outcome));
        assert!((17..=23).contains(&asked), "{outcome:?}: {asked}");
    }
}

#[test]
fn every_policy_gives_it_its_turn_but_one_that_goes_by_keys_or_is_ones_own() {
    for policy in policies() {
        let name = policy.as_str();
        let by_key = matches!(policy, Policy::ConsistentHash { .. });
        let pool = overrun(policy, TIMED_OUT);
        assert!(pool.in_turn() > 0.9, "{name}");
        let asked = pool.ask(60, true, Peers::Overrun(TIMED_OUT));
        assert!(by_key || asked > 15, "{name}: {asked}");
    }
}

#[test]
fn once_the_others_answer_in_time_it_is_left_alone_within_ten_seconds() {
    let pool = overrun(Policy::default(), TIMED_OUT);
    pool.ask(1_600, true, Peers::InTime);
    assert!(pool.in_turn() < f64::EPSILON);
    let asked = pool.ask(300, true, Peers::InTime);
    assert!(asked < 10, "{asked}");
}

#[test]
fn whoever_was_taken_out_by_hand_or_drained_has_no_turn() {
    let hands: [fn(&HealthRouter<()>) -> bool; 2] = [
        |router| router.handle().eject("ill"),
        |router| router.handle().drain("ill"),
    ];
    for take_out in hands {
        let pool = overrun(Policy::default(), TIMED_OUT);
        assert!(take_out(&pool.router));
        assert_eq!(pool.ask(100, true, Peers::Overrun(TIMED_OUT)), 0);
    }
}

#[test]
fn a_pool_that_has_too_much_to_do_while_nobody_is_ill_goes_on_as_before() {
    let pool = Pool::new(Policy::default());
    pool.ask(300, false, Peers::InTime);
    pool.ask(60, false, Peers::Overrun(TIMED_OUT));
    pool.ask(60, true, Peers::Overrun(TIMED_OUT));
    assert!(pool.in_turn() < f64::EPSILON);
}
