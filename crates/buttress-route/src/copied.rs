//! Copies of requests that nobody waits for.

use std::future::poll_fn;
use std::pin::pin;

use buttress_core::attempt::Attempt;
use buttress_core::replay::Replayable;
use bytes::Buf;
use http::Request;
use http::header::UPGRADE;
use http_body::Body;

/// So much of an answer to a copy is read; more would show nothing new.
const ENOUGH: usize = 64 << 10;

/// Whether a request has no body and is no handshake, of which there is but one connection.
pub(crate) fn can_be_copied<B: Replayable>(request: &Request<B>) -> bool {
    !request.headers().contains_key(UPGRADE) && request.body().copy_if_none().is_some()
}

/// A copy of a request that [can be copied](can_be_copied).
pub(crate) fn copy<B: Replayable>(request: &Request<B>) -> Option<Request<B>> {
    if !can_be_copied(request) {
        return None;
    }
    let mut copy = Request::new(request.body().copy_if_none()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy.extensions_mut().insert(Attempt::copy());
    Some(copy)
}

/// Reads the answer to a copy, until there is enough of it. A frame without data counts as a byte, or a body of
/// nothing else that is always ready would be read for ever.
pub(crate) async fn read(body: impl Body) {
    let mut body = pin!(body);
    let mut left = ENOUGH;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let read = frame.data_ref().map_or(0, Buf::remaining);
        match left.checked_sub(read.max(1)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body::Frame;
    use tokio_test::{assert_ready, task};

    use super::*;

    /// Frames of a length, one after the other and without end.
    struct Endless {
        frame: usize,
        frames: usize,
    }

    impl Body for &mut Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            self.frames += 1;
            assert!(self.frames < 1_000_000, "it is read for ever");
            let data = Bytes::from(vec![0; self.frame]);
            Poll::Ready(Some(Ok(Frame::data(data))))
        }
    }

    #[test]
    fn an_answer_without_end_is_read_as_far_as_is_enough_whatever_its_frames() {
        for frame in [0, 1, 1 << 10, 1 << 20] {
            let mut body = Endless { frame, frames: 0 };
            assert_ready!(task::spawn(read(&mut body)).poll());
            assert!(body.frames * frame <= ENOUGH + frame);
        }
    }
}
