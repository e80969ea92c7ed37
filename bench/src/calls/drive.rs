//! Calling a service without a runtime.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tower_service::Service;

/// Readies and calls `service` with each of `requests` and polls until each is answered; returns how
/// many calls succeeded.
#[inline]
pub(crate) fn drive<S, R>(service: &mut S, requests: impl Iterator<Item = R>) -> u64
where
    S: Service<R>,
{
    let mut context = Context::from_waker(Waker::noop());
    let mut succeeded = 0;
    for request in requests {
        let ready = until_ready(|| service.poll_ready(&mut context));
        if ready.is_err() {
            continue;
        }
        let mut call = pin!(service.call(black_box(request)));
        let answer = until_ready(|| call.as_mut().poll(&mut context));
        succeeded += u64::from(black_box(answer).is_ok());
    }
    succeeded
}

/// What waits here waits for another thread's lock, which is free again at once.
#[inline]
fn until_ready<T>(mut poll: impl FnMut() -> Poll<T>) -> T {
    loop {
        match poll() {
            Poll::Ready(value) => return value,
            Poll::Pending => std::hint::spin_loop(),
        }
    }
}
