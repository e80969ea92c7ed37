//! Counting what passes of a request's body, where that is asked for.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Buf;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::settle::Recording;

/// Requests are passed on as they are: [`crate::LatencyLayer`] as it comes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uncounted;

/// The bodies of requests are counted: see [`crate::LatencyLayer::request_body_sizes`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted;

/// [`Uncounted`] or [`Counted`]: what the service inside is given of a request with a body `A`; sealed.
pub trait CarryRequest<A>: sealed::Sealed {
    /// Its body.
    type Body;

    /// The request for the service inside, counted by `recording`.
    #[doc(hidden)]
    fn carry(request: Request<A>, recording: Option<&mut Recording>) -> Request<Self::Body>;
}

/// How many bytes of a request's body have passed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed(Arc<AtomicU64>);

pin_project! {
    /// A request's body, passed through unchanged and counted.
    #[derive(Debug)]
    pub struct RequestBody<B> {
        #[pin]
        inner: B,
        passed: Passed,
    }
}

impl<A> CarryRequest<A> for Uncounted {
    type Body = A;

    #[inline]
    fn carry(request: Request<A>, _: Option<&mut Recording>) -> Request<A> {
        request
    }
}

impl<A: Body> CarryRequest<A> for Counted {
    type Body = RequestBody<A>;

    fn carry(request: Request<A>, recording: Option<&mut Recording>) -> Request<RequestBody<A>> {
        let passed = Passed::default();
        if let Some(recording) = recording {
            recording.count_request(passed.clone());
        }
        request.map(|inner| RequestBody { inner, passed })
    }
}

impl Passed {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl<B: Body> Body for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.passed.add(data.remaining());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "that is what seals it")]
    pub trait Sealed {}
    impl Sealed for super::Uncounted {}
    impl Sealed for super::Counted {}
}
