//! A request's body on its way to an upstream.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress_core::clock::Clock;
use buttress_core::replay::{Kept, Replay, ReplayError, Replayable};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::idle::IdleTimer;
use super::pace::Pace;
use super::watch::{Stillness, UploadSlot, UploadWatch};
use crate::headers::strip_trailers;
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
    upload: Option<Box<Sent>>,
    arrival: Arrival,
}

/// An upload as one attempt sends it.
#[derive(Debug)]
struct Sent {
    body: Replay<Upload>,
    watch: UploadWatch,
}

/// What is held of a request's body, to send it again.
#[derive(Debug)]
pub struct KeptBody {
    upload: Option<(Kept<Upload>, UploadWatch)>,
    arrival: Arrival,
}

/// A client's body.
#[derive(Debug)]
pub(crate) struct Upload {
    incoming: Incoming,
    max_bytes: Option<u64>,
    pace: Pace,
    timer: IdleTimer,
    watch: UploadWatch,
    /// Its client has gone, and waited for the answer.
    is_left: bool,
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

    /// A body as it comes in, to be found in `slot` if there is any; `clock` tells how long it moves.
    pub(crate) fn new(
        incoming: Incoming,
        limits: UploadLimits,
        slot: Option<UploadSlot>,
        clock: &Clock,
    ) -> Self {
        if incoming.is_end_stream() {
            return Self::empty();
        }
        let is_open = slot.is_some() && incoming.size_hint().exact().is_none();
        let stillness = is_open.then(|| Stillness::new(clock.clone()));
        let watch = UploadWatch::new(limits.pause, stillness);
        if let Some(slot) = slot {
            slot.fill(&watch);
        }
        let upload = Upload {
            incoming,
            max_bytes: limits.max_bytes,
            pace: Pace::new(limits.pause),
            timer: IdleTimer::default(),
            watch: watch.clone(),
            is_left: false,
        };
        let body = Replay::new(upload);
        Self {
            upload: Some(Box::new(Sent { body, watch })),
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
        self.upload.as_ref().map(|sent| sent.watch.clone())
    }
}

/// The body of a check, which has none.
impl From<Bytes> for RequestBody {
    fn from(bytes: Bytes) -> Self {
        debug_assert!(bytes.is_empty(), "a check of the gateway's sends no body");
        Self::empty()
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
            Some(sent) => Pin::new(&mut sent.body)
                .poll_frame(cx)
                .map_err(|error| match error {
                    ReplayError::Body(error) => error,
                    _ => UploadError::Superseded,
                }),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.upload
            .as_ref()
            .is_none_or(|sent| sent.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.upload {
            Some(sent) => sent.body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

/// What another attempt sends; the upload itself is one, and is watched as one.
impl Replayable for RequestBody {
    type Kept = KeptBody;

    fn keep(&mut self, limit: usize) -> Option<KeptBody> {
        let upload = match &mut self.upload {
            Some(sent) => Some((sent.body.keep(limit)?, sent.watch.clone())),
            None => None,
        };
        let arrival = self.arrival;
        Some(KeptBody { upload, arrival })
    }

    fn again(kept: &KeptBody) -> Option<Self> {
        let upload = match &kept.upload {
            Some((body, watch)) => Some(Box::new(Sent {
                body: Replay::again(body)?,
                watch: watch.clone(),
            })),
            None => None,
        };
        let arrival = kept.arrival;
        Some(Self { upload, arrival })
    }

    fn copy_if_none(&self) -> Option<Self> {
        let arrival = self.arrival;
        self.upload.is_none().then_some(Self {
            upload: None,
            arrival,
        })
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let this = self.get_mut();
        match this.poll_incoming(cx) {
            Poll::Pending => {
                this.watch.waiting();
                ready!(this.timer.poll_waiting(cx, this.pace.allowance()));
                Poll::Ready(Some(Err(this.watch.failed(UploadError::TooSlow))))
            }
            // It has failed before it moves: whoever looks sees that it waits for its client, or how it failed.
            Poll::Ready(Some(Err(_))) => {
                Poll::Ready(Some(Err(this.watch.failed(UploadError::Broken))))
            }
            Poll::Ready(frame) => {
                let waited = this.timer.arrived();
                this.watch.moved();
                Poll::Ready(
                    frame
                        .and_then(Result::ok)
                        .map(|frame| this.take(frame, waited)),
                )
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Upload {
    /// What comes next. Nothing does after a client who has left while the answer was due: who works on his request is
    /// about to be dropped, and must not take it for one that failed.
    fn poll_incoming(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.is_left {
            return Poll::Pending;
        }
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if matches!(polled, Poll::Ready(Some(Err(_)))) && self.watch.waits_for_answer() {
            self.is_left = true;
            return Poll::Pending;
        }
        polled
    }

    fn take(
        &mut self,
        mut frame: Frame<Bytes>,
        waited: Duration,
    ) -> Result<Frame<Bytes>, UploadError> {
        if let Some(trailers) = frame.trailers_mut() {
            strip_trailers(trailers);
        }
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
    /// Another attempt at the request sends it now.
    Superseded,
}

impl UploadError {
    /// What the client is told.
    pub const fn problem(self) -> Problem {
        match self {
            Self::TooLarge => Problem::BodyTooLarge,
            Self::TooSlow => Problem::BodyTimeout,
            Self::Broken | Self::Superseded => Problem::BadBody,
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
            Self::Superseded => "body_superseded",
        }
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.problem().detail())
    }
}

impl std::error::Error for UploadError {}
