//! Which failures are tried again, and which are not.

use std::time::Duration;

use buttress_route::failover::Budget;
use http::{Method, StatusCode};
use tokio_test::assert_ready;

use super::{Mark, OK, Says, World, get, request};

#[test]
fn a_request_that_never_reached_an_endpoint_goes_to_another_whatever_its_method() {
    for says in [
        Says::Refuses,
        Says::BreaksReadying,
        Says::Marked(Mark::Unsent),
    ] {
        let mut world = World::with(&[says, OK], |it| it.budget(Budget::new(0.0, 0.0).burst(1)));
        for _ in 0..40 {
            let answer = world.ask(request(Method::POST, "pay"));
            assert_eq!(answer, Some((200, "1".into())), "{says:?}");
        }
        assert!(world.resent("unsent") > 0, "{says:?}");
        assert!(world.took().iter().all(|seen| seen.body == "pay"));
    }
}

#[test]
fn an_endpoint_that_is_not_ready_in_time_has_not_had_the_request() {
    let mut world = World::new(&[Says::IsNotReady, OK]);
    let waited = (0..20).any(|_| {
        let mut call = world.start(request(Method::POST, "x"));
        if call.poll().is_ready() {
            return false;
        }
        world.time.advance(Duration::from_millis(200));
        assert_eq!(assert_ready!(call.poll()).unwrap().status(), 200);
        true
    });
    assert!(waited, "it was never picked");
    assert_eq!(world.resent("unsent"), 1);
}

#[test]
fn what_may_have_been_done_is_done_again_only_if_that_is_safe() {
    for says in [
        Says::Status(503),
        Says::Breaks,
        Says::Marked(Mark::Deadline),
    ] {
        for (method, again) in [
            (Method::GET, true),
            (Method::PUT, true),
            (Method::DELETE, true),
            (Method::POST, false),
            (Method::PATCH, false),
        ] {
            let mut world = World::new(&[says, OK]);
            let answers: Vec<_> = (0..30)
                .map(|_| world.ask(request(method.clone(), "x")))
                .collect();
            let all_well = answers.iter().all(|it| *it == Some((200, "1".into())));
            assert_eq!(all_well, again, "{method} {says:?}");
            assert_eq!(world.given_up("not_idempotent") > 0, !again);
        }
    }
}

#[test]
fn the_user_may_say_that_it_is_safe_and_a_client_only_where_it_is_believed() {
    let post = || {
        let mut request = request(Method::POST, "x");
        request
            .headers_mut()
            .insert("idempotency-key", http::HeaderValue::from_static("7"));
        request
    };
    let all_well = |world: &mut World| (0..30).all(|_| world.ask(post()).unwrap().0 == 200);
    let pool = [Says::Status(503), OK];
    assert!(!all_well(&mut World::new(&pool)));
    assert!(all_well(
        &mut World::with(&pool, |it| it.idempotency_key(true))
    ));
    assert!(all_well(&mut World::with(&pool, |it| {
        it.idempotent(|head| head.uri.path() == "/")
    })));
}

#[test]
fn a_failure_that_another_would_give_as_well_and_a_refusal_of_our_own_are_the_answer() {
    for says in [
        Says::Status(500),
        Says::Status(404),
        Says::Marked(Mark::Rejected),
    ] {
        let mut world = World::new(&[says; 2]);
        world.ask(get()).unwrap();
        assert_eq!(world.took().len(), 1, "{says:?}");
        assert_eq!(world.handle().snapshot().resends(), 0);
    }
    let listed = [StatusCode::INTERNAL_SERVER_ERROR];
    let mut world = World::with(&[Says::Status(500), OK], |it| it.statuses(listed));
    assert!((0..30).all(|_| world.ask(get()).unwrap().0 == 200));
}
