//! Whatever the clock does and whatever befalls the endpoints, a router sends each request somewhere, and nobody is
//! lost for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::rng::Rng;
use buttress_route::{Config, Endpoint, EndpointState, HealthRouter, Policy};
use common::{outcome, policies};
use proptest::prelude::*;

const ENDPOINTS: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    On(Duration),
    Back(Duration),
    /// So many requests, which end so at once.
    Ask(usize, char),
    /// One that goes on.
    Hold,
    /// The oldest of those ends so.
    End(char),
    /// The last of these is left.
    Drain(usize),
    Eject(usize),
    Restore(usize),
    /// Only so many of them are there.
    Keep(usize),
}

/// From nothing to a year.
fn length() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        (0..1_000_u64).prop_map(Duration::from_millis),
        (1..600_u64).prop_map(Duration::from_secs),
        Just(Duration::from_secs(365 * 86_400)),
    ]
}

fn end() -> impl Strategy<Value = char> {
    prop::sample::select(vec!['S', 'F', 'T', 'D', 'I'])
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => length().prop_map(Step::On),
        2 => (0..60_000_u64).prop_map(|ms| Step::Back(Duration::from_millis(ms))),
        1 => length().prop_map(Step::Back),
        6 => (1..12_usize, end()).prop_map(|(times, end)| Step::Ask(times, end)),
        3 => Just(Step::Hold),
        3 => end().prop_map(Step::End),
        1 => (1..ENDPOINTS).prop_map(Step::Drain),
        1 => (0..ENDPOINTS).prop_map(Step::Eject),
        1 => (0..ENDPOINTS).prop_map(Step::Restore),
        1 => (1..=ENDPOINTS).prop_map(Step::Keep),
    ]
}

struct World {
    time: ManualClock,
    router: HealthRouter<()>,
    held: Vec<buttress_route::Acquired<()>>,
    /// How far the clock was turned back.
    behind: Duration,
}

impl World {
    fn new(policy: Policy) -> Self {
        let time = ManualClock::new();
        let config = Config::new("p").policy(policy).clock(time.clock());
        let config = config.rng(Rng::seeded(5));
        Self {
            router: HealthRouter::new(config, endpoints(ENDPOINTS)).unwrap(),
            time,
            held: Vec::new(),
            behind: Duration::ZERO,
        }
    }

    fn take(&mut self, step: &Step) {
        let (handle, id) = (self.router.handle(), usize::to_string);
        match step {
            Step::On(length) => self.time.advance(*length),
            Step::Back(length) => {
                self.behind = self.behind.saturating_add(*length);
                self.time.turn_back(*length);
            }
            Step::Ask(times, end) => (0..*times).for_each(|_| self.ask(*end)),
            Step::Hold => {
                let held = self.router.try_acquire();
                self.held.push(held.expect("one is not drained"));
            }
            Step::End(end) if !self.held.is_empty() => self.held.remove(0).record(outcome(*end)),
            Step::End(_) => {}
            Step::Drain(index) => {
                handle.drain(&id(index));
            }
            Step::Eject(index) => {
                handle.eject(&id(index));
            }
            Step::Restore(index) => {
                handle.restore(&id(index));
            }
            Step::Keep(count) => handle.update(endpoints(*count)).unwrap(),
        }
    }

    fn ask(&self, end: char) {
        let picked = self.router.try_acquire().expect("one is not drained");
        picked.record(outcome(end));
    }

    /// All is well, and time goes on from where it has been.
    fn recover(&mut self) {
        self.held.clear();
        let handle = self.router.handle();
        handle.update(endpoints(ENDPOINTS)).unwrap();
        for index in 0..ENDPOINTS {
            handle.restore(&index.to_string());
        }
        self.time
            .advance(self.behind.saturating_add(Duration::from_secs(3_600)));
        for _ in 0..3_000 {
            self.time.advance(Duration::from_millis(20));
            self.ask('S');
        }
    }
}

fn endpoints(count: usize) -> Vec<Endpoint<()>> {
    let all = 0..count;
    all.map(|index| Endpoint::new(index.to_string(), ()))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_request_finds_an_endpoint_whatever_the_clock_does_and_all_serve_when_all_is_well(
        policy in prop::sample::select(policies().to_vec()),
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let mut world = World::new(policy);
        for step in &steps {
            world.take(step);
        }
        world.recover();
        for shown in world.router.handle().snapshot().endpoints {
            prop_assert_eq!(shown.state, EndpointState::Active, "{}", shown.id);
            prop_assert_eq!(shown.in_flight, 0);
        }
    }
}

#[test]
fn at_the_end_of_time_and_at_its_beginning_requests_are_sent_on() {
    for policy in policies() {
        let mut world = World::new(policy);
        for _ in 0..2 {
            world.take(&Step::Ask(20, 'F'));
            world.take(&Step::Hold);
            world.take(&Step::On(Duration::MAX));
            world.take(&Step::Ask(20, 'T'));
            world.take(&Step::End('D'));
            world.take(&Step::Back(Duration::MAX));
            world.take(&Step::Ask(20, 'S'));
        }
    }
}
