//! A body that comes by a script, and the proof that a layer leaves bodies as they are.

use std::collections::VecDeque;
use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

/// More polls than any body under test needs.
const POLLS: usize = 10_000;

/// A body of scripted frames, errors, waits and panics.
///
/// Unless told otherwise it says nothing of its size, and not that it has ended until it is asked.
#[derive(Clone, Debug, Default)]
pub struct ScriptedBody {
    steps: VecDeque<Step>,
    exact: bool,
    says_end: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    Pending,
    Never,
    Error(&'static str),
    Panic(&'static str),
}

/// The error of a [`ScriptedBody`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScriptedError(pub &'static str);

impl fmt::Display for ScriptedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for ScriptedError {}

impl ScriptedBody {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Then a frame of `data`.
    #[must_use]
    pub fn data(self, data: impl Into<Bytes>) -> Self {
        self.then(Step::Data(data.into()))
    }

    /// Then trailers, one of them `name: value`.
    #[must_use]
    pub fn trailer(self, name: &'static str, value: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert(name, http::HeaderValue::from_static(value));
        self.then(Step::Trailers(trailers))
    }

    /// Then is pending once, waking itself.
    #[must_use]
    pub fn pending(self) -> Self {
        self.then(Step::Pending)
    }

    /// Then is pending for ever.
    #[must_use]
    pub fn never(self) -> Self {
        self.then(Step::Never)
    }

    /// Then breaks.
    #[must_use]
    pub fn error(self, message: &'static str) -> Self {
        self.then(Step::Error(message))
    }

    /// Then panics.
    #[must_use]
    pub fn panics(self, message: &'static str) -> Self {
        self.then(Step::Panic(message))
    }

    /// Tells its exact size.
    #[must_use]
    pub fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    /// Says that it has ended as soon as its last frame is out.
    #[must_use]
    pub fn says_end(mut self) -> Self {
        self.says_end = true;
        self
    }

    fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    fn remaining(&self) -> u64 {
        let data = self.steps.iter().map(|step| match step {
            Step::Data(data) => data.len() as u64,
            _ => 0,
        });
        data.sum()
    }
}

impl Body for ScriptedBody {
    type Data = Bytes;
    type Error = ScriptedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptedError>>> {
        match self.steps.pop_front() {
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Error(message)) => Poll::Ready(Some(Err(ScriptedError(message)))),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Never) => {
                self.steps.push_front(Step::Never);
                Poll::Pending
            }
            Some(Step::Panic(message)) => panic!("{message}"),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.says_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.exact {
            SizeHint::with_exact(self.remaining())
        } else {
            SizeHint::default()
        }
    }
}

/// Asserts that `actual` is, at every step to its end, what `expected` is: frames, trailers, errors,
/// waits, size hints and `is_end_stream`. Give it two bodies of the same making, one of them wrapped.
///
/// # Panics
///
/// At the first difference, and if the bodies do not end within ten thousand polls.
pub fn assert_transparent_body<A, B>(expected: A, actual: B)
where
    A: Body<Error: fmt::Display>,
    B: Body<Error: fmt::Display>,
{
    let (mut expected, mut actual) = (pin!(expected), pin!(actual));
    for poll in 0..POLLS {
        let (hint, other) = (expected.size_hint(), actual.size_hint());
        assert_eq!(
            hint.lower(),
            other.lower(),
            "lower size hint before poll {poll}"
        );
        assert_eq!(
            hint.upper(),
            other.upper(),
            "upper size hint before poll {poll}"
        );
        let (end, other) = (expected.is_end_stream(), actual.is_end_stream());
        assert_eq!(end, other, "is_end_stream before poll {poll}");
        let (step, other) = (seen(expected.as_mut()), seen(actual.as_mut()));
        assert_eq!(step, other, "poll {poll}");
        if step == Seen::End {
            return;
        }
    }
    panic!("the bodies did not end within {POLLS} polls");
}

#[derive(Debug, PartialEq)]
enum Seen {
    Pending,
    Data(Bytes),
    Trailers(HeaderMap),
    Other,
    Error(String),
    End,
}

fn seen<B: Body<Error: fmt::Display>>(body: Pin<&mut B>) -> Seen {
    let mut cx = Context::from_waker(Waker::noop());
    match body.poll_frame(&mut cx) {
        Poll::Pending => Seen::Pending,
        Poll::Ready(None) => Seen::End,
        Poll::Ready(Some(Err(error))) => Seen::Error(error.to_string()),
        Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
            Ok(mut data) => Seen::Data(data.copy_to_bytes(data.remaining())),
            Err(frame) => frame.into_trailers().map_or(Seen::Other, Seen::Trailers),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> ScriptedBody {
        let body = ScriptedBody::new().data("a").pending().data("bc");
        body.trailer("grpc-status", "0").exact().says_end()
    }

    #[test]
    fn two_bodies_of_one_making_are_the_same() {
        assert_transparent_body(body(), body());
        assert_transparent_body(body().error("broken"), body().error("broken"));
    }

    #[test]
    #[should_panic(expected = "poll 2")]
    fn a_changed_frame_is_seen() {
        let changed = ScriptedBody::new().data("a").pending().data("bX");
        let changed = changed.trailer("grpc-status", "0").exact().says_end();
        assert_transparent_body(body(), changed);
    }

    #[test]
    #[should_panic(expected = "poll 3")]
    fn a_lost_trailer_is_seen() {
        let lost = ScriptedBody::new().data("a").pending().data("bc").exact();
        let body = || ScriptedBody {
            says_end: false,
            ..body()
        };
        assert_transparent_body(body(), lost);
    }

    #[test]
    #[should_panic(expected = "lower size hint before poll 0")]
    fn a_lost_size_hint_is_seen() {
        let body = || ScriptedBody::new().data("a");
        assert_transparent_body(body().exact(), body());
    }

    #[test]
    #[should_panic(expected = "is_end_stream before poll 1")]
    fn a_lost_end_is_seen() {
        let body = || ScriptedBody::new().data("a");
        assert_transparent_body(body().says_end(), body());
    }
}
