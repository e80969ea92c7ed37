//! Where those who are well are overrun by the share of whoever is ill, all take requests in turn, as long as that relieves them.
#![allow(clippy::unwrap_used)]

mod common;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::rng::Rng;
use buttress_route::{Acquired, Attempted, Config, Endpoint, HealthRouter, Policy};
use common::policies;
use http::{Request, Response};
use tower_service::Service;

const AT_EASE: Duration = Duration::from_millis(10);
const LATE: Duration = Duration::from_millis(200);
const IN_VAIN: Duration = Duration::from_millis(300);
const TIMED_OUT: Outcome = Outcome::Failure(FailureKind::Deadline);

/// Answers well.
#[derive(Clone, Debug)]
struct Answers;

impl Service<Request<()>> for Answers {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(String::new())))
    }
}

struct Pool {
    time: ManualClock,
    router: HealthRouter<Answers>,
}

/// What the answers of those who are well are like.
#[derive(Clone, Copy)]
enum Peers {
    InTime,
    /// They take so long.
    Take(Duration),
    /// And every other one comes too late for who asked.
    Overrun(Outcome),
    /// They are late, and every other client leaves at once.
    Left,
}

impl Pool {
    fn new(policy: Policy) -> Self {
        let time = ManualClock::new();
        let config = Config::new("test").policy(policy);
        let config = config.clock(time.clock()).rng(Rng::seeded(7));
        let endpoints = ["ill", "well", "as well"].map(|id| Endpoint::new(id, Answers));
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

    fn answer(&self, call: Acquired<Answers>, nth: usize, peers: Peers) {
        let (takes, outcome) = match peers {
            Peers::InTime => (AT_EASE, Outcome::Success),
            Peers::Take(time) => (time, Outcome::Success),
            Peers::Overrun(outcome) if nth.is_multiple_of(2) => (IN_VAIN, outcome),
            Peers::Left if nth.is_multiple_of(2) => (AT_EASE, Outcome::Abandoned),
            Peers::Overrun(_) | Peers::Left => (LATE, Outcome::Success),
        };
        self.time.advance(takes);
        call.record(outcome);
    }

    /// How a request is answered that another endpoint has failed.
    async fn ask_again(&self) -> u16 {
        let mut request = Request::new(());
        request.extensions_mut().insert(Attempted::default());
        let answer = self.router.clone().call(request).await.unwrap();
        answer.status().as_u16()
    }

    fn in_turn(&self) -> f64 {
        self.router.handle().snapshot().in_turn
    }
}

/// A pool of which one is out, and the others cannot bear its share.
fn overrun(policy: Policy, outcome: Outcome) -> Pool {
    let pool = Pool::new(policy);
    overrun_others(&pool, 2, outcome);
    pool
}

/// These are as many.
fn overrun_others(pool: &Pool, others: usize, outcome: Outcome) {
    pool.ask(150 * others, false, Peers::InTime);
    pool.ask(150 * others, true, Peers::InTime);
    assert!(pool.in_turn() < f64::EPSILON);
    for _ in 0..100 * others {
        if pool.in_turn() > 0.95 {
            return;
        }
        pool.ask(1, true, Peers::Overrun(outcome));
        pool.ask(1, true, Peers::Take(LATE));
    }
    panic!("{}", pool.in_turn());
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
fn every_policy_gives_it_its_turn_but_that_by_keys() {
    for policy in policies() {
        let name = policy.as_str();
        let by_key = matches!(policy, Policy::ConsistentHash { .. });
        let pool = overrun(policy, TIMED_OUT);
        let asked = pool.ask(60, true, Peers::Overrun(TIMED_OUT));
        assert_eq!(asked > 15, !by_key, "{name}: {asked}");
    }
}

#[test]
fn in_turn_means_by_weight_whatever_the_policy_and_however_large_the_pool() {
    for policy in policies() {
        if matches!(policy, Policy::ConsistentHash { .. } | Policy::Random) {
            continue;
        }
        for others in [2, 20] {
            let name = policy.as_str();
            let pool = Pool::new(policy.clone());
            let light = (0..others).map(|n| Endpoint::new(format!("light {n}"), Answers));
            let ill = Endpoint::new("ill", Answers).weight(others);
            pool.router.handle().update(light.chain([ill])).unwrap();
            overrun_others(&pool, others as usize, TIMED_OUT);
            let asked = pool.ask(60, true, Peers::Overrun(TIMED_OUT));
            assert!((20..=40).contains(&asked), "{name} of {others}: {asked}");
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_again_to_those_who_have_too_much_to_do() {
    let pool = Pool::new(Policy::default());
    pool.ask(300, false, Peers::InTime);
    assert_eq!(pool.ask_again().await, 200);
    let pool = overrun(Policy::default(), TIMED_OUT);
    assert_eq!(pool.ask_again().await, 503);
    pool.ask(120, true, Peers::InTime);
    assert!(pool.in_turn() > 0.0, "the share falls by and by");
    assert_eq!(
        pool.ask_again().await,
        200,
        "and they have no more to do than they can"
    );
}

#[test]
fn who_leaves_soon_has_not_waited_in_vain() {
    let pool = Pool::new(Policy::default());
    pool.ask(300, false, Peers::InTime);
    pool.ask(300, true, Peers::InTime);
    pool.ask(100, true, Peers::Left);
    assert!(pool.in_turn() < f64::EPSILON);
}

#[test]
fn whoever_is_dear_and_in_is_ill_and_whoever_drains_is_no_reason() {
    for (drains, takes_turns) in [(false, true), (true, false)] {
        let pool = Pool::new(Policy::default());
        let five = ["ill", "well", "as well", "well too", "and well"];
        let five = five.map(|id| Endpoint::new(id, Answers));
        pool.router.handle().update(five).unwrap();
        pool.ask(500, false, Peers::InTime);
        // One hangs.
        let held: Vec<_> = std::iter::from_fn(|| pool.router.try_acquire())
            .filter(|call| &**call.id() == "ill")
            .take(1)
            .collect();
        if drains {
            pool.router.handle().drain("ill");
        }
        pool.time.advance(LATE);
        pool.ask(60, false, Peers::Overrun(TIMED_OUT));
        assert_eq!(pool.in_turn() > 0.5, takes_turns, "{drains}");
        drop(held);
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
    let hands: [fn(&HealthRouter<Answers>) -> bool; 2] = [
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
    // By and by, as queues grow.
    for times in 2..20 {
        pool.ask(20, false, Peers::Take(times * AT_EASE));
    }
    pool.ask(60, false, Peers::Overrun(TIMED_OUT));
    pool.ask(60, true, Peers::Overrun(TIMED_OUT));
    assert!(pool.in_turn() < f64::EPSILON);
}
