//! A request's body on its way to an upstream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::idle::IdleTimer;
use super::pace::Pace;
use super::watch::UploadWatch;
use crate::ingress::Arrival;
use crate::problem::Problem;

/// What an upload is held to.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Largest body; `None` is no limit.
    pub max_bytes: Option<u64>,
    /// Longest pause; all pauses together may be longer only as the bytes that came would take
    /// at 512 bytes a second.
    pub pause: Duration,
}

/// A client's body: streamed, held to its [`UploadLimits`], and watched by whoever sends it on.
///
/// A request without a body allocates nothing and knows no timer. Where the request goes is told
/// here and not in its extensions, where it would cost an allocation and a look-up.
#[derive(Debug, Default)]
pub struct RequestBody {
    upload: Option<Box<Upload>>,
    arrival: Arrival,
}

#[derive(Debug)]
struct Upload {
    incoming: Incoming,
    max_bytes: Option<u64>,
    pace: Pace,
    timer: IdleTimer,
    watch: UploadWatch,
}

impl RequestBody {
    /// No body, of a request that goes nowhere.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Refuses a body at once where its declared length is over the limit.
    pub fn check(incoming: &Incoming, limits: UploadLimits) -> Result<(), Problem> {
        let declared = incoming.size_hint().lower();
        if limits.max_bytes.is_some_and(|max| declared > max) {
            return Err(Problem::BodyTooLarge);
        }
        Ok(())
    }

    /// A body as it comes in.
    pub fn new(incoming: Incoming, limits: UploadLimits) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let upload = Upload {
            incoming,
            max_bytes: limits.max_bytes,
            pace: Pace::new(limits.pause),
            timer: IdleTimer::default(),
            watch: UploadWatch::new(limits.pause),
        };
        Self {
            upload: Some(Box::new(upload)),
            arrival: Arrival::default(),
        }
    }

    /// The same body, of a request that goes where `arrival` says.
    #[must_use]
    pub fn bound(self, arrival: Arrival) -> Self {
        Self { arrival, ..self }
    }

    /// Where its request goes.
    pub const fn arrival(&self) -> Arrival {
        self.arrival
    }

    /// A view of the upload for whoever sends the body on; `None` where there is no body.
    pub fn watch(&self) -> Option<UploadWatch> {
        self.upload.as_ref().map(|upload| upload.watch.clone())
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match &mut self.get_mut().upload {
            Some(upload) => upload.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload
            .as_ref()
            .is_none_or(|upload| upload.incoming.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upload {
            Some(upload) => upload.incoming.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Upload {
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending() {
            self.watch.waiting();
            ready!(self.timer.poll_waiting(cx, self.pace.allowance()));
            return Poll::Ready(Some(Err(self.watch.failed(UploadError::TooSlow))));
        }
        let waited = self.timer.arrived();
        self.watch.moved();
        match ready!(polled) {
            Some(Ok(frame)) => Poll::Ready(Some(self.take(frame, waited))),
            Some(Err(_)) => Poll::Ready(Some(Err(self.watch.failed(UploadError::Broken)))),
            None => Poll::Ready(None),
        }
    }

    fn take(&mut self, frame: Frame<Bytes>, waited: Duration) -> Result<Frame<Bytes>, UploadError> {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        self.pace.arrived(bytes as u64, waited);
        if self.max_bytes.is_some_and(|max| self.pace.bytes() > max) {
            return Err(self.watch.failed(UploadError::TooLarge));
        }
        Ok(frame)
    }
}

/// Whoever drops an upload asks no more of its client.
impl Drop for Upload {
    fn drop(&mut self) {
        self.watch.rests();
    }
}

/// How a client's upload failed; never the upstream's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadError {
    /// More bytes than the limit.
    TooLarge,
    /// It paused for too long, or trickled.
    TooSlow,
    /// The client broke it off.
    Broken,
}

impl UploadError {
    /// What the client is told.
    pub const fn problem(self) -> Problem {
        match self {
            Self::TooLarge => Problem::BodyTooLarge,
            Self::TooSlow => Problem::BodyTimeout,
            Self::Broken => Problem::BadBody,
        }
    }
}

impl UploadError {
    /// The same in one word, for a label.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLarge => "body_too_large",
            Self::TooSlow => "body_too_slow",
            Self::Broken => "body_broken",
        }
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem().detail())
    }
}

impl std::error::Error for UploadError {}
