//! The ID of the request that this task is working on.

use std::cell::RefCell;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::CorrelationId;

thread_local! {
    // Borrowed for a copy or a swap alone, so never twice.
    static CURRENT: RefCell<Option<CorrelationId>> = const { RefCell::new(None) };
}

impl CorrelationId {
    /// The ID of the request that is being worked on here, if one is.
    ///
    /// It is there while the service inside a [`crate::CorrelationLayer`] is called, polled and
    /// dropped, and inside [`CorrelationId::scope`]. A task that is spawned has none unless its
    /// future is put into a scope of its own.
    pub fn current() -> Option<Self> {
        CURRENT.with_borrow(Clone::clone)
    }

    /// Calls `read` with the current ID.
    pub fn with_current<R>(read: impl FnOnce(Option<&Self>) -> R) -> R {
        // A copy: `read` may open a scope of its own.
        read(Self::current().as_ref())
    }

    /// Makes this the current ID while `future` is polled and dropped.
    ///
    /// ```
    /// use buttress_correlation::CorrelationId;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), buttress_correlation::InvalidId> {
    /// let id: CorrelationId = "job-7".parse()?;
    /// let work = async { CorrelationId::current() };
    /// assert_eq!(tokio::spawn(id.clone().scope(work)).await.ok(), Some(Some(id)));
    /// assert_eq!(CorrelationId::current(), None);
    /// # Ok(())
    /// # }
    /// ```
    pub fn scope<F: Future>(self, future: F) -> Scoped<F> {
        Scoped {
            future: Some(future),
            id: Some(self),
        }
    }

    /// Makes this the current ID while `work` runs.
    pub fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        let mut id = Some(self);
        let _inside = Inside::enter(&mut id);
        work()
    }
}

/// Exchanges an ID for the current one, and back when it is dropped: nothing is copied in between.
struct Inside<'a>(&'a mut Option<CorrelationId>);

impl<'a> Inside<'a> {
    #[inline]
    fn enter(id: &'a mut Option<CorrelationId>) -> Self {
        CURRENT.with_borrow_mut(|current| mem::swap(current, id));
        Self(id)
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        CURRENT.with_borrow_mut(|current| mem::swap(current, self.0));
    }
}

pin_project! {
    /// The future of [`CorrelationId::scope`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Scoped<F> {
        // `None` once it has ended: what it still holds is dropped inside the scope.
        #[pin]
        future: Option<F>,
        // While it is polled or dropped, whatever was current before. `None` once it is taken.
        id: Option<CorrelationId>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let _inside = Inside::enter(this.id);
                this.future.set(None);
            }
        }
    }
}

impl<F> Scoped<F> {
    /// Makes `id` the current one while `call` makes the future, and while that is polled.
    #[inline]
    pub(crate) fn calling(id: CorrelationId, call: impl FnOnce() -> F) -> Self {
        let mut id = Some(id);
        let future = {
            let _inside = Inside::enter(&mut id);
            call()
        };
        Self {
            future: Some(future),
            id,
        }
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_and(cx, |_, _| ())
    }
}

impl<F: Future> Scoped<F> {
    /// Polls inside the scope, and lets `finish` at what comes out before it is moved away, with the
    /// ID if it is the first to get it.
    #[inline]
    pub(crate) fn poll_and(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        finish: impl FnOnce(&mut F::Output, &mut Option<CorrelationId>),
    ) -> Poll<F::Output> {
        let mut this = self.project();
        let inside = Inside::enter(this.id);
        let mut polled = match this.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            // As with any future, polling again after the end is the caller's error.
            None => Poll::Pending,
        };
        if polled.is_ready() {
            this.future.set(None);
        }
        drop(inside);
        if let Poll::Ready(output) = &mut polled {
            finish(output, this.id);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    fn id(text: &str) -> CorrelationId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn an_id_is_current_in_every_poll_of_its_scope_and_nowhere_else() {
        let scope = id("a").scope(async {
            assert_eq!(CorrelationId::current(), Some(id("a")));
            tokio::task::yield_now().await;
            assert_eq!(CorrelationId::current(), Some(id("a")));
        });
        let mut task = tokio_test::task::spawn(scope);
        assert!(task.poll().is_pending());
        assert_eq!(CorrelationId::current(), None);
        assert!(task.poll().is_ready());
        assert_eq!(CorrelationId::current(), None);
    }

    #[tokio::test]
    async fn scopes_nest_and_the_outer_id_returns() {
        id("outer")
            .scope(async {
                id("inner").sync_scope(|| {
                    assert_eq!(CorrelationId::current(), Some(id("inner")));
                });
                assert_eq!(CorrelationId::current(), Some(id("outer")));
            })
            .await;
    }

    #[test]
    fn what_is_dropped_unfinished_is_dropped_inside_its_scope() {
        struct AtDrop(Arc<Mutex<Option<CorrelationId>>>);
        impl Drop for AtDrop {
            fn drop(&mut self) {
                *self.0.lock().unwrap() = CorrelationId::current();
            }
        }
        let seen = Arc::new(Mutex::new(None));
        let held = AtDrop(Arc::clone(&seen));
        drop(id("left").scope(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        assert_eq!(*seen.lock().unwrap(), Some(id("left")));
    }

    #[test]
    fn a_scope_has_the_auto_traits_of_what_it_wraps() {
        fn movable<T: Send + Sync + Unpin>(_: &T) {}
        movable(&id("a").scope(std::future::ready(())));
    }

    #[test]
    fn whoever_reads_the_current_id_sees_it_and_may_open_a_scope() {
        assert!(CorrelationId::with_current(|id| id.is_none()));
        let read = || CorrelationId::with_current(|id| id.map(ToString::to_string));
        assert_eq!(id("a").sync_scope(read).as_deref(), Some("a"));
        let nested = || CorrelationId::with_current(|_| id("b").sync_scope(read));
        assert_eq!(id("a").sync_scope(nested).as_deref(), Some("b"));
    }

    #[test]
    fn a_panic_inside_a_scope_leaves_what_was_current_before() {
        let inside = || id("inner").sync_scope(|| panic!("in the scope"));
        id("outer").sync_scope(|| {
            assert!(std::panic::catch_unwind(inside).is_err());
            assert_eq!(CorrelationId::current(), Some(id("outer")));
        });
    }
}
