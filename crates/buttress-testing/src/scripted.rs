//! A service that answers by a script.

use std::collections::VecDeque;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::sync::oneshot;
use tower_service::Service;

use crate::lock;

/// Answers its calls by a queue of replies, whatever it is asked. Clones share the queue.
///
/// # Panics
///
/// When it is called more often than it has replies, and where the script says so.
#[derive(Debug)]
pub struct Scripted<T, E> {
    shared: Arc<Mutex<Shared<T, E>>>,
}

#[derive(Debug)]
struct Shared<T, E> {
    replies: VecDeque<Reply<T, E>>,
    calls: usize,
    held: bool,
    waiting: Vec<Waker>,
}

#[derive(Debug)]
enum Reply<T, E> {
    Now(Result<T, E>),
    Released(oneshot::Receiver<Result<T, E>>),
    Yields(usize, Result<T, E>),
    Never,
    Panic(&'static str),
}

/// Releases one pending reply of a [`Scripted`] service.
#[derive(Debug)]
pub struct Release<T, E>(oneshot::Sender<Result<T, E>>);

impl<T, E> Scripted<T, E> {
    /// A ready service with nothing to say.
    pub fn new() -> Self {
        let shared = Shared {
            replies: VecDeque::new(),
            calls: 0,
            held: false,
            waiting: Vec::new(),
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Then answers `reply`.
    #[must_use]
    pub fn ok(self, reply: T) -> Self {
        self.then(Reply::Now(Ok(reply)))
    }

    /// Then fails with `error`.
    #[must_use]
    pub fn err(self, error: E) -> Self {
        self.then(Reply::Now(Err(error)))
    }

    /// Then is pending `times` times, waking itself, and answers `result`.
    #[must_use]
    pub fn after_yields(self, times: usize, result: Result<T, E>) -> Self {
        self.then(Reply::Yields(times, result))
    }

    /// Then never answers.
    #[must_use]
    pub fn never(self) -> Self {
        self.then(Reply::Never)
    }

    /// Then panics with `message` when its future is polled.
    #[must_use]
    pub fn panics(self, message: &'static str) -> Self {
        self.then(Reply::Panic(message))
    }

    /// Adds a reply that is pending until it is released. Dropping the [`Release`] leaves it pending
    /// for ever.
    pub fn pending(&self) -> Release<T, E> {
        let (release, released) = oneshot::channel();
        lock(&self.shared)
            .replies
            .push_back(Reply::Released(released));
        Release(release)
    }

    /// Is not ready from now on, until [`Scripted::release_readiness`].
    pub fn hold_readiness(&self) {
        lock(&self.shared).held = true;
    }

    /// Is ready again, and wakes whoever waits for that.
    pub fn release_readiness(&self) {
        let waiting = {
            let mut shared = lock(&self.shared);
            shared.held = false;
            std::mem::take(&mut shared.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// How often it was called.
    pub fn calls(&self) -> usize {
        lock(&self.shared).calls
    }

    /// How many replies are left.
    pub fn replies_left(&self) -> usize {
        lock(&self.shared).replies.len()
    }

    fn then(self, reply: Reply<T, E>) -> Self {
        lock(&self.shared).replies.push_back(reply);
        self
    }
}

impl<T, E> Release<T, E> {
    /// Answers `result`. `false` if the call was dropped in the meantime.
    pub fn answer(self, result: Result<T, E>) -> bool {
        self.0.send(result).is_ok()
    }

    /// Whether the call was dropped.
    pub fn is_dropped(&self) -> bool {
        self.0.is_closed()
    }
}

impl<T, E> Default for Scripted<T, E> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, E> Clone for Scripted<T, E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<R, T, E> Service<R> for Scripted<T, E> {
    type Response = T;
    type Error = E;
    type Future = ScriptedFuture<T, E>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        let mut shared = lock(&self.shared);
        if shared.held {
            shared.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: R) -> ScriptedFuture<T, E> {
        let mut shared = lock(&self.shared);
        shared.calls += 1;
        let calls = shared.calls;
        let reply = shared.replies.pop_front();
        drop(shared);
        let Some(reply) = reply else {
            panic!("the script has no reply for call number {calls}");
        };
        ScriptedFuture {
            reply: Some(reply),
            unpinned: PhantomData,
        }
    }
}

/// The future of a [`Scripted`] reply.
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct ScriptedFuture<T, E> {
    reply: Option<Reply<T, E>>,
    // Nothing in here is ever pinned, whatever `T` and `E` are.
    unpinned: PhantomData<fn() -> (T, E)>,
}

impl<T, E> Unpin for ScriptedFuture<T, E> {}

impl<T, E> Future for ScriptedFuture<T, E> {
    type Output = Result<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T, E>> {
        match self.reply.take() {
            Some(Reply::Now(result) | Reply::Yields(0, result)) => Poll::Ready(result),
            Some(Reply::Yields(times, result)) => {
                cx.waker().wake_by_ref();
                self.wait(Reply::Yields(times - 1, result))
            }
            Some(Reply::Released(mut released)) => match Pin::new(&mut released).poll(cx) {
                Poll::Ready(Ok(result)) => Poll::Ready(result),
                Poll::Ready(Err(_)) => self.wait(Reply::Never),
                Poll::Pending => self.wait(Reply::Released(released)),
            },
            Some(Reply::Never) => self.wait(Reply::Never),
            Some(Reply::Panic(message)) => panic!("{message}"),
            None => panic!("a scripted future was polled after it had completed"),
        }
    }
}

impl<T, E> ScriptedFuture<T, E> {
    fn wait(&mut self, reply: Reply<T, E>) -> Poll<Result<T, E>> {
        self.reply = Some(reply);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drop_after_polls;

    type Script = Scripted<u32, &'static str>;

    #[test]
    fn replies_come_in_order_and_every_call_is_counted() {
        let mut script = Script::new().ok(1).err("down").after_yields(2, Ok(3));
        assert_eq!(drop_after_polls(script.call(()), 1), Some(Ok(1)));
        assert_eq!(drop_after_polls(script.call(()), 1), Some(Err("down")));
        let mut third = script.call(());
        assert_eq!(drop_after_polls(&mut third, 2), None);
        assert_eq!(drop_after_polls(third, 1), Some(Ok(3)));
        assert_eq!((script.calls(), script.replies_left()), (3, 0));
    }

    #[test]
    fn a_pending_reply_waits_for_its_release_and_sees_a_drop() {
        let mut script = Script::new();
        let (first, second) = (script.pending(), script.pending());
        let mut held = script.call(());
        assert_eq!(drop_after_polls(&mut held, 5), None);
        assert!(first.answer(Ok(7)));
        assert_eq!(drop_after_polls(held, 1), Some(Ok(7)));
        drop(script.call(()));
        assert!(second.is_dropped());
    }

    #[test]
    fn held_readiness_wakes_its_waiter_when_it_is_released() {
        let mut script = Script::new();
        let mut cx = Context::from_waker(Waker::noop());
        script.hold_readiness();
        assert!(Service::<()>::poll_ready(&mut script, &mut cx).is_pending());
        script.release_readiness();
        assert!(Service::<()>::poll_ready(&mut script, &mut cx).is_ready());
    }

    #[test]
    #[should_panic(expected = "no reply for call number 1")]
    fn a_call_beyond_the_script_is_reported() {
        drop(Script::new().call(()));
    }

    #[test]
    #[should_panic(expected = "as scripted")]
    fn a_panic_comes_when_the_future_is_polled() {
        let future = Script::new().panics("as scripted").call(());
        drop_after_polls(future, 1);
    }
}
