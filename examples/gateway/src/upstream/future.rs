//! Waiting for an endpoint's answer, and making one where there is none.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::OriginConfig;
use super::mark::{Cause, mark};
use crate::body::{ResponseBody, UploadWatch, now};
use crate::headers::strip_response;
use crate::problem::Problem;

pin_project! {
    /// The answer of an endpoint, or a problem in its place; never an error.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct OriginFuture {
        #[pin]
        response: legacy::ResponseFuture,
        #[pin]
        deadline: Sleep,
        upload: Option<Upload>,
        id: Option<HeaderValue>,
        head_timeout: Duration,
        body_idle_timeout: Duration,
    }
}

#[derive(Debug)]
struct Upload {
    watch: UploadWatch,
    moves: u32,
}

impl OriginFuture {
    pub(super) fn new(
        response: legacy::ResponseFuture,
        upload: Option<UploadWatch>,
        id: Option<HeaderValue>,
        config: &OriginConfig,
    ) -> Self {
        Self {
            response,
            deadline: tokio::time::sleep(config.head_timeout),
            upload: upload.map(|watch| Upload { watch, moves: 0 }),
            id,
            head_timeout: config.head_timeout,
            body_idle_timeout: config.body_idle_timeout,
        }
    }
}

impl Future for OriginFuture {
    type Output = Result<Response<ResponseBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = this.response.poll(cx);
        let cause = match answer {
            Poll::Ready(Ok(response)) if response.status() != StatusCode::SWITCHING_PROTOCOLS => {
                return Poll::Ready(Ok(pass(response, *this.body_idle_timeout)));
            }
            // Nothing that this gateway sends asks for another protocol.
            Poll::Ready(Ok(_)) => Cause::Transport,
            Poll::Ready(Err(error)) => cause(&error),
            Poll::Pending => {
                ready!(poll_late(
                    &mut this.deadline,
                    this.upload,
                    *this.head_timeout,
                    cx
                ));
                Cause::Deadline
            }
        };
        let failed = this
            .upload
            .as_ref()
            .and_then(|upload| upload.watch.failure());
        let cause = failed.map_or(cause, Cause::Upload);
        Poll::Ready(Ok(answer_for(cause, this.id.as_ref())))
    }
}

/// Ready once nothing of the exchange has moved for the head timeout.
fn poll_late(
    deadline: &mut Pin<&mut Sleep>,
    upload: &mut Option<Upload>,
    head_timeout: Duration,
    cx: &mut Context<'_>,
) -> Poll<()> {
    loop {
        ready!(deadline.as_mut().poll(cx));
        let Some(upload) = upload else {
            return Poll::Ready(());
        };
        let moves = upload.watch.moves();
        if moves == upload.moves {
            return Poll::Ready(());
        }
        upload.moves = moves;
        deadline.as_mut().reset(now() + head_timeout);
    }
}

fn pass(response: Response<Incoming>, body_idle_timeout: Duration) -> Response<ResponseBody> {
    let mut response = response.map(|body| ResponseBody::streamed(body, body_idle_timeout));
    strip_response(response.headers_mut());
    response
}

fn answer_for(cause: Cause, id: Option<&HeaderValue>) -> Response<ResponseBody> {
    let problem = match cause {
        Cause::Deadline => Problem::UpstreamTimeout,
        Cause::Transport => Problem::BadUpstream,
        Cause::Upload(error) => error.problem(),
    };
    let mut response = problem.response(id.and_then(|id| id.to_str().ok()));
    mark(&mut response, cause);
    response
}

/// A connection that was not made in time is a deadline; anything else broke.
fn cause(error: &legacy::Error) -> Cause {
    let mut source = error.source();
    while let Some(inner) = source {
        let io = inner.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::TimedOut) {
            return Cause::Deadline;
        }
        source = inner.source();
    }
    Cause::Transport
}
