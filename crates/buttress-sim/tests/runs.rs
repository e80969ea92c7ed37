//! What a run is: the same for the same seed, and what queueing theory says where nothing is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs
)]

use std::time::Duration;

use buttress_sim::distribution::ServiceTime;
use buttress_sim::host::Condition;
use buttress_sim::router::Policy;
use buttress_sim::scenario::{self, Fault, Scenario, Step};
use buttress_sim::world;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `hosts` of one worker each, at `rate` arrivals a second.
fn single(hosts: usize, rate: f64, service: ServiceTime) -> Scenario {
    let mut scenario = scenario::suite(hosts, 0.5).swap_remove(0);
    scenario.workers = 1;
    scenario.service = service;
    scenario.rate = rate;
    scenario.network = Duration::ZERO;
    scenario.timeout = s(3_600);
    scenario.fault = Fault {
        hosts: Vec::new(),
        from: s(10),
        until: s(400),
    };
    scenario.length = s(400);
    scenario
}

#[test]
fn every_policy_is_brought_the_same_work() {
    let mut named = scenario::named().into_iter();
    let roomy = named.find(|it| it.name == "brpc-healthy").unwrap();
    let waits = |policy| {
        let seen = world::run(&roomy, policy, 2, 1);
        (seen.clients(), seen.mean_ms())
    };
    // Where nobody waits for anybody, it is the work that takes the time, wherever it goes.
    assert_eq!(waits(Policy::RoundRobin), waits(Policy::LeastRequest));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let scenario = scenario::suite(3, 0.75)
        .into_iter()
        .find(|it| it.name == "S5")
        .unwrap();
    for policy in Policy::ALL {
        let seen = |seed| {
            let seen = world::run(&scenario, policy, 2, seed);
            (
                seen.clients(),
                seen.success().to_bits(),
                seen.quantile_ms(0.99).to_bits(),
            )
        };
        assert_eq!(seen(5), seen(5), "{policy:?}");
        assert_ne!(seen(5), seen(6), "{policy:?}");
    }
}

#[test]
fn a_single_host_makes_its_clients_wait_as_pollaczek_and_khinchine_say() {
    // Uniform service of mean m has a second moment of 4m²/3: the mean wait in the queue is
    // λ·(4m²/3) / (2·(1 − ρ)). At ρ = 0.5 and m = 10 ms the sojourn is 10 + 6.67 ms; its median is
    // below that, so it is the waiting of almost everybody that bounds it.
    let mean = Duration::from_millis(10);
    let calm = single(1, 50.0, ServiceTime::Uniform { mean });
    let seen = world::run(&calm, Policy::RoundRobin, 1, 1);
    let sojourn = seen.mean_ms();
    assert!((sojourn / 16.67 - 1.0).abs() < 0.05, "{sojourn}");
}

#[test]
fn round_robin_sends_a_faulty_host_its_full_share() {
    let scenario = scenario::suite(10, 0.5)
        .into_iter()
        .find(|it| it.name == "S5")
        .unwrap();
    let seen = world::run(&scenario, Policy::RoundRobin, 1, 1);
    assert!(
        (seen.late_success() - 0.9).abs() < 0.005,
        "{}",
        seen.late_success()
    );
    assert_eq!(seen.divert(), None);
}

#[test]
fn an_oracle_is_never_at_fault() {
    for scenario in scenario::suite(10, 0.5) {
        if !["S1", "S3", "S4", "S5", "S6-50", "S17"].contains(&&*scenario.name) {
            continue;
        }
        let seen = world::run(&scenario, Policy::Oracle, 3, 2);
        // What was under way when the fault began is lost to anybody.
        assert!(
            seen.late_success() > 0.9999,
            "{}: {}",
            scenario.name,
            seen.late_success()
        );
    }
}

#[test]
fn a_host_that_nobody_sends_to_any_more_is_counted_as_lost() {
    let mut scenario = scenario::suite(3, 0.5).swap_remove(0);
    // It hangs for a moment, in which Linkerd's breaker shuts, and is well for the rest.
    let hang = Step::Set(vec![0], Condition::Refusing);
    scenario.steps = vec![
        (s(20), hang),
        (s(21), Step::Set(vec![0], Condition::HEALTHY)),
    ];
    scenario.fault = Fault {
        hosts: vec![0],
        from: s(20),
        until: s(21),
    };
    assert_eq!(world::run(&scenario, Policy::Linkerd, 1, 1).wedged(), 0);
    // The pool that the routers know has one member less than the pool that there is.
    scenario.steps.push((s(30), Step::Members(vec![1, 2])));
    assert_eq!(world::run(&scenario, Policy::Linkerd, 1, 1).wedged(), 0);
    scenario.steps.push((s(31), Step::Members(vec![0, 1, 2])));
    scenario
        .steps
        .push((s(31), Step::Set(vec![0], Condition::Refusing)));
    assert_eq!(world::run(&scenario, Policy::Envoy, 1, 1).wedged(), 1);
}

#[test]
fn a_host_that_each_router_asks_is_lost_to_none() {
    let healthy = scenario::suite(10, 0.75).swap_remove(0);
    assert_eq!(world::run(&healthy, Policy::RoundRobin, 20, 1).wedged(), 0);
}

fn one_that_hangs(policy: Policy, timeout: u64) -> buttress_sim::measure::Measure {
    let mut suite = scenario::suite(10, 0.5).into_iter();
    let mut scenario = suite.find(|it| it.name == "S3").unwrap();
    scenario.timeout = s(timeout);
    world::run(&scenario, policy, 1, 1)
}

#[test]
fn copies_are_the_probes_of_the_hedged_router_alone_and_nobody_waits_for_them() {
    let copies = one_that_hangs(Policy::Buttress, 1);
    let users = one_that_hangs(Policy::ButtressUsers, 1);
    assert!(copies.copies() > 0.0);
    assert!(users.copies() < f64::EPSILON);
    // Those who still wait at the end are not counted.
    let clients = copies.clients().abs_diff(users.clients());
    assert!(clients < 50, "clients are not copied");
    // The probes that time out are those of no user.
    assert!(copies.late_success() > users.late_success());
}

#[test]
fn a_copy_that_is_given_up_leaves_its_host() {
    // The router gives up long before a timeout would.
    let seen = one_that_hangs(Policy::Buttress, 60);
    assert!(seen.copies() > 0.0);
    assert!(
        seen.recover().is_some(),
        "the next copy is sent when it is time"
    );
}

#[test]
fn what_fails_at_one_host_is_sent_to_another_where_the_router_fails_over() {
    let seen = one_that_hangs(Policy::ButtressFailover, 1);
    assert!(
        (seen.success() - 1.0).abs() < f64::EPSILON,
        "{}",
        seen.success()
    );
    assert!(seen.amplification() > 1.0);
    assert!(
        seen.quantile_ms(1.0) > 1_000.0,
        "after the first had its time"
    );
}
