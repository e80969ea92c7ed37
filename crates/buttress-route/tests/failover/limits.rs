//! How often, how late and how much is sent again.

use std::time::Duration;

use buttress_core::attempt::Attempt;
use buttress_core::deadline::Deadline;
use buttress_route::failover::Budget;
use http::Method;
use tokio_test::{assert_pending, assert_ready};

use super::{OK, Says, World, get, request};

#[test]
fn no_more_attempts_are_made_than_are_asked_for_and_each_but_the_first_says_which_it_is() {
    let mut world = World::new(&[Says::Status(502); 5]);
    assert_eq!(world.ask(get()).unwrap().0, 502);
    let attempts: Vec<_> = world.took().iter().map(|seen| seen.attempt).collect();
    let expected = [None, Some(Attempt::resent(1)), Some(Attempt::resent(2))];
    assert_eq!(attempts, expected);
    assert_eq!(world.given_up("attempts"), 1);
}

#[test]
fn a_body_beyond_the_limit_is_sent_once() {
    let mut world = World::with(&[Says::Refuses, OK], |it| it.max_body(8));
    let answers = (0..30).map(|_| world.ask(request(Method::PUT, "123456789")));
    let failed = answers.filter(Option::is_none).count();
    assert!(failed > 0);
    assert_eq!(world.handle().snapshot().resends(), 0);
}

#[test]
fn in_an_outage_no_more_is_sent_than_the_budget_holds_and_ever_less_with_time() {
    let budget = Budget::new(0.2, 2.0).burst(5);
    let mut world = World::with(&[Says::Status(503); 2], |it| it.budget(budget).attempts(2));
    (0..1_000).for_each(|_| drop(world.ask(get())));
    assert_eq!(
        world.took().len(),
        1_000 + 4,
        "each is dearer than the one before"
    );
    assert_eq!(world.given_up("budget"), 996);
    let mut again = [10, 10, 100].map(|seconds| {
        world.time.advance(Duration::from_secs(seconds));
        (0..1_000).for_each(|_| drop(world.ask(get())));
        world.took().len() - 1_000
    });
    assert!(
        again[0] < 5 && again[1] <= again[0] && again[2] <= 2,
        "{again:?}"
    );
    again.sort_unstable();
    assert!(
        again[0] > 0,
        "and yet it is found out when others are well: {again:?}"
    );
}

#[test]
fn after_an_outage_what_is_sent_again_soon_costs_no_more_than_before() {
    let budget = Budget::new(0.2, 2.0).burst(10);
    let mut world = World::with(&[Says::Status(503); 2], |it| it.budget(budget).attempts(2));
    (0..100).for_each(|_| drop(world.ask(get())));
    *world.says.lock().unwrap() = vec![OK; 2];
    (0..100).for_each(|_| drop(world.ask(get())));
    let left = |world: &World| world.handle().snapshot().budget;
    assert!(left(&world) < 6, "each still costs more");
    for _ in 0..50 {
        world.time.advance(Duration::from_secs(5));
        *world.says.lock().unwrap() = vec![Says::Status(503), OK];
        let answers: Vec<_> = (0..4).map(|_| world.ask(get()).unwrap().0).collect();
        assert_eq!(answers, [200; 4]);
        *world.says.lock().unwrap() = vec![OK; 2];
        (0..100).for_each(|_| drop(world.ask(get())));
    }
    assert!(left(&world) >= 9);
}

#[test]
fn no_attempt_is_begun_when_it_is_too_late() {
    let mut world = World::with(&[Says::Nothing; 2], |it| it.within(Duration::from_secs(1)));
    for (waited, attempts) in [(1_001, 1), (1_000, 2)] {
        *world.says.lock().unwrap() = vec![Says::Nothing; 2];
        let mut call = world.start(get());
        assert_pending!(call.poll());
        world.time.advance(Duration::from_millis(waited));
        *world.says.lock().unwrap() = vec![Says::Status(503); 2];
        assert_eq!(assert_ready!(call.poll()).unwrap().status(), 503);
        assert_eq!(world.took().len(), attempts, "after {waited} ms");
    }
    for (left, attempts) in [(0, 1), (1, 2)] {
        let mut request = get();
        let deadline = world.time.now().saturating_add(Duration::from_secs(left));
        request.extensions_mut().insert(Deadline(deadline));
        assert_eq!(world.ask(request).unwrap().0, 503);
        assert_eq!(world.took().len(), attempts, "{left} s before the deadline");
    }
    assert_eq!(world.given_up("late"), 2);
}
