//! A body whose end is seen, whatever that end is.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Method, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// What a [`Watched`] body tells. One of the three, once.
pub trait Watch {
    /// The body is complete. Called with the trailers if it ended with some.
    fn complete(&mut self, trailers: Option<&HeaderMap>);
    /// The body broke.
    fn broken(&mut self);
    // Dropped early: the watch is dropped without either.

    /// The exact length has been delivered, though the body does not say that it has ended: trailers
    /// may follow, or nothing may ever be asked of it again. Whether the watch is done with it; it
    /// is told more if not.
    fn delivered(&mut self) -> bool {
        self.complete(None);
        true
    }

    /// So many bytes of data have passed. Told of each frame of data, before anything that follows
    /// from it.
    fn data(&mut self, bytes: u64) {
        let _ = bytes;
    }

    /// The body has said how long it is, and nothing more of it is there yet.
    fn awaited(&mut self) {}

    /// The body is about to be polled.
    fn enter(&mut self) {}
    /// The poll has returned.
    fn leave(&mut self) {}
}

pin_project! {
    /// A body that passes every frame, hint and error through unchanged and tells its [`Watch`] when
    /// it ends.
    ///
    /// It is complete when it says so (`is_end_stream`), when its exact length has been delivered, or
    /// with its trailers: servers do not ask for the final `None`, and not asking is no abandonment.
    #[derive(Debug)]
    pub struct Watched<B, W> {
        // `None`: there is no body of the service's, this stands for an empty one.
        #[pin]
        inner: Option<B>,
        // Taken away when the end has been told.
        watch: Option<W>,
        // Bytes yet to come, or `UNKNOWN`.
        remaining: u64,
    }
}

/// No body is as long as this.
pub(crate) const UNKNOWN: u64 = u64::MAX;

/// How watching a body begins: found out before the body is moved to where it is watched.
pub(crate) enum Begins {
    /// It is complete: there is none, or it is empty.
    Complete,
    /// It has no length, and does not say that it has ended.
    Delivered,
    /// Its end is to come.
    Open,
}

impl Begins {
    /// The bytes yet to come, or [`UNKNOWN`], and what that is the beginning of.
    #[inline]
    pub(crate) fn of<B: Body>(body: &B, method_is_head: bool, status: StatusCode) -> (u64, Self) {
        let remaining = body.size_hint().exact().unwrap_or(UNKNOWN);
        let begins = if is_bodiless(method_is_head, status) || body.is_end_stream() {
            Self::Complete
        } else if remaining == 0 {
            Self::Delivered
        } else {
            Self::Open
        };
        (remaining, begins)
    }
}

impl<B, W> Watched<B, W> {
    /// A body with `remaining` bytes to come, watched to its end if there is a `watch`.
    #[inline]
    pub(crate) const fn on_its_way(inner: B, watch: Option<W>, remaining: u64) -> Self {
        Self {
            inner: Some(inner),
            watch,
            remaining,
        }
    }
}

impl<B: Body, W: Watch> Watched<B, W> {
    /// Watches `inner`, which belongs to a response with `status` to a request with `method`.
    ///
    /// Where there is nothing to wait for (no body by [`is_bodiless`], or an empty one) the watch is
    /// told at once.
    pub fn new(inner: B, mut watch: W, method_is_head: bool, status: StatusCode) -> Self {
        let (remaining, begins) = Begins::of(&inner, method_is_head, status);
        let ended = match begins {
            Begins::Complete => {
                watch.complete(None);
                true
            }
            Begins::Delivered => watch.delivered(),
            Begins::Open => false,
        };
        let watch = if ended { None } else { Some(watch) };
        Self::on_its_way(inner, watch, remaining)
    }

    /// A body that nobody watches any more.
    pub fn unwatched(inner: B) -> Self {
        Self::on_its_way(inner, None, UNKNOWN)
    }

    /// Watches on, with what `change` makes of the body in its place: one that ends with it.
    pub fn map<C>(self, change: impl FnOnce(B) -> C) -> Watched<C, W> {
        Watched {
            inner: self.inner.map(change),
            watch: self.watch,
            remaining: self.remaining,
        }
    }

    /// An empty body of the same type.
    pub fn empty() -> Self {
        Self {
            inner: None,
            watch: None,
            remaining: UNKNOWN,
        }
    }
}

/// Whether a response can have no body: to HEAD, with 1xx (101 hands the connection over), 204, 304.
pub fn is_bodiless(method_is_head: bool, status: StatusCode) -> bool {
    method_is_head
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Whether `method` asks for a head alone.
pub fn is_head(method: &Method) -> bool {
    *method == Method::HEAD
}

impl<B: Body, W: Watch> Body for Watched<B, W> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let Some(watch) = this.watch.as_mut() else {
            return inner.poll_frame(cx);
        };
        watch.enter();
        let polled = inner.as_mut().poll_frame(cx);
        watch.leave();
        match &polled {
            Poll::Ready(frame) => {
                let ended = tell(watch, frame.as_ref(), this.remaining, || {
                    inner.is_end_stream()
                });
                if ended {
                    *this.watch = None;
                }
            }
            Poll::Pending if *this.remaining != UNKNOWN => watch.awaited(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// Tells `watch` of an end that `frame` brings; whether it did.
fn tell<D: bytes::Buf, E, W: Watch>(
    watch: &mut W,
    frame: Option<&Result<Frame<D>, E>>,
    remaining: &mut u64,
    is_end_stream: impl FnOnce() -> bool,
) -> bool {
    match frame {
        None => watch.complete(None),
        Some(Err(_)) => watch.broken(),
        Some(Ok(frame)) => match (frame.trailers_ref(), frame.data_ref()) {
            (Some(trailers), _) => watch.complete(Some(trailers)),
            (None, data) => {
                let len = data.map_or(0, |data| data.remaining() as u64);
                watch.data(len);
                if *remaining != UNKNOWN {
                    *remaining = remaining.saturating_sub(len);
                }
                if !is_end_stream() {
                    return *remaining == 0 && watch.delivered();
                }
                watch.complete(None);
            }
        },
    }
    true
}
