//! A request's body that can be sent again.
//!
//! Whoever sends requests again needs a second body and has a stream. [`Replay`] passes the stream on as
//! it comes and holds what has passed, up to a limit; another attempt begins with what is held and goes
//! on with the stream. Beyond the limit nothing is held any more: the attempt under way goes on, and there
//! is no other. A request without a body costs nothing.
//!
//! Only one body reads the stream at a time, the one made last. Whoever still reads an earlier one is told
//! that by an error ([`ReplayError::Superseded`]) and not by an end, which an upstream would take for that
//! of the request.

mod record;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use record::Record;

/// A request body that may be sent more than once.
///
/// Implemented by [`Replay`], round a body of any type, and by `()`. A body type of one's own implements it
/// where it knows of a better way than to be wrapped.
pub trait Replayable: Sized {
    /// What is held to make another of it.
    type Kept;

    /// Holds what is sent from here on, up to `limit` bytes, to send it again. `None` if it is known to be
    /// longer, or is held by somebody else. To be called before it is polled.
    fn keep(&mut self, limit: usize) -> Option<Self::Kept>;

    /// Another of the body, from its beginning; the earlier one has no part in it any more. `None` if more
    /// has passed than the limit, or if the body broke.
    fn again(kept: &Self::Kept) -> Option<Self>;

    /// A copy of a body that is none; `None` of any other. Both can be sent at the same time.
    fn copy_if_none(&self) -> Option<Self>;
}

impl Replayable for () {
    type Kept = ();

    fn keep(&mut self, _: usize) -> Option<()> {
        Some(())
    }

    fn again((): &()) -> Option<Self> {
        Some(())
    }

    fn copy_if_none(&self) -> Option<Self> {
        Some(())
    }
}

pin_project! {
    /// A body that is [`Replayable`], round one of any type.
    ///
    /// As long as nobody keeps it, it is the body it wraps. From [`Replayable::keep`] on each frame takes a
    /// short lock and its bytes are copied, so that what is held is what was sent and no buffer around it.
    #[derive(Debug)]
    pub struct Replay<B: Body> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[derive(Debug)]
    #[project = StateProj]
    enum State<B: Body> {
        Once { #[pin] body: B },
        // A copy of none.
        None,
        Recorded { reader: record::Reader<B> },
    }
}

/// What is held of a [`Replay`].
#[derive(Debug)]
pub struct Kept<B: Body>(Option<Arc<Record<B>>>);

/// Why a [`Replay`] breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayError<E> {
    /// The body it wraps has broken.
    Body(E),
    /// Another attempt sends the body now, or the body it wraps has panicked.
    Superseded,
}

impl<B: Body> Replay<B> {
    /// Wraps `body`.
    pub const fn new(body: B) -> Self {
        Self {
            state: State::Once { body },
        }
    }
}

impl<B: Body> Replayable for Replay<B> {
    type Kept = Kept<B>;

    fn keep(&mut self, limit: usize) -> Option<Kept<B>> {
        let State::Once { body } = &self.state else {
            return match self.state {
                State::None => Some(Kept(None)),
                _ => None,
            };
        };
        if body.is_end_stream() {
            return Some(Kept(None));
        }
        let limit_u64 = u64::try_from(limit).unwrap_or(u64::MAX);
        if body.size_hint().lower() > limit_u64 {
            return None;
        }
        let State::Once { body } = std::mem::replace(&mut self.state, State::None) else {
            return None;
        };
        let record = Arc::new(Record::new(body, limit));
        self.state = State::Recorded {
            reader: Record::read(&record)?,
        };
        Some(Kept(Some(record)))
    }

    fn again(kept: &Kept<B>) -> Option<Self> {
        let state = match &kept.0 {
            None => State::None,
            Some(record) => State::Recorded {
                reader: Record::read(record)?,
            },
        };
        Some(Self { state })
    }

    fn copy_if_none(&self) -> Option<Self> {
        let none = match &self.state {
            State::Once { body } => body.is_end_stream(),
            State::None => true,
            State::Recorded { .. } => false,
        };
        none.then_some(Self { state: State::None })
    }
}

/// Nobody sends the body again from here on: what is held of it is let go.
impl<B: Body> Drop for Kept<B> {
    fn drop(&mut self) {
        if let Some(record) = &self.0 {
            record.let_go();
        }
    }
}

impl<B: Body> Body for Replay<B> {
    type Data = Bytes;
    type Error = ReplayError<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().state.project() {
            StateProj::Once { body } => body.poll_frame(cx).map(|frame| frame.map(plain)),
            StateProj::None => Poll::Ready(None),
            StateProj::Recorded { reader } => reader.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Once { body } => body.is_end_stream(),
            State::None => true,
            State::Recorded { reader } => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Once { body } => body.size_hint(),
            State::None => SizeHint::with_exact(0),
            State::Recorded { reader } => reader.size_hint(),
        }
    }
}

/// A frame whose data is [`Bytes`]; of data that is that already, nothing is copied.
fn plain<D: Buf, E>(frame: Result<Frame<D>, E>) -> Result<Frame<Bytes>, ReplayError<E>> {
    let bytes = |mut data: D| data.copy_to_bytes(data.remaining());
    frame
        .map(|frame| frame.map_data(bytes))
        .map_err(ReplayError::Body)
}

impl<E: fmt::Display> fmt::Display for ReplayError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(error) => error.fmt(f),
            Self::Superseded => f.write_str("another attempt sends the body now"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for ReplayError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Body(error) => Some(error),
            Self::Superseded => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::task::Waker;

    use http::HeaderMap;
    use http_body_util::{BodyExt as _, Empty, Full};

    use super::*;

    type Step = Option<Result<Frame<Bytes>, &'static str>>;

    /// A body of steps; `None` is a moment in which there is nothing.
    #[derive(Debug)]
    struct Steps(VecDeque<Step>);

    impl Body for Steps {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.0.pop_front() {
                None => Poll::Ready(None),
                Some(None) => Poll::Pending,
                Some(Some(Err("panic"))) => panic!("in the body"),
                Some(step) => Poll::Ready(step),
            }
        }
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "a step is a frame, or a moment of nothing"
    )]
    fn data(text: &'static str) -> Step {
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }

    fn steps(steps: impl IntoIterator<Item = Step>) -> Replay<Steps> {
        Replay::new(Steps(steps.into_iter().collect()))
    }

    /// What comes before the first moment of nothing: data as text, trailers in brackets, how it ends.
    fn read<B>(body: &mut Replay<B>) -> String
    where
        B: Body + Unpin,
        B::Error: fmt::Debug,
    {
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = String::new();
        loop {
            match Pin::new(&mut *body).poll_frame(&mut cx) {
                Poll::Pending => return seen + "…",
                Poll::Ready(None) => return seen + ".",
                Poll::Ready(Some(Err(error))) => return format!("{seen}!{error:?}"),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => seen += std::str::from_utf8(&data).unwrap(),
                    Err(_) => seen += "[]",
                },
            }
        }
    }

    #[test]
    fn another_attempt_begins_with_what_has_passed_and_goes_on_with_the_stream() {
        let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
        let mut first = steps([data("ab"), None, data("cd"), trailers]);
        let kept = first.keep(10).unwrap();
        assert_eq!(read(&mut first), "ab…");
        let mut second = Replay::again(&kept).unwrap();
        assert_eq!(read(&mut second), "abcd[].");
        assert_eq!(read(&mut first), "!Superseded", "and not an end");
        let mut third = Replay::again(&kept).unwrap();
        drop(kept);
        assert_eq!(read(&mut third), "abcd[].");
    }

    #[test]
    fn beyond_the_limit_the_attempt_goes_on_and_there_is_no_other() {
        let mut body = steps([data("abc"), None, data("d"), None, data("e")]);
        let kept = body.keep(3).unwrap();
        assert_eq!(read(&mut body), "abc…");
        assert!(Replay::again(&kept).is_some());
        let mut body = Replay::again(&kept).unwrap();
        assert_eq!(read(&mut body), "abcd…");
        assert!(Replay::again(&kept).is_none());
        assert_eq!(read(&mut body), "e.");
    }

    #[test]
    fn a_body_that_is_known_to_be_longer_is_not_held_at_all() {
        let mut body = Replay::new(Full::new(Bytes::from_static(b"four")));
        assert!(body.keep(3).is_none());
        assert!(body.keep(4).is_some());
        assert_eq!(read(&mut body), "four.");
    }

    #[test]
    fn a_body_that_broke_or_panicked_is_not_sent_again() {
        let mut broken = steps([data("a"), Some(Err("broken")), data("b")]);
        let kept = broken.keep(9).unwrap();
        assert_eq!(read(&mut broken), "a!Body(\"broken\")");
        assert!(Replay::again(&kept).is_none());

        let mut panics = steps([data("a"), Some(Err("panic"))]);
        let kept = panics.keep(9).unwrap();
        let read_it = std::panic::AssertUnwindSafe(|| read(&mut panics));
        assert!(std::panic::catch_unwind(read_it).is_err());
        assert!(Replay::again(&kept).is_none());
        assert_eq!(read(&mut panics), "!Superseded");
    }

    #[test]
    fn a_body_says_how_much_of_it_is_left_in_each_attempt() {
        let left = |body: &Replay<Full<Bytes>>| body.size_hint().exact().unwrap();
        let mut first = Replay::new(Full::new(Bytes::from_static(b"four")));
        let kept = first.keep(4).unwrap();
        assert_eq!((left(&first), first.is_end_stream()), (4, false));
        read(&mut first);
        assert_eq!((left(&first), first.is_end_stream()), (0, true));
        let mut second = Replay::again(&kept).unwrap();
        assert_eq!((left(&second), second.is_end_stream()), (4, false));
        assert_eq!(read(&mut second), "four.");
        assert!(second.is_end_stream());
    }

    #[test]
    fn what_is_held_is_let_go_when_nobody_will_send_it_again() {
        let mut body = steps([data("ab"), None, data("cd"), None]);
        let kept = body.keep(9).unwrap();
        assert_eq!(read(&mut body), "ab…");
        let record = Arc::downgrade(kept.0.as_ref().unwrap());
        drop(kept);
        assert_eq!(read(&mut body), "cd…");
        assert_eq!(record.upgrade().unwrap().held(), 0);
    }

    #[test]
    fn a_request_without_a_body_is_copied_for_nothing() {
        let mut none = Replay::new(Empty::<Bytes>::new());
        let mut copy = none.copy_if_none().unwrap();
        assert_eq!(copy.size_hint().exact(), Some(0));
        assert_eq!(read(&mut copy), ".");
        let kept = none.keep(0).unwrap();
        assert!(kept.0.is_none());
        assert!(Replay::again(&kept).unwrap().is_end_stream());
        let some = Replay::new(Full::new(Bytes::from_static(b"x")));
        assert!(some.copy_if_none().is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_polled_for_an_earlier_attempt_is_waited_for() {
        let (reached, goes_on) = (
            Arc::new(std::sync::Barrier::new(2)),
            Arc::new(std::sync::Barrier::new(2)),
        );
        let blocks = (Arc::clone(&reached), Arc::clone(&goes_on));
        let slow = After(Some(move || {
            blocks.0.wait();
            blocks.1.wait();
        }));
        let mut first = Replay::new(slow);
        let kept = first.keep(9).unwrap();
        let earlier = std::thread::spawn(move || read(&mut first));
        reached.wait();
        let mut second = Replay::again(&kept).unwrap();
        assert_eq!(read(&mut second), "…", "the body is away");
        let woken = tokio::spawn(async move { second.collect().await.unwrap().to_bytes() });
        tokio::task::yield_now().await;
        goes_on.wait();
        assert_eq!(earlier.join().unwrap(), "!Superseded");
        assert_eq!(woken.await.unwrap(), "x");
    }

    /// A body of one frame, before which `work` is done.
    struct After<F>(Option<F>);

    impl<F: FnOnce() + Unpin> Body for After<F> {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            let Some(work) = self.0.take() else {
                return Poll::Ready(None);
            };
            work();
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }
}
