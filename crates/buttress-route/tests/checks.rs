//! What active checks say throws out and lets back, within the budget, and never outweighs what requests
//! have shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

mod common;

#[path = "checks/schedule.rs"]
mod schedule;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress_core::events::Received;
use buttress_core::health::HealthStatus;
use buttress_core::metric::Collect;
use buttress_core::rng::Rng;
use buttress_core::verdict::Action;
use buttress_route::check::{
    Check, CheckError, CheckFailed, CheckFn, Checks, GrpcCheck, HttpCheck,
};
use buttress_route::{Change, EndpointSnapshot, EndpointState};
use bytes::Bytes;
use common::{Mode, Tasks, World, ok_after};
use http_body_util::Full;

/// How a checked endpoint answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Well,
    Ill,
    Nothing,
    Panics,
}

/// What checks are told, by endpoint, and what they do.
#[derive(Clone, Default)]
struct Ward {
    says: Arc<Mutex<BTreeMap<String, Says>>>,
    asked: Arc<Mutex<Vec<String>>>,
    under_way: Arc<Mutex<(usize, usize)>>,
}

/// Counts a check as under way.
struct UnderWay(Arc<Mutex<(usize, usize)>>);

impl UnderWay {
    fn new(of: &Arc<Mutex<(usize, usize)>>) -> Self {
        let mut now = of.lock().unwrap();
        *now = (now.0 + 1, now.1.max(now.0 + 1));
        Self(Arc::clone(of))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

impl Ward {
    fn set(&self, id: &str, says: Says) {
        self.says.lock().unwrap().insert(id.to_owned(), says);
    }

    fn check<S: Send + 'static>(&self) -> impl Check<S> + use<S> {
        let ward = self.clone();
        CheckFn::new("ward", move |id: Arc<str>, _: S| {
            ward.asked.lock().unwrap().push(id.to_string());
            let says = ward.says.lock().unwrap().get(&*id).copied();
            let under_way = UnderWay::new(&ward.under_way);
            async move {
                let _under_way = under_way;
                match says.unwrap_or(Says::Well) {
                    Says::Well => Ok(()),
                    Says::Ill => Err(CheckFailed::new("it coughs")),
                    Says::Nothing => std::future::pending().await,
                    Says::Panics => panic!("in the check"),
                }
            }
        })
    }

    fn times(&self, id: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| *asked == id).count()
    }

    /// The most that were under way at once.
    fn most(&self) -> usize {
        self.under_way.lock().unwrap().1
    }
}

struct Checked {
    world: World,
    ward: Ward,
    tasks: Tasks,
}

impl Checked {
    fn new(world: World, checks: Checks) -> Self {
        let (ward, tasks) = (Ward::default(), Tasks::default());
        let handle = world.handle();
        handle.check(ward.check(), checks, &tasks.spawn()).unwrap();
        tasks.run();
        Self { world, ward, tasks }
    }

    fn of(count: usize) -> Self {
        Self::new(World::new(&vec![ok_after(1); count]), Checks::default())
    }

    /// Time passes, with as many requests each tenth of a second.
    fn pass(&mut self, requests: u32, duration: Duration) -> common::Ended {
        let mut all = common::Ended::default();
        for _ in 0..duration.as_millis() / 100 {
            let at_once = self.world.one_by_one_detached(requests);
            let later = self.world.pass(Duration::from_millis(100));
            for ended in [at_once, later] {
                all.errors += ended.errors;
                all.rejected += ended.rejected;
                for (id, count) in ended.ok {
                    *all.ok.entry(id).or_default() += count;
                }
                for (id, count) in ended.bad {
                    *all.bad.entry(id).or_default() += count;
                }
            }
            self.tasks.run();
        }
        all
    }

    fn shown(&self, id: &str) -> EndpointSnapshot {
        self.world.handle().snapshot().endpoint(id).unwrap().clone()
    }

    fn state(&self, id: &str) -> EndpointState {
        self.shown(id).state
    }
}

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn count(of: &[(&'static str, u64)], name: &str) -> u64 {
    of.iter().find(|it| it.0 == name).unwrap().1
}

#[test]
fn failures_in_a_row_take_an_endpoint_out_and_successes_let_it_back_each_with_its_verdict() {
    let mut pool = Checked::of(3);
    let mut events = pool.world.handle().subscribe();
    pool.pass(1, seconds(10));
    assert_eq!(pool.shown("0").check.unwrap().said, HealthStatus::Healthy);

    pool.ward.set("0", Says::Ill);
    let asked = pool.ward.times("0");
    while pool.state("0") == EndpointState::Active {
        pool.pass(1, Duration::from_millis(100));
        assert!(pool.ward.times("0") - asked <= 3, "it is still in");
    }
    assert_eq!(pool.ward.times("0") - asked, 3);
    assert_eq!(pool.state("0"), EndpointState::Held);
    let shown = pool.shown("0");
    let verdict = shown.last_verdict.clone().unwrap();
    assert_eq!(
        (&*verdict.rule, &verdict.action),
        ("active_check", &Action::Held)
    );
    assert_eq!(
        (verdict.observed, verdict.threshold, verdict.samples),
        (3.0, 3.0, 3)
    );
    let check = shown.check.unwrap();
    assert_eq!(
        (&*check.check, check.said),
        ("ward", HealthStatus::Unhealthy)
    );
    assert_eq!(check.last_failure.as_deref(), Some("it coughs"));
    assert_eq!(count(&shown.ejections, "active_check"), 1);
    let ended = pool.pass(2, seconds(20));
    assert_eq!(ended.ok.get("0"), None, "no request is its probe");

    pool.ward.set("0", Says::Well);
    pool.pass(1, seconds(4));
    assert_eq!(pool.state("0"), EndpointState::Active);
    assert_eq!(&*pool.shown("0").last_verdict.unwrap().rule, "active_check");
    assert!(pool.pass(2, seconds(2)).ok.contains_key("0"));
    let transitions = std::iter::from_fn(|| events.try_recv()).filter(|event| {
        matches!(event, Received::Event(event) if matches!(event.change, Change::Transition { .. }))
    });
    assert_eq!(transitions.count(), 2);
}

#[test]
fn fewer_failures_than_it_takes_change_nothing() {
    let mut pool = Checked::of(2);
    pool.pass(1, seconds(8));
    let fell = pool.ward.times("0");
    pool.ward.set("0", Says::Ill);
    while pool.ward.times("0") < fell + 2 {
        pool.pass(1, Duration::from_millis(100));
    }
    pool.ward.set("0", Says::Well);
    pool.pass(1, seconds(10));
    assert_eq!(
        pool.shown("0")
            .ejections
            .iter()
            .map(|rule| rule.1)
            .sum::<u64>(),
        0
    );
    assert_eq!(count(&pool.shown("0").checks, "failure"), 2);
}

#[test]
fn where_all_fail_their_checks_the_budget_holds_and_all_requests_are_sent() {
    let mut pool = Checked::of(4);
    for id in ["0", "1", "2", "3"] {
        pool.ward.set(id, Says::Ill);
    }
    let ended = pool.pass(4, seconds(30));
    assert_eq!((ended.errors, ended.total_bad()), (0, 0));
    let shown = pool.world.handle().snapshot();
    let held = shown
        .endpoints
        .iter()
        .filter(|it| it.state == EndpointState::Held);
    assert_eq!(held.count(), 2, "half of them is the budget");
    let suspects: Vec<_> = shown.endpoints.iter().filter(|it| it.suspect).collect();
    assert_eq!(suspects.len(), 2);
    for suspect in suspects {
        let verdict = suspect.last_verdict.clone().unwrap();
        assert_eq!(verdict.action, Action::Suppressed("max_ejected".into()));
    }
}

#[test]
fn a_liar_is_thrown_out_by_its_requests_and_not_let_back_by_its_checks_before_its_backoff() {
    let world = World::new(&[Mode::Status(500, Duration::ZERO), ok_after(1), ok_after(1)]);
    let mut pool = Checked::new(world, Checks::default());
    let mut events = pool.world.handle().subscribe();
    let ended = pool.pass(5, seconds(120));
    let shown = pool.shown("0");
    assert_eq!(
        count(&shown.checks, "failure"),
        0,
        "it says that it is well"
    );
    assert!(count(&shown.checks, "success") > 20);
    // Five failures to be thrown out, and then one for each of the longer and longer backoffs.
    assert!(
        shown.outcomes.failure < 5 + 2 * (120 / 5),
        "{:?}",
        shown.outcomes
    );
    assert!(ended.bad.get("0").copied().unwrap_or(0) < 60, "{ended:?}");
    let mut out_since = None;
    while let Some(Received::Event(event)) = events.try_recv() {
        let Change::Transition { to, .. } = event.change else {
            continue;
        };
        match (to, out_since) {
            (EndpointState::Ejected, _) => {
                let Action::Opened(open_for) = event.verdict.action else {
                    panic!("{event:?}");
                };
                out_since = Some(event.at.saturating_add(open_for));
            }
            (EndpointState::Probing | EndpointState::Active, Some(until)) => {
                assert!(event.at >= until, "before its backoff was over: {event:?}");
            }
            _ => {}
        }
    }
    assert!(out_since.is_some());
}

#[test]
fn an_endpoint_that_is_still_ill_is_found_out_by_its_check_and_costs_no_request() {
    let world = World::new(&[Mode::Refuse, ok_after(1), ok_after(1)]);
    let mut pool = Checked::new(world, Checks::default());
    while pool.state("0") == EndpointState::Active {
        pool.pass(5, Duration::from_millis(100));
    }
    let before = pool.shown("0").outcomes.failure;
    // The check says so as well, but not often enough to hold it: it fails as a probe.
    let fall = NonZeroU32::new(1_000_000).unwrap();
    let checks = Checks::default().fall(fall);
    let handle = pool.world.handle();
    handle
        .check(pool.ward.check(), checks, &pool.tasks.spawn())
        .unwrap();
    pool.ward.set("0", Says::Ill);
    pool.pass(5, seconds(120));
    let shown = pool.shown("0");
    assert_eq!(shown.outcomes.failure, before, "no request was its probe");
    assert!(count(&shown.probes, "failure") >= 5, "{:?}", shown.probes);

    pool.ward.set("0", Says::Well);
    pool.world.backends[0].set(ok_after(1));
    pool.pass(5, seconds(25));
    assert_eq!(pool.state("0"), EndpointState::Active);
}

#[test]
fn where_checks_do_not_come_requests_probe() {
    let world = World::new(&[Mode::Refuse, ok_after(1), ok_after(1)]);
    let mut pool = Checked::new(world, Checks::default());
    while pool.state("0") == EndpointState::Active {
        pool.pass(5, Duration::from_millis(100));
    }
    pool.world.backends[0].set(ok_after(1));
    // The task lives, and nobody runs it any more.
    let stalled = std::mem::take(&mut pool.tasks);
    pool.pass(5, seconds(25));
    assert_eq!(pool.state("0"), EndpointState::Active);
    assert_eq!(stalled.live(), 1);
}

#[test]
fn what_a_checker_has_said_is_forgotten_when_it_goes_and_when_it_says_no_more() {
    for stalls in [false, true] {
        let mut pool = Checked::of(3);
        pool.ward.set("0", Says::Ill);
        pool.pass(1, seconds(10));
        assert_eq!(pool.state("0"), EndpointState::Held);
        let _stalled = stalls.then(|| std::mem::take(&mut pool.tasks));
        if !stalls {
            pool.world.handle().stop_checks();
        }
        pool.pass(1, seconds(90));
        assert_eq!(pool.state("0"), EndpointState::Active);
    }
}

#[test]
fn what_makes_no_sense_or_cannot_run_is_refused() {
    let world = World::new(&[ok_after(1)]);
    let (handle, ward, tasks) = (world.handle(), Ward::default(), Tasks::default());
    let wrong = Checks::default().jitter(2.0);
    let refused = handle
        .check(ward.check(), wrong, &tasks.spawn())
        .unwrap_err();
    assert!(matches!(refused, CheckError::Config(error) if error.field() == "jitter"));
    let full = tasks.spawn().cap(0);
    let refused = handle.check(ward.check(), Checks::default(), &full);
    assert!(matches!(refused, Err(CheckError::Spawn(_))));
    assert!(HttpCheck::<Full<Bytes>>::get("healthz").is_err());
    assert!(HttpCheck::<Full<Bytes>>::get("http://a/healthz").is_err());
    assert!(GrpcCheck::<Full<Bytes>>::new("a b").is_err());
}

#[test]
fn checks_are_counted_in_the_metrics_and_only_where_there_are_some() {
    let points = |world: &World| {
        let mut families = Vec::new();
        world.handle().collect(&mut families);
        let mut families = families.into_iter();
        let family = families.find(|it| it.name == "buttress_endpoint_checks");
        family.map(|family| family.points.len())
    };
    assert_eq!(points(&World::new(&[ok_after(1); 2])), None);
    let mut pool = Checked::of(2);
    pool.pass(1, seconds(2));
    assert_eq!(points(&pool.world), Some(2 * 3));
}

#[test]
fn no_step_of_the_clock_keeps_an_endpoint_out_that_checks_find_well() {
    for seed in 0..10 {
        let (mut pool, rng) = (Checked::of(3), Rng::seeded(seed));
        for _ in 0..200 {
            let length = Duration::from_millis(1 << rng.below(31));
            match rng.below(3) {
                0 => pool.world.time.turn_back(length.min(seconds(300))),
                _ => pool.world.time.advance(length),
            }
            let says = [Says::Well, Says::Ill, Says::Nothing][rng.below(3)];
            pool.ward.set(&rng.below(3).to_string(), says);
            pool.tasks.run();
            pool.world.one_by_one_detached(1);
        }
        assert!(pool.ward.most() <= 3, "one of each at a time");
        (0..3).for_each(|id| pool.ward.set(&id.to_string(), Says::Well));
        pool.world.time.advance(seconds(86_400));
        pool.tasks.run();
        pool.pass(2, seconds(60));
        for id in ["0", "1", "2"] {
            assert_eq!(pool.state(id), EndpointState::Active, "{seed}");
        }
    }
}
