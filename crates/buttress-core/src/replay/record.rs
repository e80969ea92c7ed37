//! A stream that several read, one after the other, each from its beginning.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{ReplayError, plain};

/// The stream, and what has passed of it.
#[derive(Debug)]
pub(super) struct Record<B: Body>(Mutex<Held<B>>);

#[derive(Debug)]
struct Held<B> {
    // Away while it is polled: no lock is held across code that may be anybody's.
    source: Option<Pin<Box<B>>>,
    /// What the source has yet to give.
    hint: SizeHint,
    passed: BytesMut,
    trailers: Option<HeaderMap>,
    ended: bool,
    limit: usize,
    /// Nothing more is held: too much has passed, the source broke, or nobody wants it.
    let_go: bool,
    /// How much the source has given, and how much of that nobody can read any more.
    given: usize,
    gone: usize,
    /// Which reader's turn it is.
    turn: u32,
    /// The reader whose turn it is, who waits for the source to be put back.
    waits: Option<Waker>,
}

/// One that reads a [`Record`].
#[derive(Debug)]
pub(super) struct Reader<B: Body> {
    record: Arc<Record<B>>,
    turn: u32,
    read: usize,
    trailers_read: bool,
}

/// What a reader does next.
enum Next<B> {
    Give(Option<Frame<Bytes>>),
    Ask(Pin<Box<B>>),
    Wait,
    Superseded,
}

type Frames<E> = Option<Result<Frame<Bytes>, ReplayError<E>>>;
type Polled<D, E> = Poll<Option<Result<Frame<D>, E>>>;

impl<B: Body> Record<B> {
    pub(super) fn new(source: B, limit: usize) -> Self {
        Self(Mutex::new(Held {
            hint: source.size_hint(),
            source: Some(Box::pin(source)),
            passed: BytesMut::new(),
            trailers: None,
            ended: false,
            limit,
            let_go: false,
            given: 0,
            gone: 0,
            turn: 0,
            waits: None,
        }))
    }

    /// One that reads from the beginning, in place of whoever does; `None` if the beginning is gone.
    pub(super) fn read(this: &Arc<Self>) -> Option<Reader<B>> {
        let mut held = this.lock();
        if held.let_go {
            return None;
        }
        held.turn = held.turn.wrapping_add(1);
        Some(Reader {
            record: Arc::clone(this),
            turn: held.turn,
            read: 0,
            trailers_read: false,
        })
    }

    /// There will be no further reader.
    pub(super) fn let_go(&self) {
        self.lock().let_go = true;
    }

    /// How many bytes are held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.lock().passed.len()
    }

    fn lock(&self) -> MutexGuard<'_, Held<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B: Body> Held<B> {
    /// Puts the source back after it was polled, and holds what it gave; whatever was let go, where it was
    /// polled for one who reads no more.
    fn take_in(&mut self, source: Pin<Box<B>>, given: Option<&Frames<B::Error>>, superseded: bool) {
        self.hint = source.size_hint();
        self.ended |= source.is_end_stream();
        match given {
            None => {}
            Some(None) => self.ended = true,
            Some(Some(Err(_))) => self.lose(),
            Some(Some(Ok(frame))) => self.hold(frame, superseded),
        }
        self.source = Some(source);
    }

    fn hold(&mut self, frame: &Frame<Bytes>, superseded: bool) {
        let data = frame.data_ref().map(|data| &**data).unwrap_or_default();
        self.given = self.given.saturating_add(data.len());
        let unwanted = self.let_go && !superseded;
        if unwanted || self.passed.len().saturating_add(data.len()) > self.limit {
            self.stop_holding();
        } else {
            self.passed.extend_from_slice(data);
        }
        if let Some(trailers) = frame.trailers_ref() {
            self.ended = true;
            self.trailers = (!unwanted).then(|| trailers.clone());
        }
    }

    fn stop_holding(&mut self) {
        self.let_go = true;
        self.gone = self.given;
        self.passed = BytesMut::new();
    }

    /// Nobody reads on.
    fn lose(&mut self) {
        self.stop_holding();
        self.gone = usize::MAX;
    }
}

impl<B: Body> Reader<B> {
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Frames<B::Error>> {
        let source = match self.next(cx) {
            Next::Give(frame) => return Poll::Ready(frame.map(Ok)),
            Next::Superseded => return Poll::Ready(Some(Err(ReplayError::Superseded))),
            Next::Wait => return Poll::Pending,
            Next::Ask(source) => source,
        };
        let mut asked = Asked {
            record: &self.record,
            source: Some(source),
        };
        let given = match asked.poll(cx) {
            Poll::Ready(frame) => Some(frame.map(plain)),
            Poll::Pending => None,
        };
        if asked.put_back(self.turn, given.as_ref()) {
            // Whoever reads now has it from what is held.
            return Poll::Ready(Some(Err(ReplayError::Superseded)));
        }
        self.note(given.as_ref());
        given.map_or(Poll::Pending, Poll::Ready)
    }

    fn next(&mut self, cx: &Context<'_>) -> Next<B> {
        let mut held = self.record.lock();
        if held.turn != self.turn || self.read < held.gone {
            return Next::Superseded;
        }
        let at = self.read - held.gone;
        if let Some(unread) = held.passed.get(at..).filter(|it| !it.is_empty()) {
            let unread = Bytes::copy_from_slice(unread);
            self.read += unread.len();
            return Next::Give(Some(Frame::data(unread)));
        }
        if held.ended {
            let trailers = held.trailers.clone().filter(|_| !self.trailers_read);
            self.trailers_read = true;
            return Next::Give(trailers.map(Frame::trailers));
        }
        if let Some(source) = held.source.take() {
            return Next::Ask(source);
        }
        held.waits = Some(cx.waker().clone());
        Next::Wait
    }

    /// What it was given straight from the source it does not read again from what is held.
    fn note(&mut self, given: Option<&Frames<B::Error>>) {
        if let Some(Some(Ok(frame))) = given {
            self.read = self
                .read
                .saturating_add(frame.data_ref().map_or(0, Bytes::len));
            self.trailers_read |= frame.is_trailers();
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let held = self.record.lock();
        let all_read = self.read >= held.given;
        let trailers_left = held.trailers.is_some() && !self.trailers_read;
        held.turn == self.turn && held.ended && all_read && !trailers_left
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let held = self.record.lock();
        let unread = held.given.saturating_sub(self.read) as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = held.hint.upper() {
            hint.set_upper(upper.saturating_add(unread));
        }
        hint.set_lower(held.hint.lower().saturating_add(unread));
        hint
    }
}

/// The source while it is polled: it is put back, or known to be lost.
struct Asked<'a, B: Body> {
    record: &'a Record<B>,
    source: Option<Pin<Box<B>>>,
}

impl<B: Body> Asked<'_, B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Polled<B::Data, B::Error> {
        match &mut self.source {
            Some(source) => source.as_mut().poll_frame(cx),
            None => Poll::Pending,
        }
    }

    /// Whether somebody else reads by now.
    fn put_back(mut self, turn: u32, given: Option<&Frames<B::Error>>) -> bool {
        let mut held = self.record.lock();
        let superseded = held.turn != turn;
        if let Some(source) = self.source.take() {
            held.take_in(source, given, superseded);
        }
        let waits = held.waits.take();
        drop(held);
        if let Some(waits) = waits {
            waits.wake();
        }
        superseded
    }
}

/// The source has panicked: nobody reads on.
impl<B: Body> Drop for Asked<'_, B> {
    fn drop(&mut self) {
        if self.source.is_some() {
            let mut held = self.record.lock();
            held.lose();
            let waits = held.waits.take();
            drop(held);
            if let Some(waits) = waits {
                waits.wake();
            }
        }
    }
}
