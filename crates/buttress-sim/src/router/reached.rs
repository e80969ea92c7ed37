//! The simulated host as a Tower service: a call is on the line until the host has something to say.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use buttress_core::deadline::DeadlineExceeded;
use http::header::RETRY_AFTER;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tower_service::Service;

use super::End;
use crate::host::Answer;

pub(super) type Body = Empty<&'static [u8]>;
pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the endpoints of one router tell it: the host that was just called, and the line on which
/// its answer will come. One thread has it; what a router does in the background has to be `Send`.
#[derive(Clone, Debug, Default)]
pub(super) struct Desk(Arc<Mutex<Option<Called>>>);

type Called = (usize, Arc<Line>);

impl Desk {
    fn put(&self, host: usize, line: Arc<Line>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((host, line));
    }

    /// The call that was made since this was asked last.
    pub(super) fn take(&self) -> Option<Called> {
        let mut called = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        called.take()
    }
}

#[derive(Debug, Default)]
pub(super) struct Line(Mutex<Option<End>>);

/// An endpoint: the simulated host behind a desk.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) host: usize,
    pub(super) desk: Desk,
}

/// A call to a host.
#[derive(Debug)]
pub(super) struct Calling(Arc<Line>);

impl Service<Request<()>> for Reached {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Calling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Calling {
        let line = Arc::new(Line::default());
        self.desk.put(self.host, Arc::clone(&line));
        Calling(line)
    }
}

impl Future for Calling {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.said() {
            None | Some(End::Left) => Poll::Pending,
            Some(End::TimedOut) => Poll::Ready(Err(DeadlineExceeded::new().into())),
            Some(End::Answered(answer)) => Poll::Ready(response(answer)),
        }
    }
}

fn response(answer: Answer) -> Result<Response<Body>, BoxError> {
    let status = match answer {
        Answer::Good => StatusCode::OK,
        Answer::Failure => StatusCode::SERVICE_UNAVAILABLE,
        Answer::TooMany => StatusCode::TOO_MANY_REQUESTS,
        Answer::Refused => {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            return Err(refused.into());
        }
    };
    let mut response = Response::new(Body::new());
    *response.status_mut() = status;
    if answer == Answer::TooMany {
        let second = http::HeaderValue::from_static("1");
        response.headers_mut().insert(RETRY_AFTER, second);
    }
    Ok(response)
}

impl Line {
    /// Says how the call has ended.
    pub(super) fn say(&self, end: End) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    fn said(&self) -> Option<End> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The calls that are under way, by number.
#[derive(Debug)]
pub(super) struct Calls<F>(Vec<Option<UnderWay<F>>>);

#[derive(Debug)]
struct UnderWay<F> {
    future: Pin<Box<F>>,
    line: Arc<Line>,
}

impl<F: Future> Calls<F> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Drops all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Polls `future` once, in which it calls its host: the host, or `None` if it was answered by
    /// somebody else.
    pub(super) fn begin(&mut self, call: usize, future: F, desk: &Desk) -> Option<usize> {
        let mut future = Box::pin(future);
        let polled = poll(future.as_mut());
        if polled.is_ready() {
            return None;
        }
        let (host, line) = desk.take()?;
        if self.0.len() <= call {
            self.0.resize_with(call + 1, || None);
        }
        *self.0.get_mut(call)? = Some(UnderWay { future, line });
        Some(host)
    }

    /// The call has ended: its future takes the answer, or is dropped where the client left. The host
    /// that it calls next, if it is not content.
    pub(super) fn end(&mut self, call: usize, end: End, desk: &Desk) -> Option<usize> {
        let under_way = self.0.get_mut(call)?;
        let called = under_way.as_mut().filter(|_| end != End::Left);
        let again = called.and_then(|called| {
            called.line.say(end);
            let polled = poll(called.future.as_mut());
            let (host, line) = polled.is_pending().then(|| desk.take())??;
            called.line = line;
            Some(host)
        });
        if again.is_none() {
            *under_way = None;
        }
        again
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}
