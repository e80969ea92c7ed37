//! The ID of the request that this task is working on.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use scoped_tls::scoped_thread_local;

use crate::CorrelationId;

// Points at the ID where it is kept: entering a scope copies nothing.
scoped_thread_local!(static CURRENT: CorrelationId);

impl CorrelationId {
    /// The ID of the request that is being worked on here, if one is.
    ///
    /// It is there while the service inside a [`crate::CorrelationLayer`] is called, polled and
    /// dropped, and inside [`CorrelationId::scope`]. What is spawned has none unless it takes it
    /// along: [`crate::InCurrentScope`] for futures, [`crate::in_current_scope`] for what blocks.
    pub fn current() -> Option<Self> {
        CURRENT.is_set().then(|| CURRENT.with(Self::clone))
    }

    /// Calls `read` with the current ID.
    #[inline]
    pub fn with_current<R>(read: impl FnOnce(Option<&Self>) -> R) -> R {
        if CURRENT.is_set() {
            CURRENT.with(|id| read(Some(id)))
        } else {
            read(None)
        }
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
        Scoped::around(Some(self), future)
    }

    /// Makes this the current ID while `work` runs.
    pub fn sync_scope<R>(self, work: impl FnOnce() -> R) -> R {
        CURRENT.set(&self, work)
    }
}

/// Makes `id` the current one while `work` runs; without one it runs as it would anyway.
#[inline]
pub(crate) fn inside<R>(id: Option<&CorrelationId>, work: impl FnOnce() -> R) -> R {
    match id {
        Some(id) => CURRENT.set(id, work),
        None => work(),
    }
}

pin_project! {
    /// A future with an ID that is current while it is polled and dropped: of [`CorrelationId::scope`]
    /// and [`crate::InCurrentScope`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct Scoped<F> {
        // `None` once it has ended: what it still holds is dropped inside the scope.
        #[pin]
        future: Option<F>,
        id: Option<CorrelationId>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                inside(this.id.as_ref(), || this.future.set(None));
            }
        }
    }
}

impl<F> Scoped<F> {
    #[inline]
    pub(crate) const fn around(id: Option<CorrelationId>, future: F) -> Self {
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
    /// Polls inside the scope, and lets `finish` at what comes out before it is moved away.
    #[inline]
    pub(crate) fn poll_and(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        finish: impl FnOnce(&mut F::Output, Option<&CorrelationId>),
    ) -> Poll<F::Output> {
        let mut this = self.project();
        let id = this.id.as_ref();
        let mut polled = inside(id, || match this.future.as_mut().as_pin_mut() {
            Some(future) => future.poll(cx),
            // As with any future, polling again after the end is the caller's error.
            None => Poll::Pending,
        });
        // What has not come, and may be large, is not moved.
        let Poll::Ready(output) = &mut polled else {
            return Poll::Pending;
        };
        inside(id, || this.future.set(None));
        finish(output, id);
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
