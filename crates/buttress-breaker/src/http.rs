//! HTTP services: a rejection is a response, and a call ends with its body.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::body::{Watched, is_head};
use buttress_core::classify::ClassifyHttp;
use buttress_core::decision::{Admission, Guarded};
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::protocol::Http;
use buttress_core::reject::{Rejected, is_grpc};
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::inner::Inner;
use crate::permit::Permit;
use crate::readying::{Readied, Readying};
use crate::refusal::Refusal;
use crate::service::{BreakerService, Guarding};

/// The body of a guarded response: the inner service's own, watched to its end.
pub type ResponseBody<B, C, E> = JudgedBody<B, C, Permit, E>;

impl<S, C, ReqB, ResB> Service<Request<ReqB>> for BreakerService<S, Http, C>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    C: ClassifyHttp<S::Error> + Clone,
    ResB: Body,
{
    type Response = Response<ResponseBody<ResB, C, S::Error>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqB, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_inner_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        match self.acquire() {
            Ok(permit) => self.start(permit, request),
            Err(refusal) => {
                let explained = self.breaker.shared().hot.explain(Admission::Rejected);
                ResponseFuture::rejected(refusal, is_grpc(request.headers()), explained)
            }
        }
    }
}

impl<S, C, ReqB, ResB> Guarding<Request<ReqB>> for BreakerService<S, Http, C>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    C: ClassifyHttp<S::Error> + Clone,
    ResB: Body,
{
    fn admit(&mut self, _: &Request<ReqB>) -> Result<Permit, Rejected> {
        self.acquire().map_err(Rejected::from)
    }

    #[inline]
    fn start(&mut self, permit: Permit, request: Request<ReqB>) -> Self::Future {
        ResponseFuture::start(&mut self.inner, permit, self.classify.clone(), request)
    }
}

pin_project! {
    /// The future of a guarded HTTP service.
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<S, ReqB, C>
    where
        S: Service<Request<ReqB>>,
    {
        #[pin]
        state: State<S, ReqB, C>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, ReqB, C>
    where
        S: Service<Request<ReqB>>,
    {
        Rejected { refusal: Option<Refusal>, grpc: bool, explained: Option<Box<Guarded>> },
        // On the heap: a request whose service is ready does not carry the room for it about.
        Readying { waiting: Option<Box<Waiting<S, ReqB, C>>> },
        Calling { #[pin] judged: Judge<S::Future, C, Permit>, explained: Option<Box<Guarded>> },
    }
}

/// A request that waits for the inner service, and what it is judged by then.
struct Waiting<S, ReqB, C> {
    readying: Readying<S, Request<ReqB>>,
    classify: C,
    head: bool,
    grpc: bool,
    explained: Option<Box<Guarded>>,
}

impl<S: Service<Request<ReqB>>, ReqB, C> ResponseFuture<S, ReqB, C> {
    pub(crate) const fn rejected(
        refusal: Refusal,
        grpc: bool,
        explained: Option<Box<Guarded>>,
    ) -> Self {
        Self {
            state: State::Rejected {
                refusal: Some(refusal),
                grpc,
                explained,
            },
        }
    }

    /// Calls `inner`, or readies it first where it is not.
    pub(crate) fn start(
        inner: &mut Inner<S>,
        permit: Permit,
        classify: C,
        request: Request<ReqB>,
    ) -> Self
    where
        S: Clone,
    {
        if !inner.take_readiness() {
            return Self::readying(inner.take(), request, permit, classify);
        }
        let method_is_head = is_head(request.method());
        let explained = permit.explain();
        let mut guard = Guard::new(permit);
        guard.enter();
        let future = inner.service.call(request);
        Self {
            state: State::Calling {
                judged: Judge::guarded(future, classify, guard.take(), method_is_head),
                explained,
            },
        }
    }

    #[cold]
    fn readying(inner: S, request: Request<ReqB>, permit: Permit, classify: C) -> Self {
        let waiting = Waiting {
            head: is_head(request.method()),
            grpc: is_grpc(request.headers()),
            explained: permit.explain(),
            readying: Readying::new(inner, request, permit),
            classify,
        };
        Self {
            state: State::Readying {
                waiting: Some(Box::new(waiting)),
            },
        }
    }
}

impl<S, ReqB, ResB, C> Future for ResponseFuture<S, ReqB, C>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    C: ClassifyHttp<S::Error>,
    ResB: Body,
{
    type Output = Result<Response<ResponseBody<ResB, C, S::Error>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        if !matches!(*state, State::Calling { .. })
            && let Some(answer) = ready!(poll_uncalled(state.as_mut(), cx))
        {
            return Poll::Ready(answer);
        }
        let StateProj::Calling { judged, explained } = state.project() else {
            // Not to be reached: where there is no answer there is a call.
            return Poll::Pending;
        };
        // Where nothing is to be said the large response is not touched.
        if explained.is_none() {
            return judged.poll(cx);
        }
        let response = ready!(judged.poll(cx))?;
        Poll::Ready(Ok(say(response, explained.take())))
    }
}

/// What comes of a call.
type Answer<B, C, E> = Result<Response<ResponseBody<B, C, E>>, E>;

/// What is answered without a call, if none is made now. Apart from what most calls pass, and not cold: behind an open
/// breaker all pass it.
#[inline(never)]
fn poll_uncalled<S, ReqB, ResB, C>(
    mut state: Pin<&mut State<S, ReqB, C>>,
    cx: &mut Context<'_>,
) -> Poll<Option<Answer<ResB, C, S::Error>>>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    C: ClassifyHttp<S::Error>,
    ResB: Body,
{
    let (readied, waited) = match state.as_mut().project() {
        StateProj::Calling { .. } => return Poll::Ready(None),
        StateProj::Rejected {
            refusal,
            grpc,
            explained,
        } => {
            return refusal.take().map_or(Poll::Pending, |refusal| {
                let rejected = Rejected::from(refusal);
                let response = rejected.into_response(*grpc, Watched::empty());
                Poll::Ready(Some(Ok(say(response, explained.take()))))
            });
        }
        StateProj::Readying { waiting } => {
            let Some(polled) = waiting.as_mut() else {
                // Polled again after it has ended.
                return Poll::Pending;
            };
            (ready!(polled.readying.poll_call(cx)), waiting.take())
        }
    };
    let (Some(readied), Some(waited)) = (readied, waited) else {
        return Poll::Pending;
    };
    let Waiting {
        classify,
        head,
        grpc,
        explained,
        ..
    } = *waited;
    Poll::Ready(match readied {
        Readied::Called(future, guard) => {
            state.set(State::Calling {
                judged: Judge::guarded(future, classify, guard, head),
                explained,
            });
            None
        }
        Readied::Late(refusal) => {
            let rejected = Rejected::from(refusal);
            let response = rejected.into_response(grpc, Watched::empty());
            Some(Ok(say(response, explained)))
        }
        Readied::Failed(error, mut guard) => {
            guard.settle(classify.error(&error));
            Some(Err(error))
        }
    })
}

/// Says in the response what was done with its request, if that is asked for.
#[inline]
fn say<B>(mut response: Response<B>, explained: Option<Box<Guarded>>) -> Response<B> {
    if let Some(guarded) = explained {
        response.extensions_mut().insert(*guarded);
    }
    response
}

impl<S: Service<Request<ReqB>>, ReqB, C> fmt::Debug for ResponseFuture<S, ReqB, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
