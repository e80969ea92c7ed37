//! The future of a routed request.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use buttress_core::body::Watched;
use buttress_core::classify::ClassifyHttp;
use buttress_core::decision::Picked;
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::readying::ReadyingWait;
use buttress_core::reject::{Rejected, is_grpc};
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::attempt::{Attempt, Readied, call};
use crate::attempted;
use crate::permit::Permit;
use crate::pool::Pick;

/// The body of a routed response: the endpoint's own, watched to its end.
pub type RoutedBody<B, C, E> = JudgedBody<B, C, Permit, E>;

/// When a client that found no endpoint may come back.
pub(crate) const COME_BACK: Duration = Duration::from_secs(1);
/// How the router refuses a request that has been sent to all there are.
pub(crate) const NO_OTHER: (&str, &str) = ("route", "no_other_endpoint");

pin_project! {
    /// The future of [`crate::HealthRouter`]: makes the endpoint ready, calls it, and judges what
    /// comes of it. Dropping it gives the endpoint's place back.
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<S, B, C>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, C, S::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, C, F>
    where
        S: Service<Request<B>>,
    {
        Calling {
            #[pin]
            judge: Judge<F, C, Permit>,
            picked: Option<Box<Picked>>,
        },
        // On the heap: a request whose endpoint is ready does not carry the room for it about.
        Readying { attempt: Option<Box<Attempt<S, B, C>>> },
        Refused { refusal: Option<(Rejected, bool)> },
    }
}

impl<S, B, C> ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    pub(crate) fn send(pick: Pick<S>, request: Request<B>, classify: C) -> Self {
        let Pick {
            permit,
            mut service,
            ready_deadline,
            picked,
            number: _,
        } = pick;
        let mut guard = Guard::new(permit);
        // Asked without a waker, because most are ready at once and the request is then not kept.
        // Whoever is not is asked again in the first poll.
        guard.enter();
        let failed = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                let judge = call(service, request, classify, guard);
                return Self {
                    state: State::Calling { judge, picked },
                };
            }
            Poll::Ready(Err(error)) => Some(error),
            Poll::Pending => None,
        };
        guard.leave();
        let attempt = Box::new(Attempt {
            service,
            request,
            classify,
            guard,
            picked,
            ready_deadline,
            wait: failed.is_none().then(ReadyingWait::begin),
            failed,
            sleep: None,
        });
        Self {
            state: State::Readying {
                attempt: Some(attempt),
            },
        }
    }

    /// The same, where nobody else's code runs before the first poll.
    pub(crate) fn send_when_polled(pick: Pick<S>, request: Request<B>, classify: C) -> Self {
        let attempt = Box::new(Attempt {
            service: pick.service,
            request,
            classify,
            guard: Guard::new(pick.permit),
            picked: pick.picked,
            ready_deadline: pick.ready_deadline,
            wait: None,
            failed: None,
            sleep: None,
        });
        Self {
            state: State::Readying {
                attempt: Some(attempt),
            },
        }
    }

    pub(crate) fn no_endpoint(request: &Request<B>) -> Self {
        let (by, reason) = match attempted::of(request) {
            None => ("route", "no_endpoint"),
            Some(_) => NO_OTHER,
        };
        let rejected = Rejected::new(by, reason).retry_after(COME_BACK);
        Self {
            state: State::Refused {
                refusal: Some((rejected, is_grpc(request.headers()))),
            },
        }
    }
}

impl<S, B, C, ResBody> Future for ResponseFuture<S, B, C>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
    C: ClassifyHttp<S::Error>,
{
    type Output = Result<Response<RoutedBody<ResBody, C, S::Error>>, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if !matches!(*state, State::Calling { .. })
            && let Some(answer) = ready!(poll_uncalled(state.as_mut(), cx))
        {
            return Poll::Ready(answer);
        }
        let StateProj::Calling { judge, picked } = state.project() else {
            // Not to be reached: where there is no answer there is a call.
            return Poll::Pending;
        };
        // Where nothing is to be marked the large response is not touched.
        if picked.is_none() {
            return judge.poll(cx);
        }
        let mut response = ready!(judge.poll(cx))?;
        mark(&mut response, picked.take());
        Poll::Ready(Ok(response))
    }
}

/// What comes of a request.
type Answer<B, C, E> = Result<Response<RoutedBody<B, C, E>>, E>;

/// What is answered without a call, if none is made now. Apart from what most requests pass, and not cold: behind an empty
/// pool all pass it.
#[inline(never)]
fn poll_uncalled<S, B, C, ResBody>(
    mut state: Pin<&mut State<S, B, C, S::Future>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Answer<ResBody, C, S::Error>>>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
    C: ClassifyHttp<S::Error>,
{
    match state.as_mut().project() {
        StateProj::Calling { .. } => Poll::Ready(None),
        StateProj::Readying { attempt } => {
            let Some(waiting) = attempt.as_mut() else {
                // Polled again after it has ended.
                return Poll::Pending;
            };
            let readied = ready!(waiting.poll_ready(cx));
            let Some(attempt) = attempt.take() else {
                return Poll::Pending;
            };
            Poll::Ready(match readied {
                Readied::Yes => {
                    let (judge, picked) = attempt.call();
                    state.set(State::Calling { judge, picked });
                    None
                }
                Readied::Failed(error) => Some(Err(attempt.fail(error))),
                Readied::TooLate => Some(Ok(attempt.give_up())),
            })
        }
        StateProj::Refused { refusal } => {
            let Some((rejected, grpc)) = refusal.take() else {
                return Poll::Pending;
            };
            let response = rejected.into_response(grpc, Watched::empty());
            Poll::Ready(Some(Ok(response)))
        }
    }
}

/// Says in the response where it is from, if that is asked for.
#[inline]
pub(crate) fn mark<B>(response: &mut Response<B>, picked: Option<Box<Picked>>) {
    if let Some(picked) = picked {
        response.extensions_mut().insert(*picked);
    }
}

impl<S, B, C> fmt::Debug for ResponseFuture<S, B, C>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Readying { .. } => "readying",
            State::Calling { .. } => "calling",
            State::Refused { .. } => "refused",
        };
        f.debug_struct("ResponseFuture")
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
