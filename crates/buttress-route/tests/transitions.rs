//! Every transition of an endpoint that there is, walked: each is told, and says what was done.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buttress_core::circuit::{Probing as Probes, Settings};
use buttress_core::health::HealthStatus;
use buttress_core::outcome::Outcome;
use buttress_core::verdict::Action;
use buttress_route::check::{CheckFailed, CheckFn, Checks};
use buttress_route::{Acquired, Change, EndpointState, Judged};
use common::{Aimed, Does, Hosts, TRANSITIONS, Tasks, outcome};

use EndpointState::{Active, Draining, Ejected, ForcedOut, Held, Probing};

/// What the walks have gone through, each in a pool of four of which the others have shown to be well.
#[derive(Default)]
struct Walks(Vec<(EndpointState, EndpointState, String)>);

impl Walks {
    fn walk(&mut self, walk: impl FnOnce(&Aimed)) {
        let pool = Aimed::new(4, 0.5);
        (1..4).for_each(|endpoint| pool.send(endpoint, "SSSSS"));
        walk(&pool);
        for judged in pool.judged(0) {
            if let Change::Transition { to, .. } = judged.change {
                assert!(says_what_was_done(to, &judged.verdict.action), "{judged:?}");
            }
        }
        self.0.extend(pool.walk());
    }

    /// The same, from this state on.
    fn walk_from(&mut self, state: EndpointState, walk: impl FnOnce(&Aimed)) {
        self.walk(|pool| {
            let _probe = bring(pool, state);
            assert_eq!(pool.router.handle().state("0"), Some(state));
            walk(pool);
        });
    }
}

/// Whoever is brought to where a hand or a weight had hidden it is told no more than that it is no longer hidden.
fn says_what_was_done(to: EndpointState, action: &Action) -> bool {
    match (to, action) {
        (Ejected, Action::Opened(open_for)) => !open_for.is_zero(),
        (_, Action::Forced)
        | (Probing, Action::Probing)
        | (Held, Action::Held)
        | (Active | Held, Action::Closed) => true,
        _ => false,
    }
}

/// Brings the first endpoint to this state; the probe that is under way, if one is.
fn bring(pool: &Aimed, state: EndpointState) -> Vec<Acquired<()>> {
    let handle = pool.router.handle();
    match state {
        Ejected => pool.send(0, "FFFFF"),
        Probing => {
            pool.send(0, "FFFFF");
            pool.pass(30);
            return pool.hold(1, 1);
        }
        Held => pool.says(HealthStatus::Unhealthy),
        ForcedOut => assert!(handle.eject("0")),
        Draining => assert!(handle.drain("0")),
        _ => {}
    }
    Vec::new()
}

fn walk_by_rules(walks: &mut Walks) {
    for outcomes in ["FFFFF".to_owned(), "SF".repeat(10), "SSSF".repeat(5)] {
        walks.walk(|pool| pool.send(0, &outcomes));
        walks.walk(|pool| {
            let held = pool.hold(0, outcomes.len());
            pool.says(HealthStatus::Unhealthy);
            let ends = held.into_iter().zip(outcomes.chars());
            ends.for_each(|(call, letter)| call.record(outcome(letter)));
        });
    }
}

fn walk_by_probes(walks: &mut Walks) {
    walks.walk_from(Ejected, |pool| {
        pool.pass(30);
        pool.send(1, "SSSS");
    });
    walks.walk_from(Ejected, |pool| {
        pool.pass(30);
        pool.send(1, "F");
    });
    // Held as the first of two probes ends, and proved well by the second.
    walks.walk(|pool| {
        let two = 2.try_into().unwrap();
        let circuit = Settings::default().max_probes(two);
        let circuit = circuit.probing(Probes::Successes(two));
        let handle = pool.router.handle();
        handle
            .reconfigure(handle.config().circuit(circuit))
            .unwrap();
        pool.send(0, "FFFFF");
        pool.pass(60);
        let probes = pool.hold(1, 2);
        pool.signal.publish(HealthStatus::Unhealthy);
        pool.pass(1);
        for probe in probes {
            probe.record(Outcome::Success);
        }
    });
}

fn walk_by_what_is_said(walks: &mut Walks) {
    walks.walk(|pool| {
        pool.says(HealthStatus::Unhealthy);
        pool.says(HealthStatus::Healthy);
    });
    walks.walk(|pool| {
        let (ill, tasks) = (Arc::new(AtomicBool::new(true)), Tasks::default());
        let asked = Arc::clone(&ill);
        let check = CheckFn::new("ward", move |id: Arc<str>, ()| {
            let ill = &*id == "0" && asked.load(Ordering::Relaxed);
            async move {
                if ill {
                    Err(CheckFailed::new("it coughs"))
                } else {
                    Ok(())
                }
            }
        });
        let handle = pool.router.handle();
        handle
            .check(check, Checks::default(), &tasks.spawn())
            .unwrap();
        for second in 0..60 {
            ill.store(second < 30, Ordering::Relaxed);
            pool.pass(1);
            tasks.run();
        }
    });
}

fn walk_by_hand(walks: &mut Walks) {
    for from in [Active, Ejected, Probing, Held] {
        walks.walk_from(from, |pool| assert!(pool.router.handle().eject("0")));
    }
    for from in [Active, Ejected, Probing, Held, ForcedOut] {
        walks.walk_from(from, |pool| assert!(pool.router.handle().drain("0")));
        walks.walk_from(from, |pool| {
            pool.update(&[0, 1, 1, 1]);
            pool.update(&[1, 1, 1, 1]);
        });
    }
    for from in [Ejected, Probing, Held, ForcedOut, Draining] {
        walks.walk_from(from, |pool| assert!(pool.router.handle().restore("0")));
    }
    for from in [Ejected, Probing, Held] {
        walks.walk_from(from, |pool| {
            let handle = pool.router.handle();
            handle
                .reconfigure(handle.config().max_ejected(0.0))
                .unwrap();
        });
    }
}

/// Its peers take long, without the share that it could bear.
fn walk_by_capacity(walks: &mut Walks) {
    let peers_take_long = |pool: &Aimed| {
        for turn in 0..60 {
            let call = pool.hold(1 + turn % 3, 1);
            pool.time.advance(Duration::from_millis(100));
            for call in call {
                call.record(Outcome::Success);
            }
        }
    };
    walks.walk(|pool| {
        pool.send(0, &"SSSF".repeat(5));
        peers_take_long(pool);
    });
    walks.walk(|pool| {
        pool.send(0, &"SSSF".repeat(5));
        pool.pass(7);
        let _probe = pool.hold(1, 1);
        peers_take_long(pool);
    });
}

/// Clients wait many times what its peers' answers take, and leave.
fn walk_by_slowness(walks: &mut Walks) {
    let answer_nobody = |pool: &Aimed, says: bool| {
        let late = pool.hold(0, 60);
        pool.time.advance(Duration::from_millis(400));
        if says {
            pool.signal.publish(HealthStatus::Unhealthy);
        }
        for call in late {
            pool.time.advance(Duration::from_millis(5));
            drop(call);
            pool.send(1, "S");
        }
    };
    walks.walk(|pool| answer_nobody(pool, false));
    walks.walk(|pool| answer_nobody(pool, true));
}

/// Another that fails all needs its place.
fn walk_by_a_worse_one(walks: &mut Walks) {
    let with_room_for_one = |pool: &Aimed| {
        let handle = pool.router.handle();
        handle
            .reconfigure(handle.config().max_ejected(0.25))
            .unwrap();
        pool.send(0, &"SSSF".repeat(5));
    };
    walks.walk(|pool| {
        with_room_for_one(pool);
        pool.send(1, "FFFFF");
    });
    walks.walk(|pool| {
        with_room_for_one(pool);
        let dies = pool.hold(1, 5);
        pool.pass(7);
        let _probe = pool.hold(2, 1);
        for call in dies {
            call.record(outcome('F'));
        }
    });
}

#[test]
fn every_transition_that_there_is_is_walked_and_told() {
    let mut walks = Walks::default();
    walk_by_rules(&mut walks);
    walk_by_probes(&mut walks);
    walk_by_what_is_said(&mut walks);
    walk_by_hand(&mut walks);
    walk_by_capacity(&mut walks);
    walk_by_slowness(&mut walks);
    walk_by_a_worse_one(&mut walks);
    let is = |one: &(_, _, String), other: &(_, _, &str)| {
        (one.0, one.1, &*one.2) == (other.0, other.1, other.2)
    };
    for walked in &walks.0 {
        assert!(TRANSITIONS.iter().any(|it| is(walked, it)), "{walked:?}");
    }
    for there in TRANSITIONS {
        assert!(walks.0.iter().any(|it| is(it, there)), "{there:?}");
    }
}

/// For a while after one of four that are well turned bad, and then was well again: what was told of it.
fn shunned_for(does: Does, copies: bool) -> Vec<Judged> {
    let second = Duration::from_secs(1);
    let mut pool = Hosts::new(4, Does::Well, copies, |config| config.max_ejected(0.0));
    pool.load(second * 3, 2, |_| ());
    pool.all[0].set(does);
    pool.load(second * 15, 2, |_| ());
    pool.all[0].set(Does::Well);
    pool.load(second * 60, 2, |_| ());
    pool.shown().endpoints[0].verdicts.clone()
}

/// The same of one of which this is said, and may not be held.
fn shunned_by_word(says: impl Fn(&Hosts, HealthStatus) -> Option<Tasks>) -> Vec<Judged> {
    let second = Duration::from_secs(1);
    let mut pool = Hosts::new(4, Does::Well, false, |config| config.max_ejected(0.0));
    pool.load(second * 3, 2, |_| ());
    let tasks = says(&pool, HealthStatus::Unhealthy);
    let run = |_: &Hosts| tasks.iter().for_each(Tasks::run);
    pool.load(second * 15, 2, run);
    says(&pool, HealthStatus::Healthy);
    pool.load(second * 20, 2, run);
    pool.shown().endpoints[0].verdicts.clone()
}

#[test]
fn whoever_is_in_and_shunned_is_told_why_and_when_that_is_over() {
    let signal = |pool: &Hosts, status| {
        pool.all[0].signal.publish(status);
        None
    };
    let ward = Arc::new(AtomicBool::new(true));
    let check = |pool: &Hosts, status| {
        ward.store(status == HealthStatus::Unhealthy, Ordering::Relaxed);
        (status == HealthStatus::Unhealthy).then(|| {
            let (ill, tasks) = (Arc::clone(&ward), Tasks::default());
            let check = CheckFn::new("ward", move |id: Arc<str>, _| {
                let ill = &*id == "0" && ill.load(Ordering::Relaxed);
                async move {
                    ill.then_some(())
                        .map_or(Ok(()), |()| Err(CheckFailed::new("ill")))
                }
            });
            let checks = Checks::default();
            (pool.handle.check(check, checks, &tasks.spawn())).unwrap();
            tasks
        })
    };
    let mut walked: Vec<_> = [
        (Does::Slow(20), "slow"),
        (Does::Hangs, "silent"),
        (Does::Limits, "limited"),
        (Does::Fails(3), "failing"),
    ]
    .map(|(does, rule)| (shunned_for(does, false), rule))
    .into();
    walked.push((shunned_for(Does::Slow(20), true), "slow"));
    walked.push((shunned_for(Does::Hangs, true), "silent"));
    walked.push((shunned_for(Does::Fails(3), true), "doubted"));
    walked.push((shunned_by_word(signal), "health_signal"));
    walked.push((shunned_by_word(check), "active_check"));
    for (judged, rule) in &walked {
        let told = |change| {
            let told = judged.iter().filter(move |it| it.change == change);
            told.map(|it| &it.verdict).find(|it| it.rule == *rule)
        };
        let shunned = told(Change::Shunned).expect(rule);
        assert_eq!(shunned.action, Action::Shunned);
        if *rule != "health_signal" {
            assert!(shunned.observed >= shunned.threshold, "{shunned}");
            assert!(shunned.samples > 0, "{shunned}");
        }
        if !matches!(*rule, "health_signal" | "active_check") {
            assert!(shunned.observed > shunned.threshold, "{shunned}");
            assert!(shunned.peers.unwrap() < shunned.observed, "{shunned}");
        }
        let resumed = judged.iter().rfind(|it| it.change == Change::Resumed);
        assert_eq!(resumed.expect(rule).verdict.action, Action::Resumed);
    }
    let names = Hosts::new(1, Does::Well, false, |config| config).shown();
    for (name, _) in &names.endpoints[0].shunnings {
        assert!(walked.iter().any(|(_, rule)| rule == name), "{name}");
    }
}
