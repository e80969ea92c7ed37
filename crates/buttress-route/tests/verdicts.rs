//! Why an endpoint is where it is: every change has its verdict, with the evidence, and so has what was held back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    missing_docs
)]

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use buttress_core::health::HealthStatus;
use buttress_core::verdict::{Action, By};
use buttress_route::{Change, EndpointState, Judged, Rules, Weights};
use common::{Aimed, outcome};

use EndpointState::{Active, Draining, Ejected, ForcedOut, Held, Probing};

fn steps(
    steps: &[(EndpointState, EndpointState, &str)],
) -> Vec<(EndpointState, EndpointState, String)> {
    let step = |&(from, to, rule): &(_, _, &str)| (from, to, rule.to_owned());
    steps.iter().map(step).collect()
}

fn is_opened(judged: &Judged) -> bool {
    matches!(judged.verdict.action, Action::Opened(open_for) if !open_for.is_zero())
}

/// Observed, allowed, and of how many calls.
fn evidence(judged: &Judged) -> (f64, f64, u64) {
    let verdict = &judged.verdict;
    (verdict.observed, verdict.threshold, verdict.samples)
}

#[test]
fn the_way_out_and_back_is_told_step_by_step_with_its_evidence() {
    let pool = Aimed::new(4, 0.5);
    (0..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
    pool.send(0, "FFFFF");
    pool.pass(30);
    pool.send(1, "F");
    pool.pass(30);
    pool.send(1, "SSSS");
    assert_eq!(
        pool.walk(),
        steps(&[
            (Active, Ejected, "consecutive_failures"),
            (Ejected, Probing, "open_time_over"),
            (Probing, Ejected, "probe"),
            (Ejected, Probing, "open_time_over"),
            (Probing, Active, "probe"),
        ])
    );
    let judged = pool.judged(0);
    assert_eq!(evidence(&judged[0]), (5.0, 5.0, 5));
    assert_eq!(judged[0].verdict.peers, Some(0.0));
    assert!(is_opened(&judged[0]) && is_opened(&judged[2]));
    assert_eq!(judged[1].verdict.action, Action::Probing);
    assert_eq!(evidence(&judged[2]), (1.0, 0.0, 1));
    assert_eq!(evidence(&judged[4]), (4.0, 4.0, 4));
    assert_eq!(judged[4].verdict.action, Action::Closed);
    assert!(judged.windows(2).all(|pair| pair[0].at <= pair[1].at));
}

#[test]
fn a_rate_is_told_with_its_window_and_what_the_peers_show() {
    for (outcomes, rule, observed, threshold) in [
        ("SF".repeat(10), "failure_rate", 0.5, 0.5),
        ("SSSF".repeat(5), "outlier", 0.08, 0.03),
    ] {
        let pool = Aimed::new(4, 0.5);
        (1..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
        pool.send(0, &outcomes);
        assert_eq!(pool.walk(), steps(&[(Active, Ejected, rule)]));
        let verdict = &pool.judged(0)[0].verdict;
        assert!((verdict.observed - observed).abs() < 0.03, "{verdict}");
        assert!((verdict.threshold - threshold).abs() < 1e-9, "{verdict}");
        assert_eq!((verdict.samples, verdict.peers), (20, Some(0.0)));
        assert_eq!(verdict.window, Some(Duration::from_secs(10)));
    }
}

#[test]
fn four_failures_make_no_rate_below_the_threshold_and_a_fifth_does() {
    let pool = Aimed::new(4, 0.5);
    (1..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
    pool.send(0, &"SSSSF".repeat(4));
    assert_eq!(pool.walk(), steps(&[]), "one in five, four times");
    pool.send(0, "SSSSF");
    assert_eq!(pool.walk(), steps(&[(Active, Ejected, "outlier")]));
}

#[test]
fn what_is_done_by_hand_by_weight_and_for_a_signal_is_told() {
    let pool = Aimed::new(3, 0.5);
    let handle = pool.router.handle();
    pool.says(HealthStatus::Unhealthy);
    pool.says(HealthStatus::Healthy);
    handle.eject("0");
    handle.restore("0");
    handle.drain("0");
    handle.restore("0");
    pool.update(&[0, 1, 1]);
    pool.update(&[1, 1, 1]);
    assert_eq!(
        pool.walk(),
        steps(&[
            (Active, Held, "health_signal"),
            (Held, Active, "health_signal"),
            (Active, ForcedOut, "by_hand"),
            (ForcedOut, Active, "by_hand"),
            (Active, Draining, "by_hand"),
            (Draining, Active, "by_hand"),
            (Active, Draining, "weight"),
            (Draining, Active, "weight"),
        ])
    );
    let actions: Vec<_> = pool
        .judged(0)
        .into_iter()
        .map(|it| it.verdict.action)
        .collect();
    assert_eq!(actions[0], Action::Held);
    assert_eq!(actions[1], Action::Closed);
    assert!(actions[2..].iter().all(|action| *action == Action::Forced));
}

#[test]
fn who_takes_an_endpoint_in_hand_stands_in_the_verdict() {
    let pool = Aimed::new(3, 0.5);
    let handle = pool.router.handle();
    let ann = handle.on_behalf_of(By::new("ann", "ticket 7"));
    assert!(ann.eject("0") && ann.clone().restore("0") && handle.drain("0"));
    let states = ["0", "1", "9"].map(|id| handle.state(id));
    assert_eq!(states, [Some(Draining), Some(Active), None]);
    let judged = pool.judged(0).into_iter();
    let who: Vec<_> = judged
        .map(|it| it.verdict.by.as_ref().map(|by| by.who.clone()))
        .collect();
    assert_eq!(who, [Some("ann".into()), Some("ann".into()), None]);
}

#[test]
fn who_comes_back_because_the_budget_shrank_is_told_so() {
    let pool = Aimed::new(4, 0.5);
    (0..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
    pool.send(0, "FFFFF");
    let config = pool.router.handle().config().max_ejected(0.0);
    pool.router.handle().reconfigure(config).unwrap();
    assert_eq!(
        pool.walk(),
        steps(&[
            (Active, Ejected, "consecutive_failures"),
            (Ejected, Active, "max_ejected"),
        ])
    );
}

/// The one entry about the last endpoint, which was to be held back.
fn held_back(pool: &Aimed, endpoint: usize) -> (String, f64, String, u32) {
    let judged = pool.judged(endpoint);
    assert_eq!(judged.len(), 1, "{judged:?}");
    let (change, verdict) = (&judged[0].change, &judged[0].verdict);
    assert_eq!(*change, Change::Suppressed);
    let Action::Suppressed(why) = &verdict.action else {
        panic!("{verdict}");
    };
    let (rule, why) = (verdict.rule.to_string(), why.to_string());
    (rule, verdict.observed, why, judged[0].times)
}

#[test]
fn what_is_held_back_is_told_with_what_held_it_back_and_how_often() {
    let rule = || "consecutive_failures".to_owned();
    let pool = Aimed::new(4, 0.25);
    (0..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
    pool.send(0, "FFFFF");
    pool.send(1, "FFFFFFFFFFFFFFF");
    assert_eq!(held_back(&pool, 1), (rule(), 5.0, "max_ejected".into(), 3));

    let pool = Aimed::new(1, 1.0);
    pool.send(0, "FFFFF");
    assert_eq!(
        held_back(&pool, 0),
        (rule(), 5.0, "last_endpoint".into(), 1)
    );

    let pool = Aimed::new(3, 0.5);
    for _ in 0..3 {
        (0..3).for_each(|endpoint| pool.send(endpoint, "SF"));
        pool.pass(1);
    }
    (0..3).for_each(|endpoint| pool.send(endpoint, "S"));
    pool.pass(1);
    pool.send(0, "FFFFF");
    assert_eq!(held_back(&pool, 0), (rule(), 5.0, "peers_fail".into(), 1));
}

#[test]
fn a_run_is_told_by_what_it_weighs_and_how_many_failures_it_is() {
    let weighing = |weight| {
        let rules = Rules::default().weights(Weights::default().transport(weight));
        Aimed::with(4, 0.5, move |config| {
            let circuit = config.circuit.clone().ramp(None);
            config.circuit(circuit).rules(rules)
        })
    };
    let pool = weighing(2);
    pool.send(0, "TTT");
    pool.pass(30);
    pool.send(1, "SSSS");
    pool.send(0, "T");
    let told: Vec<_> = pool.judged(0).iter().map(evidence).collect();
    assert_eq!(
        (told[0], told[told.len() - 1]),
        ((6.0, 5.0, 3), (2.0, 1.0, 1))
    );

    let pool = weighing(5);
    for _ in 0..3 {
        (0..4).for_each(|endpoint| pool.send(endpoint, "SF"));
        pool.pass(1);
    }
    (0..4).for_each(|endpoint| pool.send(endpoint, "S"));
    pool.pass(1);
    pool.send(0, "T");
    assert_eq!(held_back(&pool, 0).1, 1.0);
    assert_eq!(evidence(&pool.judged(0)[0]).2, 1);
}

#[test]
fn a_run_that_peers_had_held_back_is_told_by_the_limit_when_they_have_recovered() {
    let five = NonZeroU32::MIN.saturating_add(4);
    let rules = Rules::none().consecutive_failures(five);
    let pool = Aimed::with(4, 0.5, |config| config.rules(rules));
    pool.send(0, "S");
    (1..4).for_each(|peer| pool.send(peer, &"SSSF".repeat(4)));
    pool.pass(1);
    pool.send(0, "FFFFFFF");
    assert_eq!(held_back(&pool, 0).2, "peers_fail");
    (1..4).for_each(|peer| pool.send(peer, &"S".repeat(16)));
    pool.pass(1);
    pool.send(0, "F");
    let judged = pool.judged(0);
    assert!(is_opened(&judged[1]));
    assert_eq!(evidence(&judged[1]), (8.0, 5.0, 8));
}

#[test]
fn what_is_said_of_an_endpoint_and_held_back_is_told() {
    let pool = Aimed::new(1, 1.0);
    pool.says(HealthStatus::Unhealthy);
    let rule = || "health_signal".to_owned();
    assert_eq!(
        held_back(&pool, 0),
        (rule(), 0.0, "last_endpoint".into(), 1)
    );

    let pool = Aimed::new(4, 0.25);
    pool.router.handle().eject("1");
    pool.says(HealthStatus::Unhealthy);
    assert_eq!(held_back(&pool, 0), (rule(), 0.0, "max_ejected".into(), 1));
}

#[test]
fn what_befalls_an_endpoint_that_has_left_is_told_when_it_is_back() {
    let pool = Aimed::new(4, 0.5);
    let late = pool.hold(3, 5);
    pool.update(&[1, 1, 1]);
    for call in late {
        call.record(outcome('F'));
    }
    pool.update(&[1, 1, 1, 1]);
    let judged = pool.judged(3);
    assert_eq!(judged.len(), 1, "{judged:?}");
    assert_eq!(judged[0].verdict.rule, "consecutive_failures");
    assert_eq!(pool.router.handle().state("3"), Some(Ejected));
}
