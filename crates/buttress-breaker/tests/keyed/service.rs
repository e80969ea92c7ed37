//! Services that are guarded by the key of each request.

use super::*;

#[test]
fn a_service_asks_the_breaker_of_the_requests_key_and_readies_its_inner_service_once() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    let failing = service_fn(|n: u32| std::future::ready(if n == 1 { Err("no") } else { Ok(n) }));
    let limited = ServiceBuilder::new()
        .layer(ConcurrencyLimitLayer::new(1))
        .service(failing);
    let mut service = breakers.plain_layer(|n: &u32| *n).layer(limited);
    let ready = |service: &mut _| assert_ready_ok!(poll_ready(service));
    for _ in 0..2 {
        ready(&mut service);
        let error = assert_ready_err!(task::spawn(service.call(1)).poll());
        assert_eq!(error, BreakerError::Inner("no"));
    }
    ready(&mut service);
    let error = assert_ready_err!(task::spawn(service.call(1)).poll());
    assert_eq!(error.rejected().unwrap().retry_after, Some(OPEN_FOR));
    // The rejected call has given its permit back: there is only one.
    let mut other = service.clone();
    ready(&mut other);
    assert_eq!(assert_ready_ok!(task::spawn(other.call(2)).poll()), 2);
}

fn poll_ready<S: Service<u32>>(service: &mut S) -> std::task::Poll<Result<(), S::Error>> {
    task::spawn(std::future::poll_fn(|cx| service.poll_ready(cx))).poll()
}

#[test]
fn a_key_function_that_panics_harms_its_own_request_alone() {
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    let inner = service_fn(|n: u32| std::future::ready(Ok::<_, Infallible>(n)));
    let key = |n: &u32| {
        assert!(*n != 1, "in the key function");
        *n
    };
    let mut service = breakers.plain_layer(key).layer(inner);
    assert_ready_ok!(poll_ready(&mut service));
    assert!(catch_unwind(AssertUnwindSafe(|| service.call(1))).is_err());
    assert_eq!(assert_ready_ok!(task::spawn(service.call(2)).poll()), 2);
}

#[test]
fn layers_services_and_futures_have_the_auto_traits_of_what_they_wrap() {
    fn all<T: Send + Sync + Unpin + Clone + 'static>(_: &T) {}
    fn future<T: Send + Sync + Unpin + 'static>(_: &T) {}
    let time = ManualClock::new();
    let breakers = keyed(&time, 10);
    let inner = service_fn(|n: u32| std::future::ready(Ok::<_, Infallible>(n)));
    let layer = breakers.plain_layer(|n: &u32| *n);
    let mut service = layer.layer(inner);
    all(&breakers);
    all(&breakers.handle());
    all(&layer);
    all(&service);
    future(&service.call(1));
}
