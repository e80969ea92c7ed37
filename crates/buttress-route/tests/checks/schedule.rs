//! When checks run, how many at once, and until when.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

use buttress_route::EndpointState;
use buttress_route::check::Checks;

use super::{Checked, Says, Ward, count, seconds};
use crate::common::{Backend, World, endpoint, ok_after};

#[test]
fn one_that_hangs_ends_at_its_timeout_and_delays_no_other() {
    let mut pool = Checked::of(4);
    pool.ward.set("0", Says::Nothing);
    pool.ward.set("1", Says::Panics);
    pool.pass(1, seconds(20));
    let shown = pool.world.handle().snapshot();
    let states: Vec<_> = shown.endpoints.iter().map(|it| it.state).collect();
    let (held, active) = (EndpointState::Held, EndpointState::Active);
    assert_eq!(states, [held, held, active, active]);
    let failure = |id| pool.shown(id).check.unwrap().last_failure;
    assert_eq!(failure("0").as_deref(), Some("no answer in time"));
    assert_eq!(failure("1").as_deref(), Some("the check panicked"));
    assert!(count(&pool.shown("0").checks, "timeout") >= 3);
    assert!(pool.ward.times("2") >= 4, "{}", pool.ward.times("2"));
}

#[test]
fn no_more_run_at_once_than_may_and_everybodys_turn_comes() {
    let two = NonZeroUsize::new(2).unwrap();
    let checks = Checks::default().concurrency(two);
    let mut pool = Checked::new(World::new(&[ok_after(1); 12]), checks);
    for id in 0..6 {
        pool.ward.set(&id.to_string(), Says::Nothing);
    }
    pool.pass(0, seconds(30));
    assert_eq!(pool.ward.most(), 2);
    let asked: BTreeSet<_> = pool.ward.asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked.len(), 12);
}

#[test]
fn checks_are_not_in_step() {
    let mut pool = Checked::new(World::new(&[ok_after(1); 16]), Checks::default());
    let mut most = 0;
    pool.pass(0, seconds(60));
    for _ in 0..100 {
        let before = pool.ward.asked.lock().unwrap().len();
        pool.pass(0, Duration::from_millis(100));
        most = most.max(pool.ward.asked.lock().unwrap().len() - before);
    }
    assert!(most < 8, "{most} of 16 within a tenth of a second");
}

#[test]
fn who_joins_is_asked_and_who_leaves_is_not() {
    let mut pool = Checked::of(2);
    pool.pass(1, seconds(6));
    let joins = Backend::new(&pool.world.time, ok_after(1));
    let endpoints = [
        endpoint((1, &pool.world.backends[1])),
        endpoint((7, &joins)),
    ];
    pool.world.handle().update(endpoints).unwrap();
    pool.pass(1, seconds(2));
    let left = pool.ward.times("0");
    pool.pass(1, seconds(20));
    assert_eq!(pool.ward.times("0"), left);
    assert!(pool.ward.times("7") >= 3);
}

#[test]
fn the_task_ends_with_the_pool_and_by_hand_and_others_take_over() {
    let mut pool = Checked::of(2);
    let others = Ward::default();
    let handle = pool.world.handle();
    let checks = Checks::default();
    handle
        .check(others.check(), checks, &pool.tasks.spawn())
        .unwrap();
    pool.pass(0, seconds(6));
    let (before, live) = (pool.ward.times("0"), pool.tasks.live());
    assert_eq!(live, 1);
    assert!(before <= 1 && others.times("0") >= 1);
    handle.stop_checks();
    pool.tasks.run();
    assert_eq!(pool.tasks.live(), 0);
    assert_eq!(pool.shown("0").check, None);
    handle
        .check(others.check(), checks, &pool.tasks.spawn())
        .unwrap();
    pool.tasks.run();
    assert_eq!(pool.tasks.live(), 1);
    drop(handle);
    let Checked { world, tasks, .. } = pool;
    drop(world);
    tasks.run();
    assert_eq!(tasks.live(), 0);
}
