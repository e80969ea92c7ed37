//! Requests that belong to endpoints by a key.

use std::collections::BTreeMap;
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::outcome::Outcome;
use buttress_route::{Affinity, Config, Endpoint, HealthRouter};

use super::{HASH, index, pool, pool_at};

#[test]
fn a_key_stays_with_its_endpoint_whatever_others_do() {
    let pool = pool(HASH, &[1, 2, 3, 1, 5]);
    let home = |key| pool.try_acquire_for(key).unwrap().id().clone();
    let homes: Vec<_> = (0..200).map(home).collect();
    assert_eq!(homes, (0..200).map(home).collect::<Vec<_>>());
}

#[test]
fn a_key_that_everybody_asks_for_overflows_in_a_pool_too_large_to_be_counted() {
    let time = ManualClock::new();
    let pool = pool_at(&time, HASH, &[1; 100]);
    let (mut held, mut in_flight) = (Vec::new(), vec![0_u32; 100]);
    for _ in 0..1_000 {
        let picked = pool.try_acquire_for(7).unwrap();
        in_flight[index(&picked)] += 1;
        held.push(picked);
        time.advance(Duration::from_millis(1));
    }
    // A quarter more than the mean, and the one that is sent.
    assert!(in_flight.iter().all(|it| *it <= 14), "{in_flight:?}");
    let homes = in_flight.iter().filter(|it| **it > 0).count();
    assert!(homes >= 72, "{homes}");
}

#[test]
fn the_key_is_taken_from_the_request_as_the_configuration_says() {
    use http::{HeaderName, Request, Response};
    use tower::{Service as _, service_fn};
    let answer = |name: &'static str| {
        let answer = move |_: Request<()>| async move {
            Ok::<_, std::convert::Infallible>(Response::new(http_body_util::Full::new(
                bytes::Bytes::from(name),
            )))
        };
        Endpoint::new(name, service_fn(answer))
    };
    let config = Config::new("test")
        .policy(HASH)
        .affinity(Affinity::header(HeaderName::from_static("x-user")))
        .picked(true);
    let mut router = HealthRouter::new(config, ["a", "b", "c", "d"].map(answer)).unwrap();
    let mut seen = BTreeMap::new();
    for call in 0..400 {
        let user = call % 40;
        let request = Request::builder().header("x-user", user);
        let mut response = tokio_test::task::spawn(router.call(request.body(()).unwrap()));
        let response = tokio_test::assert_ready!(response.poll()).unwrap();
        let picked: &buttress_route::Picked = response.extensions().get().unwrap();
        let home = seen.entry(user).or_insert_with(|| picked.clone());
        assert_eq!(home, picked, "user {user}");
    }
    let homes: std::collections::BTreeSet<_> = seen.into_values().collect();
    assert_eq!(homes.len(), 4);
}

#[test]
fn a_request_without_a_key_goes_wherever_the_cost_is_least() {
    let pool = pool(HASH, &[1; 4]);
    let mut ids = BTreeMap::new();
    for _ in 0..400 {
        let picked = pool.try_acquire().unwrap();
        *ids.entry(picked.id().to_string()).or_insert(0) += 1;
        picked.record(Outcome::Ignored);
    }
    assert_eq!(ids.len(), 4, "{ids:?}");
}
