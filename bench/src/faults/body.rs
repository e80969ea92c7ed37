//! The body of an origin's answer, in two halves; the second may not come.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

const HALF: &[u8] = b"ok";

/// What comes after the first half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    Whole,
    Nothing,
    Break,
}

/// Two halves, as its length says.
#[derive(Debug)]
pub(super) struct Halves {
    left: usize,
    rest: Rest,
}

impl Halves {
    pub(super) const fn then(rest: Rest) -> Self {
        Self { left: 2, rest }
    }
}

impl Body for Halves {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.left, self.rest) {
            (0, _) => Poll::Ready(None),
            (1, Rest::Nothing) => Poll::Pending,
            (1, Rest::Break) => Poll::Ready(Some(Err(std::io::ErrorKind::Other.into()))),
            _ => {
                self.left -= 1;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(HALF)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.left * HALF.len()) as u64)
    }
}
