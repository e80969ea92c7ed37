//! The simulated host as a Tower service: a call is on the line until the host has something to say.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
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
/// its answer will come.
pub(super) type Desk = Rc<RefCell<Option<(usize, Rc<Line>)>>>;

#[derive(Debug, Default)]
pub(super) struct Line(Cell<Option<End>>);

/// An endpoint: the simulated host behind a desk.
#[derive(Clone, Debug)]
pub(super) struct Reached {
    pub(super) host: usize,
    pub(super) desk: Desk,
}

/// A call to a host.
#[derive(Debug)]
pub(super) struct Calling(Rc<Line>);

impl Service<Request<()>> for Reached {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Calling;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Calling {
        let line = Rc::new(Line::default());
        *self.desk.borrow_mut() = Some((self.host, Rc::clone(&line)));
        Calling(line)
    }
}

impl Future for Calling {
    type Output = Result<Response<Body>, BoxError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.0.0.get() {
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
        self.0.set(Some(end));
    }
}

/// The calls that are under way, by number.
#[derive(Debug)]
pub(super) struct Calls<F>(Vec<Option<Called<F>>>);

#[derive(Debug)]
struct Called<F> {
    future: Pin<Box<F>>,
    line: Rc<Line>,
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
        let polled = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        if polled.is_ready() {
            return None;
        }
        let (host, line) = desk.borrow_mut().take()?;
        if self.0.len() <= call {
            self.0.resize_with(call + 1, || None);
        }
        *self.0.get_mut(call)? = Some(Called { future, line });
        Some(host)
    }

    /// The call has ended: its future takes the answer, or is dropped where the client left.
    pub(super) fn end(&mut self, call: usize, end: End) {
        let Some(mut called) = self.0.get_mut(call).and_then(Option::take) else {
            return;
        };
        if end == End::Left {
            return;
        }
        called.line.say(end);
        let polled = called
            .future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(polled.is_ready(), "what was answered ends");
    }
}
