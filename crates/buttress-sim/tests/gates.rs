//! What the router must not fall behind in, seed for seed: that it makes no outage worse, and that it
//! is no worse than simpler policies where nothing is wrong. The full suite is a command.

#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use buttress_sim::host::Condition;
use buttress_sim::measure::Measure;
use buttress_sim::router::Policy;
use buttress_sim::scenario::{self, Scenario, Step};
use buttress_sim::world;

fn scenario(name: &str) -> Scenario {
    let mut suite = scenario::suite(10, 0.75).into_iter();
    suite.find(|it| it.name == name).unwrap()
}

fn seen(name: &str, policy: Policy, routers: usize) -> Measure {
    world::run(&scenario(name), policy, routers, 1)
}

#[test]
fn a_healthy_pool_is_served_as_well_as_by_round_robin() {
    for routers in [1, 20] {
        let ours = seen("S0", Policy::Buttress, routers);
        let theirs = seen("S0", Policy::RoundRobin, routers);
        assert_eq!(ours.ejections(), 0);
        let (ours, theirs) = (ours.quantile_ms(0.99), theirs.quantile_ms(0.99));
        assert!(
            ours <= 1.05 * theirs,
            "{routers} routers: {ours} for {theirs} ms"
        );
    }
}

#[test]
fn a_failure_of_all_is_made_no_worse_and_is_over_when_it_is_over() {
    for name in ["S8a", "S8b"] {
        for routers in [1, 20] {
            let ours = seen(name, Policy::Buttress, routers);
            let theirs = seen(name, Policy::RoundRobin, routers).success();
            let served = ours.success();
            assert!(
                served > theirs - 0.005,
                "{name}, {routers} routers: {served} for {theirs}"
            );
            assert_eq!(ours.wedged(), 0, "{name}, {routers} routers");
        }
    }
}

#[test]
fn more_load_than_what_is_left_can_bear_is_served_as_well_as_by_round_robin() {
    for name in ["S2b", "S15a", "S15b", "S17"] {
        let ours = seen(name, Policy::Buttress, 1).success();
        let theirs = seen(name, Policy::RoundRobin, 1).success();
        assert!(ours >= theirs, "{name}: {ours} for {theirs}");
    }
}

/// Hosts of whom one, or three of ten, leave the others more than they can do.
const TOO_FEW: [(&str, usize); 4] = [("S1", 3), ("S3", 3), ("S5", 3), ("S2b", 10)];

#[test]
fn where_the_others_cannot_bear_what_a_bad_host_leaves_about_as_much_is_served_as_in_turn() {
    for (name, hosts) in TOO_FEW {
        let mut suite = scenario::suite(hosts, 0.9).into_iter();
        let scenario = suite.find(|it| it.name == name).unwrap();
        let served = |policy, routers| world::run(&scenario, policy, routers, 1).success();
        for routers in [1, 20] {
            let theirs = served(Policy::RoundRobin, routers);
            for policy in [Policy::Buttress, Policy::ButtressFailover] {
                let ours = served(policy, routers);
                assert!(
                    ours > theirs - 0.05,
                    "{name}, {routers} routers: {ours} for {theirs}"
                );
            }
        }
    }
}

/// Two of three are dead, and what is asked is nearly twice what the third can do.
fn two_of_three_dead() -> Scenario {
    let mut scenario = scenario::suite(3, 0.6).remove(0);
    let at = Duration::from_secs;
    scenario.steps = vec![(at(20), Step::Set(vec![0, 1], Condition::Refusing))];
    scenario
}

#[test]
fn where_two_of_three_are_dead_the_third_does_what_it_can() {
    let scenario = two_of_three_dead();
    for policy in [Policy::Buttress, Policy::ButtressUsers] {
        for routers in [1, 20] {
            let served = |policy| world::run(&scenario, policy, routers, 1).success();
            let (ours, in_turn) = (served(policy), served(Policy::RoundRobin));
            assert!(ours > in_turn, "{routers} routers: {ours} for {in_turn}");
        }
    }
}

/// One of three is dead, and half a minute later what the others need takes 18 times as long: they have all the room there is.
fn slow_dependency() -> Scenario {
    let mut scenario = scenario::suite(3, 0.5).remove(0);
    scenario.workers = 100_000;
    let at = Duration::from_secs;
    scenario.steps = vec![
        (at(20), Step::Set(vec![0], Condition::Refusing)),
        (at(40), Step::Set(vec![1, 2], Condition::slow(18.0))),
    ];
    scenario
}

#[test]
fn where_what_all_need_is_slow_next_to_nothing_is_given_to_whoever_is_dead() {
    let scenario = slow_dependency();
    for routers in [1, 20] {
        let served = |policy| world::run(&scenario, policy, routers, 1).success();
        // Two thirds of what is in time go to those who answer, if all take turns.
        let ours = served(Policy::Buttress);
        let in_turn = served(Policy::RoundRobin);
        assert!(
            ours > 1.25 * in_turn,
            "{routers} routers: {ours} for {in_turn}"
        );
    }
}

#[test]
fn of_a_host_that_fails_fast_hangs_or_refuses_next_to_nobody_hears_after_a_second_and_it_comes_back()
 {
    for name in ["S3", "S4", "S5", "S16a", "S16b"] {
        let seen = seen(name, Policy::Buttress, 1);
        let served = seen.late_success();
        assert!(served >= 0.9995, "{name}: {served}");
        assert!(seen.divert().is_some(), "{name}");
        assert!(
            seen.recover().is_some_and(|after| after < 10.0),
            "{name}: {:?}",
            seen.recover()
        );
        assert_eq!(seen.wedged(), 0, "{name}");
    }
}

#[test]
fn a_slow_host_loses_its_traffic_at_once_and_none_of_it_fails() {
    let seen = seen("S1", Policy::Buttress, 1);
    assert!(seen.success() > 0.9999, "{}", seen.success());
    assert!(
        seen.divert().is_some_and(|after| after < 0.75),
        "{:?}",
        seen.divert()
    );
    assert_eq!(seen.ejections(), 0, "slow is no reason to throw out");
}

#[test]
fn of_a_host_that_fails_one_in_ten_one_in_a_thousand_hear_and_one_that_fails_one_in_a_hundred_stays()
 {
    let errors = |seen: &Measure| 1.0 - seen.late_success();
    for routers in [1, 20] {
        let ours = errors(&seen("S6-10", Policy::Buttress, routers));
        assert!(ours <= 0.001, "{routers} routers: {ours}");
    }
    let (ours, theirs) = (
        seen("S6-1", Policy::Buttress, 1),
        seen("S6-1", Policy::RoundRobin, 1),
    );
    let (failed, of) = (errors(&ours), errors(&theirs));
    assert!(failed <= of / 2.0, "{failed} of {of}");
    assert_eq!(ours.ejections(), 0);
}

#[test]
fn one_of_three_that_fails_now_and_then_is_asked_where_the_others_cannot_do_without_it() {
    let mut suite = scenario::suite(3, 0.75).into_iter();
    for name in ["S6-10", "S6-50"] {
        let one_fails = suite.find(|it| it.name == name).unwrap();
        for routers in [1, 20] {
            let seen = |policy| {
                let runs = (1..=3).map(|seed| world::run(&one_fails, policy, routers, seed));
                runs.map(|run| run.success()).sum::<f64>() / 3.0
            };
            let (ours, theirs) = (seen(Policy::Buttress), seen(Policy::RoundRobin));
            assert!(
                ours >= theirs,
                "{name}, {routers} routers: {ours} for {theirs}"
            );
        }
    }
}

#[test]
fn what_many_routers_send_again_does_not_keep_a_pool_down() {
    let mut suite = scenario::suite(3, 0.75).into_iter();
    let all_fail = suite.find(|it| it.name == "S8b").unwrap();
    let served = |policy| world::run(&all_fail, policy, 20, 1).success();
    let (ours, theirs) = (served(Policy::ButtressFailover), served(Policy::RoundRobin));
    assert!(ours > theirs - 0.005, "{ours} for {theirs}");
}

#[test]
fn where_all_begin_to_fail_now_and_then_nobody_is_thrown_out_for_it() {
    let mut suite = scenario::suite(3, 0.9).into_iter();
    let all_grey = suite.find(|it| it.name == "S8a").unwrap();
    for seed in 1..=5 {
        let seen = world::run(&all_grey, Policy::Buttress, 1, seed);
        assert_eq!(seen.ejections(), 0, "seed {seed}");
        assert!(seen.success() > 0.97, "seed {seed}: {}", seen.success());
    }
}

#[test]
fn of_many_routers_each_pays_for_a_host_that_fails_fast_once_or_twice() {
    let seen = seen("S5", Policy::Buttress, 20);
    assert!(seen.late_success() >= 0.9999, "{}", seen.late_success());
    let peak = seen.peak_over_fair().unwrap();
    assert!(peak <= 1.2, "who is back is overrun: {peak}");
}
