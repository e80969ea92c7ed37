//! Waiting for an endpoint's answer, and making one where there is none.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress::core::clock::Instant;
use buttress::core::outcome::Unsent;
use buttress::correlation::CorrelationId;
use http::{Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use pin_project_lite::pin_project;

use super::Shared;
use super::mark::{Cause, Lack, mark};
use crate::alarm;
use crate::body::{Excuse, IdleTimer, ResponseBody, UploadError, UploadWatch};
use crate::headers::strip_response;
use crate::problem::Problem;
use crate::routes::RouteId;
use crate::upgrade::Asked;

/// What comes of a request: an answer, whatever happens.
type Answer = Result<Response<ResponseBody>, Infallible>;

pin_project! {
    /// The answer of an endpoint, or a problem in its place; never an error.
    ///
    /// Every layer above moves it into a future of its own, so it is kept small.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct OriginFuture {
        #[pin]
        state: State,
    }
}

pin_project! {
    #[project = StateProj]
    #[derive(Debug)]
    enum State {
        Sent { #[pin] sent: Sent },
        // Nothing was.
        Lacking { lack: Lack },
    }
}

pin_project! {
    #[derive(Debug)]
    struct Sent {
        #[pin]
        response: legacy::ResponseFuture,
        upload: Option<UploadWatch>,
        route: Option<RouteId>,
        // The other protocol that the client asks for.
        asked: Option<Asked>,
        excuse: Excuse,
        head: HeadTimer,
        start: Instant,
    }
}

impl OriginFuture {
    pub(super) fn new(
        response: legacy::ResponseFuture,
        upload: Option<UploadWatch>,
        (route, asked): (Option<RouteId>, Option<Asked>),
        origin: Arc<Shared>,
        start: Instant,
    ) -> Self {
        let sent = Sent {
            response,
            upload,
            route,
            asked,
            excuse: Excuse::default(),
            head: HeadTimer::new(origin, start),
            start,
        };
        let state = State::Sent { sent };
        Self { state }
    }

    /// Of a request that cannot be sent for want of something here.
    pub(super) const fn lacking(lack: Lack) -> Self {
        let state = State::Lacking { lack };
        Self { state }
    }
}

impl Future for OriginFuture {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Sent { sent } => sent.poll_answer(cx),
            StateProj::Lacking { lack } => Poll::Ready(Ok(answer_for(Cause::Lack(*lack)))),
        }
    }
}

impl Sent {
    /// Ready once the head timeout passed and nothing of the upload excuses it.
    ///
    /// The upload is looked at only then, so that its frames set no timer.
    fn poll_late(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let limit = this.head.limit();
        loop {
            ready!(this.head.poll_waiting(cx));
            let excused = this
                .upload
                .as_ref()
                .is_some_and(|upload| this.excuse.holds(upload, limit));
            if !excused {
                return Poll::Ready(());
            }
            this.head.begin_anew();
        }
    }

    /// An answer is large, and is not moved to be looked at.
    fn poll_answer(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.as_mut().project().response.poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(self.passed_on(response))),
            Poll::Ready(Err(error)) => Poll::Ready(Ok(self.failed(&error))),
            Poll::Pending => {
                // Whoever leaves in mid upload is waited for by nobody, and no error comes of it before the task ends.
                if self.upload_failure().is_none() {
                    ready!(self.as_mut().poll_late(cx));
                }
                Poll::Ready(Ok(self.late()))
            }
        }
    }

    /// The endpoint's answer, as far as it is for the client.
    #[inline]
    fn passed_on(self: Pin<&mut Self>, mut response: Response<Incoming>) -> Response<ResponseBody> {
        self.record();
        if is_agreement(&response, self.asked.as_ref()) {
            return self.agreed(response);
        }
        let is_readable = if response.status() == StatusCode::UPGRADE_REQUIRED {
            let offers = &self.head.origin.offers;
            offers.strip(self.route, response.headers_mut())
        } else {
            strip_response(response.headers_mut())
        };
        // Whoever passes a message on says its own version (RFC 9110 §2.5).
        if response.version() == Version::HTTP_10 {
            *response.version_mut() = Version::HTTP_11;
        }
        if !is_readable && !response.body().is_end_stream() {
            return self.instead(Cause::Transport);
        }
        let idle = self.head.body_idle_timeout();
        response.map(|incoming| ResponseBody::streamed(incoming, idle))
    }

    /// The connection goes on in another protocol, or its client would take it that it does.
    #[cold]
    fn agreed(mut self: Pin<&mut Self>, response: Response<Incoming>) -> Response<ResponseBody> {
        let this = self.as_mut().project();
        let (times, stuck) = (&this.head.origin.times, this.head.body_idle_timeout());
        let asked = this.asked.take();
        let answer = asked.and_then(|asked| asked.answered(response, times, stuck));
        // Nobody asked for that protocol, or what would be taken for it is none.
        answer.unwrap_or_else(|| self.instead(Cause::Transport))
    }

    #[cold]
    fn failed(&self, error: &legacy::Error) -> Response<ResponseBody> {
        self.record();
        let failed = self.upload_failure();
        let unsent = failed.is_none() && is_unsent(error);
        let mut response = answer_for(failed.map_or_else(|| cause(error), Cause::Upload));
        if unsent {
            response.extensions_mut().insert(Unsent::new());
        }
        response
    }

    #[cold]
    fn late(&self) -> Response<ResponseBody> {
        self.record();
        self.instead(Cause::Deadline)
    }

    /// What is answered in the endpoint's place. An upload that failed is the cause of what comes of it.
    #[cold]
    fn instead(&self, cause: Cause) -> Response<ResponseBody> {
        answer_for(self.upload_failure().map_or(cause, Cause::Upload))
    }

    /// There is an answer, whatever it is.
    #[inline]
    fn record(&self) {
        self.head.origin.times.record(self.start);
    }

    fn upload_failure(&self) -> Option<UploadError> {
        self.upload.as_ref().and_then(UploadWatch::failure)
    }
}

/// How long the head has been waited for, and by what where the task does not wake itself: one of the
/// endpoint's timers.
#[derive(Debug)]
struct HeadTimer {
    origin: Arc<Shared>,
    since: Instant,
    timer: Option<IdleTimer>,
}

impl HeadTimer {
    const fn new(origin: Arc<Shared>, since: Instant) -> Self {
        Self {
            origin,
            since,
            timer: None,
        }
    }

    fn limit(&self) -> Duration {
        self.origin.config.head_timeout
    }

    fn body_idle_timeout(&self) -> Duration {
        self.origin.config.body_idle_timeout
    }

    /// Ready once the wait is longer than the limit.
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.limit();
        let times = &self.origin.times;
        alarm::poll_for(cx, limit, || times.since(self.since)).unwrap_or_else(|| {
            let spare = &self.origin.timers;
            let timer = self.timer.get_or_insert_with(|| spare.take());
            timer.poll_waiting(cx, limit)
        })
    }

    fn begin_anew(&mut self) {
        self.since = self.origin.times.start();
        if let Some(timer) = &mut self.timer {
            timer.moved();
        }
    }
}

impl Drop for HeadTimer {
    fn drop(&mut self) {
        if let Some(timer) = self.timer.take() {
            self.origin.timers.put(timer);
        }
    }
}

/// Whether the client would take it that its connection, or its stream, goes on in another protocol.
fn is_agreement(response: &Response<Incoming>, asked: Option<&Asked>) -> bool {
    let status = response.status();
    status == StatusCode::SWITCHING_PROTOCOLS
        || asked.is_some_and(|asked| asked.is_agreed_to_by(status))
}

fn answer_for(cause: Cause) -> Response<ResponseBody> {
    let problem = match cause {
        Cause::Deadline => Problem::UpstreamTimeout,
        Cause::Transport => Problem::BadUpstream,
        Cause::Lack(_) => Problem::Exhausted,
        Cause::Upload(error) => error.problem(),
    };
    let mut response =
        CorrelationId::with_current(|id| problem.response(id.map(CorrelationId::as_str)));
    mark(&mut response, cause);
    response
}

/// Whether the request provably never reached the endpoint: no connection was made, it ended before the
/// request's turn came, or the endpoint says so. Of HTTP/2 that is a refused stream (RFC 9113 §8.7), or one
/// beyond those that an endpoint which takes its leave still answers (§6.8).
fn is_unsent(error: &legacy::Error) -> bool {
    error.is_connect() || is_never_begun(error)
}

fn is_never_begun(error: &(dyn Error + 'static)) -> bool {
    let mut next = error.source();
    while let Some(error) = next {
        if error.downcast_ref().is_some_and(hyper::Error::is_canceled)
            || error.downcast_ref().is_some_and(is_refused)
        {
            return true;
        }
        next = error.source();
    }
    false
}

fn is_refused(error: &h2::Error) -> bool {
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) => error.is_remote(),
        Some(h2::Reason::NO_ERROR) => error.is_go_away() && error.is_remote(),
        _ => false,
    }
}

/// A connection that was not made in time is a deadline, and one that could not be made for want
/// of something here is nobody's failure; anything else broke.
fn cause(error: &(dyn Error + 'static)) -> Cause {
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::TimedOut {
                return Cause::Deadline;
            }
            if let Some(lack) = Lack::of(io) {
                return Cause::Lack(lack);
            }
        }
        source = inner.source();
    }
    Cause::Transport
}

#[cfg(test)]
mod tests {
    use super::*;
    use buttress_core::outcome::TransportFailure;
    use buttress_core::reject::Rejected;

    /// An error with another below it, as clients wrap those of sockets.
    #[derive(Debug)]
    struct Over(Box<dyn Error + Send + Sync>);

    impl std::fmt::Display for Over {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("over")
        }
    }

    impl Error for Over {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    fn answered(error: io::Error) -> Response<ResponseBody> {
        answer_for(cause(&Over(Box::new(Over(Box::new(error))))))
    }

    #[test]
    fn what_the_gateway_lacks_itself_is_not_the_endpoints_failure() {
        for (error, reason) in [
            (io::Error::from_raw_os_error(24), "no_descriptors"),
            (io::Error::from_raw_os_error(23), "no_descriptors"),
            (io::ErrorKind::AddrNotAvailable.into(), "no_ports"),
        ] {
            let response = answered(error);
            assert_eq!(response.status(), 503);
            let rejected = response.extensions().get::<Rejected>().unwrap();
            assert_eq!((rejected.by, rejected.reason), (super::super::OWN, reason));
            assert!(response.extensions().get::<TransportFailure>().is_none());
        }
    }

    #[test]
    fn what_broke_and_what_was_reset_on_this_side_may_have_been_worked_on() {
        let over = |reason: h2::Reason| Over(Box::new(h2::Error::from(reason)));
        assert!(!is_never_begun(&over(h2::Reason::REFUSED_STREAM)));
        assert!(!is_never_begun(&over(h2::Reason::INTERNAL_ERROR)));
        assert!(!is_never_begun(&Over(Box::new(io::Error::from(
            io::ErrorKind::ConnectionReset
        )))));
    }

    #[test]
    fn a_refused_connection_is_the_endpoints_failure() {
        let response = answered(io::ErrorKind::ConnectionRefused.into());
        assert_eq!(response.status(), 502);
        assert!(response.extensions().get::<TransportFailure>().is_some());
    }
}
