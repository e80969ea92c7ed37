//! Following an exchange from its call to the end of its body, inside its scope.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use buttress_core::classify::HttpStatus;
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::settle::Settle;
use buttress_correlation::CorrelationId;
use http::{Response, Version};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::trace::current::{Exchange, with_id};

/// What is current while an exchange is worked on.
#[derive(Clone, Debug, Default)]
pub(crate) enum Scope {
    #[default]
    Nothing,
    /// What a layer further out has made current, and the body then too.
    Current,
    Id(Box<CorrelationId>),
    Exchange(Exchange),
}

impl Scope {
    pub(crate) fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        match self {
            Self::Nothing | Self::Current => work(),
            Self::Id(id) => with_id(Some(id), work),
            Self::Exchange(exchange) => exchange.enter(work),
        }
    }
}

impl Scope {
    /// The head of the answer came in `version`, as was agreed with the server.
    fn answered(&self, version: Version) {
        if let Self::Exchange(exchange) = self {
            exchange.answered(version);
        }
    }

    /// What is current while `body` is worked on, which outlives the future's own scope.
    fn of_body<B: Body>(self, body: &B) -> Self {
        match self {
            _ if body.is_end_stream() => Self::Nothing,
            Self::Current => match CorrelationId::current() {
                Some(id) => Self::Id(Box::new(id)),
                None => Self::Nothing,
            },
            other => other,
        }
    }
}

pin_project! {
    /// The future of a service of this crate: the inner one, worked on inside the exchange's scope
    /// and followed to its end where somebody wants to know it.
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct ResponseFuture<F, S: Settle> {
        #[pin]
        inner: Inner<F, S>,
        scope: Scope,
    }
}

pin_project! {
    #[project = InnerProj]
    #[derive(Debug)]
    enum Inner<F, S: Settle> {
        Followed { #[pin] judge: Judge<F, HttpStatus, S> },
        Plain { #[pin] future: F },
    }
}

impl<F, S: Settle> ResponseFuture<F, S> {
    /// Polls `future` inside `scope`, and follows the exchange for `settle`.
    pub(crate) fn new(future: F, scope: Scope, settle: Option<S>, method_is_head: bool) -> Self {
        let inner = match settle {
            Some(settle) => Inner::Followed {
                judge: Judge::new(future, HttpStatus, settle, method_is_head),
            },
            None => Inner::Plain { future },
        };
        Self { inner, scope }
    }
}

impl<F, S, B, E> Future for ResponseFuture<F, S>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    S: Settle,
    E: 'static,
{
    type Output = Result<Response<ResponseBody<B, S, E>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let inner = this.inner;
        let polled = this.scope.enter(|| match inner.project() {
            InnerProj::Followed { judge } => judge.poll(cx),
            InnerProj::Plain { future } => future
                .poll(cx)
                .map_ok(|response| response.map(JudgedBody::unwatched)),
        });
        let response = ready!(polled)?;
        this.scope.answered(response.version());
        let scope = std::mem::take(this.scope).of_body(response.body());
        Poll::Ready(Ok(response.map(|inner| ResponseBody { inner, scope })))
    }
}

pin_project! {
    /// The body of a response of a service of this crate: the inner one, unchanged, worked on inside
    /// the exchange's scope.
    #[derive(Debug)]
    pub struct ResponseBody<B, S: Settle, E> {
        #[pin]
        inner: JudgedBody<B, HttpStatus, S, E>,
        scope: Scope,
    }
}

impl<B: Body, S: Settle, E: 'static> ResponseBody<B, S, E> {
    /// A body that no span waits for.
    pub fn unwatched(inner: B) -> Self {
        Self {
            inner: JudgedBody::unwatched(inner),
            scope: Scope::Nothing,
        }
    }
}

impl<B: Body, S: Settle, E: 'static> Body for ResponseBody<B, S, E> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.scope.enter(|| this.inner.as_mut().poll_frame(cx)));
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            // The span ends with its last handle: the exchange is over, whenever this is dropped.
            *this.scope = Scope::Nothing;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
