//! A response's body on its way to a client.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use buttress_core::deadline::DeadlineExceeded;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::idle::IdleTimer;
use crate::headers::strip_trailers;

/// A body that an upstream streams, or one of the gateway's own.
#[derive(Debug)]
pub struct ResponseBody {
    source: Source,
}

/// A body on the heap, with all that layers have put round it.
type Layered = Pin<Box<dyn Body<Data = Bytes, Error = BodyError> + Send>>;

enum Source {
    Own(Option<Bytes>),
    Upstream {
        incoming: Incoming,
        idle: Duration,
        timer: IdleTimer,
    },
    Layered(Layered),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(_) => "Own",
            Self::Upstream { .. } => "Upstream",
            Self::Layered(_) => "Layered",
        })
    }
}

impl ResponseBody {
    /// No body.
    pub const fn empty() -> Self {
        Self {
            source: Source::Own(None),
        }
    }

    /// What an upstream sends; cut with an error where it pauses for longer than `idle`.
    pub(crate) fn streamed(incoming: Incoming, idle: Duration) -> Self {
        let timer = IdleTimer::default();
        Self {
            source: Source::Upstream {
                incoming,
                idle,
                timer,
            },
        }
    }

    /// What other layers than most requests pass have made of a body: one of the same type as all others.
    pub(crate) fn layered(
        body: impl Body<Data = Bytes, Error = BodyError> + Send + 'static,
    ) -> Self {
        Self {
            source: Source::Layered(Box::pin(body)),
        }
    }
}

impl From<Bytes> for ResponseBody {
    fn from(bytes: Bytes) -> Self {
        Self {
            source: Source::Own((!bytes.is_empty()).then_some(bytes)),
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let (incoming, idle, timer) = match &mut self.get_mut().source {
            Source::Own(bytes) => return Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Source::Upstream {
                incoming,
                idle,
                timer,
            } => (incoming, idle, timer),
            Source::Layered(body) => return body.as_mut().poll_frame(cx),
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                timer.moved();
                Poll::Ready(frame.map(|frame| frame.map(taken).map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                ready!(timer.poll_waiting(cx, *idle));
                Poll::Ready(Some(Err(BodyError::Stalled(DeadlineExceeded::new()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream { incoming, .. } => incoming.is_end_stream(),
            Source::Layered(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream { incoming, .. } => incoming.size_hint(),
            Source::Layered(body) => body.size_hint(),
        }
    }
}

fn taken(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        strip_trailers(trailers);
    }
    frame
}

/// How an upstream's body failed after a good head.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// It paused for too long.
    Stalled(DeadlineExceeded),
    /// The connection broke.
    Broken(hyper::Error),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stalled(_) => "the upstream's body paused for too long",
            Self::Broken(_) => "the upstream's body broke off",
        })
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stalled(deadline) => Some(deadline),
            Self::Broken(error) => Some(error),
        }
    }
}
