//! One call of a service: made at once where it is ready, and where it is not, once it is.

use std::convert::Infallible;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

pin_project! {
    /// The future of a call. The service that is polled ready is the one that is called.
    #[must_use = "futures do nothing unless polled"]
    pub struct Called<S: Service<R>, R> {
        #[pin]
        state: State<S, R, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, R, F> {
        Calling { #[pin] future: F },
        // On the heap: a request whose service is ready does not carry the room for it about.
        Readying { waiting: Option<Box<(S, R)>> },
    }
}

impl<S, R> Called<S, R>
where
    S: Service<R, Error = Infallible> + Clone,
{
    /// Calls `service` at once if it is ready, which spares a healthy request a move into the
    /// future and another out of it. Otherwise takes it along, and leaves a clone in its place.
    pub fn new(service: &mut S, request: R) -> Self {
        // Where it is not ready it is polled again, with a waker that wakes somebody.
        let readied = service.poll_ready(&mut Context::from_waker(Waker::noop()));
        if readied.is_pending() {
            return Self::readying(service, request);
        }
        Self {
            state: State::Calling {
                future: service.call(request),
            },
        }
    }

    #[cold]
    fn readying(service: &mut S, request: R) -> Self {
        let left = service.clone();
        let service = mem::replace(service, left);
        Self {
            state: State::Readying {
                waiting: Some(Box::new((service, request))),
            },
        }
    }
}

impl<S, R> Future for Called<S, R>
where
    S: Service<R, Error = Infallible>,
{
    type Output = Result<S::Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if let StateProj::Readying { waiting } = state.as_mut().project() {
            let future = ready!(poll_readied(waiting, cx));
            state.set(State::Calling { future });
        }
        match state.project() {
            StateProj::Calling { future } => future.poll(cx),
            StateProj::Readying { .. } => Poll::Pending,
        }
    }
}

/// The call that is made once the service is ready, apart from what most calls pass.
#[cold]
fn poll_readied<S, R>(waiting: &mut Option<Box<(S, R)>>, cx: &mut Context<'_>) -> Poll<S::Future>
where
    S: Service<R, Error = Infallible>,
{
    let Some((service, _)) = waiting.as_deref_mut() else {
        return Poll::Pending;
    };
    let Ok(()) = ready!(service.poll_ready(cx));
    let Some((mut service, request)) = waiting.take().map(|waiting| *waiting) else {
        return Poll::Pending;
    };
    Poll::Ready(service.call(request))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Ready, ready};

    /// Ready every second time it is asked; a clone starts anew, and tells itself apart.
    struct Shy {
        asked: u32,
        generation: u32,
    }

    impl Clone for Shy {
        fn clone(&self) -> Self {
            Self {
                asked: 0,
                generation: self.generation + 1,
            }
        }
    }

    impl Service<()> for Shy {
        type Response = u32;
        type Error = Infallible;
        type Future = Ready<Result<u32, Infallible>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            self.asked += 1;
            if self.asked.is_multiple_of(2) {
                return Poll::Ready(Ok(()));
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn call(&mut self, (): ()) -> Self::Future {
            assert!(self.asked.is_multiple_of(2), "called without being ready");
            ready(Ok(self.generation))
        }
    }

    #[tokio::test]
    async fn the_service_that_was_polled_is_the_one_that_is_called() {
        let mut service = Shy {
            asked: 0,
            generation: 0,
        };
        assert_eq!(Called::new(&mut service, ()).await, Ok(0));
        assert_eq!(service.generation, 1);
    }

    #[test]
    fn a_ready_service_is_called_at_once_and_stays() {
        let mut service = Shy {
            asked: 1,
            generation: 0,
        };
        let called = Called::new(&mut service, ());
        assert!(matches!(called.state, State::Calling { .. }));
        assert_eq!(service.generation, 0);
    }
}
