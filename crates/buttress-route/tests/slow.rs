//! Who is slow beside its peers bears less where the policy would ask it as often as these, and goes out where it answers nobody.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod common;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use buttress_core::circuit::{Backoff, Settings};
use buttress_core::clock::{Instant, ManualClock};
use buttress_core::outcome::Outcome;
use buttress_core::rng::Rng;
use buttress_core::verdict::{Action, Verdict};
use buttress_route::check::{CheckFn, Checks};
use buttress_route::{
    Acquired, Config, Endpoint, EndpointState, HealthRouter, Policy, Rules, SlowRate,
};
use common::Tasks;

use EndpointState::{Active, Ejected};

/// How long requests take, in milliseconds.
type Takes = fn(&Rng) -> f64;

/// Requests in an open loop to endpoints that take their time, whatever else they do.
struct Load {
    time: ManualClock,
    router: HealthRouter<()>,
    rng: Rng,
    takes: Takes,
    /// How many times as long each takes as the pool does.
    slow: Vec<f64>,
    /// How long clients wait.
    patience: Duration,
    under_way: BTreeMap<(Instant, u64), Acquired<()>>,
    sent: Vec<u64>,
    numbered: u64,
}

impl Load {
    fn new(endpoints: usize, policy: Policy, takes: Takes) -> Self {
        Self::with(endpoints, takes, |config| config.policy(policy))
    }

    fn with(endpoints: usize, takes: Takes, configure: impl FnOnce(Config) -> Config) -> Self {
        let time = ManualClock::new();
        let config = Config::new("test").clock(time.clock()).rng(Rng::seeded(3));
        let all = (0..endpoints).map(|index| Endpoint::new(index.to_string(), ()));
        Self {
            router: HealthRouter::new(configure(config), all).unwrap(),
            time,
            rng: Rng::seeded(5),
            takes,
            slow: vec![1.0; endpoints],
            patience: Duration::MAX,
            under_way: BTreeMap::new(),
            sent: vec![0; endpoints],
            numbered: 0,
        }
    }

    /// So many requests, one each millisecond.
    fn send(&mut self, requests: u32) {
        self.sent.fill(0);
        for _ in 0..requests {
            let call = self.router.try_acquire().unwrap();
            let endpoint: usize = call.id().parse().unwrap();
            self.sent[endpoint] += 1;
            let takes = (self.takes)(&self.rng) * self.slow[endpoint];
            let takes = Duration::from_secs_f64(takes / 1e3).min(self.patience);
            let ends = self.now().saturating_add(takes);
            self.under_way.insert((ends, self.numbered), call);
            self.numbered += 1;
            self.pass(Duration::from_millis(1));
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now().saturating_add(time);
        while let Some(first) = self.under_way.first_entry() {
            let (ends, _) = *first.key();
            if ends > until {
                break;
            }
            let call = first.remove();
            self.time.advance(ends.saturating_since(self.now()));
            self.end(call);
        }
        self.time.advance(until.saturating_since(self.now()));
    }

    fn end(&self, call: Acquired<()>) {
        let waited = self.patience;
        let left = waited < Duration::MAX && self.slow[call.id().parse::<usize>().unwrap()] > 1.0;
        if left {
            drop(call);
        } else {
            call.record(Outcome::Success);
        }
    }

    fn now(&self) -> Instant {
        self.time.clock().now()
    }

    fn states(&self) -> Vec<EndpointState> {
        let endpoints = self.router.handle().snapshot().endpoints;
        endpoints.iter().map(|it| it.state).collect()
    }

    /// Who bears less.
    fn suspects(&self) -> Vec<bool> {
        let endpoints = self.router.handle().snapshot().endpoints;
        endpoints.iter().map(|it| it.suspect).collect()
    }

    /// How often each went out for being slow.
    fn went_out(&self) -> Vec<u64> {
        let endpoints = self.router.handle().snapshot().endpoints;
        let times = endpoints.iter().map(|it| {
            let slow = it.ejections.iter().find(|(rule, _)| *rule == "slow");
            slow.map_or(0, |it| it.1)
        });
        times.collect()
    }

    fn verdict(&self, endpoint: usize) -> Verdict {
        let endpoint = self
            .router
            .handle()
            .snapshot()
            .endpoints
            .swap_remove(endpoint);
        endpoint.last_verdict.unwrap()
    }
}

fn ten(_: &Rng) -> f64 {
    10.0
}

/// Policies that leave whoever is slow its share, or some of it.
fn heedless() -> [Policy; 4] {
    [
        Policy::RoundRobin,
        Policy::Random,
        Policy::WeightedRandom,
        Policy::LeastRequest,
    ]
}

#[test]
fn who_is_much_slower_bears_less_says_why_and_has_its_share_once_it_is_well() {
    for policy in heedless() {
        let name = policy.as_str();
        let mut load = Load::new(4, policy, ten);
        load.send(5_000);
        load.slow[0] = 20.0;
        load.send(6_000);
        assert_eq!(load.suspects(), [true, false, false, false], "{name}");
        let verdict = load.verdict(0);
        assert_eq!(verdict.rule, "slow", "{name}");
        assert_eq!(verdict.action, Action::Suppressed("still_answers".into()));
        assert!(
            verdict.observed > verdict.threshold && verdict.samples >= 20,
            "{verdict}"
        );
        assert_eq!((verdict.threshold, verdict.peers), (0.5, Some(0.0)));
        assert_eq!(verdict.window, Some(Duration::from_secs(5)));
        load.send(60_000);
        let asked = load.sent[0];
        assert!((100..1_500).contains(&asked), "{name}: {:?}", load.sent);
        load.slow[0] = 1.0;
        load.send(60_000);
        load.send(10_000);
        assert!(load.sent[0] > 2_000, "{name}: {:?}", load.sent);
        assert_eq!(load.suspects(), [false; 4], "{name}");
        assert_eq!(load.went_out(), [0; 4], "{name}");
    }
}

#[test]
fn policies_that_shun_who_is_slow_throw_nobody_out_for_it_and_neither_do_others_that_are_told_so() {
    for policy in [Policy::ExpectedCost, Policy::PeakEwma] {
        let mut load = Load::new(4, policy, ten);
        load.slow[0] = 20.0;
        load.send(30_000);
        assert_eq!(load.went_out(), [0; 4]);
    }
    let mut off = Load::with(4, ten, |config| {
        let mut rules = Rules::default();
        rules.slow_rate = None;
        config.policy(Policy::RoundRobin).rules(rules)
    });
    off.slow[0] = 20.0;
    off.send(30_000);
    assert_eq!(off.went_out(), [0; 4]);
}

#[test]
fn the_policy_of_the_moment_counts() {
    let mut load = Load::new(4, Policy::ExpectedCost, ten);
    load.slow[0] = 20.0;
    load.send(10_000);
    let handle = load.router.handle();
    handle
        .reconfigure(handle.config().policy(Policy::RoundRobin))
        .unwrap();
    load.send(10_000);
    assert_eq!(load.suspects(), [true, false, false, false]);
}

fn lognormal(rng: &Rng) -> f64 {
    let normal = (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (TAU * rng.unit()).cos();
    10.0 * normal.exp()
}

fn pareto(rng: &Rng) -> f64 {
    (5.0 * (1.0 - rng.unit()).powf(-1.0 / 1.5)).min(60_000.0)
}

fn one_in_a_hundred(rng: &Rng) -> f64 {
    if rng.unit() < 0.01 { 200.0 } else { 10.0 }
}

#[test]
fn nobody_goes_out_of_a_healthy_pool_whatever_the_tail() {
    for (endpoints, takes) in [(3, lognormal as Takes), (10, pareto), (5, one_in_a_hundred)] {
        let mut load = Load::new(endpoints, Policy::RoundRobin, takes);
        load.send(200_000);
        assert_eq!(load.states(), vec![Active; endpoints]);
        assert_eq!(load.went_out(), vec![0; endpoints]);
    }
}

#[test]
fn nobody_goes_out_where_all_become_slow_or_stop_for_a_while() {
    let mut load = Load::new(4, Policy::RoundRobin, lognormal);
    load.send(10_000);
    load.slow.fill(20.0);
    load.send(30_000);
    load.slow.fill(1.0);
    load.send(10_000);
    // Nothing is sent before the last of what stopped has come.
    load.slow.fill(100.0);
    load.send(200);
    load.pass(Duration::from_secs(60));
    load.slow.fill(1.0);
    load.send(10_000);
    assert_eq!(load.went_out(), [0; 4]);
}

#[test]
fn where_two_in_five_are_slow_they_bear_less_and_of_the_others_none() {
    for takes in [lognormal as Takes, pareto, ten] {
        let mut load = Load::new(5, Policy::RoundRobin, takes);
        load.send(10_000);
        load.slow[..2].fill(20.0);
        load.send(20_000);
        assert_eq!(load.suspects(), [true, true, false, false, false]);
        assert_eq!(load.went_out(), [0; 5]);
    }
}

#[test]
fn differences_of_less_than_a_millisecond_are_none() {
    let mut load = Load::new(3, Policy::RoundRobin, |_| 0.05);
    load.slow[0] = 20.0;
    load.send(30_000);
    assert_eq!(load.went_out(), [0; 3]);
}

#[test]
fn who_answers_nobody_before_they_leave_goes_out() {
    let mut load = Load::new(4, Policy::RoundRobin, ten);
    load.send(5_000);
    load.slow[0] = 1e6;
    load.patience = Duration::from_millis(200);
    load.send(6_000);
    assert_eq!(load.states(), [Ejected, Active, Active, Active]);
    assert_eq!(load.verdict(0).rule, "slow");
}

#[test]
fn one_of_two_that_are_slow_for_whom_the_budget_has_no_room_bears_less_until_it_is_well() {
    let mut load = Load::with(5, ten, |config| {
        config.policy(Policy::RoundRobin).max_ejected(0.2)
    });
    load.send(5_000);
    load.slow[..2].fill(20.0);
    load.send(20_000);
    let suspect = load
        .states()
        .iter()
        .take(2)
        .position(|it| *it == Active)
        .unwrap();
    load.send(10_000);
    assert!(load.sent[suspect] < 300, "{:?}", load.sent);
    load.slow.fill(1.0);
    load.send(90_000);
    load.send(10_000);
    assert!(load.sent[suspect] > 1_800, "{:?}", load.sent);
}

#[test]
fn a_check_does_not_let_back_who_is_out_for_answering_nobody() {
    let mut load = Load::with(4, ten, |config| {
        let often = Settings::default().open_for(Backoff::constant(Duration::from_secs(1)));
        config.policy(Policy::RoundRobin).circuit(often)
    });
    let tasks = Tasks::default();
    let well = CheckFn::new("ward", |_: Arc<str>, ()| async { Ok(()) });
    let handle = load.router.handle();
    handle
        .check(well, Checks::default(), &tasks.spawn())
        .unwrap();
    load.slow[0] = 20.0;
    load.patience = Duration::from_millis(100);
    for _ in 0..60 {
        load.send(1_000);
        tasks.run();
    }
    assert_eq!(load.went_out(), [1, 0, 0, 0]);
    for _ in 0..60 {
        load.pass(Duration::from_secs(1));
        tasks.run();
    }
    assert_ne!(
        load.states()[0],
        Active,
        "no request has been answered since"
    );
    load.slow[0] = 1.0;
    for _ in 0..60 {
        load.send(1_000);
        tasks.run();
    }
    assert_eq!(load.states(), [Active; 4]);
}

#[test]
fn who_is_farther_away_is_not_slow_for_that() {
    let time = ManualClock::new();
    let config = Config::new("test").policy(Policy::RoundRobin);
    let config = config.clock(time.clock()).rng(Rng::seeded(3));
    let near = (0..4).map(|index| Endpoint::new(index.to_string(), ()));
    let far = (4..6).map(|index| Endpoint::new(index.to_string(), ()).priority(1));
    let mut load = Load::new(6, Policy::RoundRobin, ten);
    load.router = HealthRouter::new(config, near.chain(far)).unwrap();
    load.time = time;
    load.slow[4..].fill(20.0);
    load.send(2_000);
    // What these leave and the other two do not bear the next level takes.
    assert!(load.router.handle().eject("0") && load.router.handle().eject("1"));
    load.send(30_000);
    assert!(load.sent[4] > 1_000, "{:?}", load.sent);
    assert_eq!(load.went_out(), [0; 6]);
}

#[test]
fn a_rule_that_makes_no_sense_is_refused() {
    let refused = |rate: SlowRate| {
        let config = Config::new("test").rules(Rules::default().slow_rate(rate));
        config.validate().unwrap_err().field().to_owned()
    };
    let rate = SlowRate::default();
    assert_eq!(refused(rate.times(1.0)), "rules.slow_rate.times");
    let calls = NonZeroU32::MIN;
    let over = SlowRate::new(0.5, Duration::ZERO, calls);
    assert_eq!(refused(over), "rules.slow_rate.window");
    let above = SlowRate::new(1.5, Duration::from_secs(1), calls);
    assert_eq!(refused(above), "rules.slow_rate.above_peers");
}
