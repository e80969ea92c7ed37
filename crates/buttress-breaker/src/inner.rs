//! The inner service of a guard, and how far it has been readied.

use std::task::{Context, Poll};

use tower_service::Service;

/// An inner service that may hold a reservation since it was polled.
#[derive(Debug)]
pub(crate) struct Inner<S> {
    pub(crate) service: S,
    readiness: Readiness,
}

/// How far the inner service has been readied since it was last called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Readiness {
    /// Not polled.
    Untouched,
    /// Polled, and may hold a place in somebody's queue.
    Waiting,
    /// Ready, and may hold a reservation.
    Ready,
}

impl<S> Inner<S> {
    pub(crate) const fn new(service: S) -> Self {
        Self {
            service,
            readiness: Readiness::Untouched,
        }
    }

    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        self.readiness == Readiness::Ready
    }

    /// Readies it, unless it is.
    #[inline]
    pub(crate) fn poll_ready<R>(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>>
    where
        S: Service<R>,
    {
        if self.is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.readiness = Readiness::Waiting;
        let polled = self.service.poll_ready(cx);
        match &polled {
            Poll::Ready(Ok(())) => self.readiness = Readiness::Ready,
            Poll::Ready(Err(_)) => self.readiness = Readiness::Untouched,
            Poll::Pending => {}
        }
        polled
    }

    /// Whether it may be called at once; it has to be readied again afterwards.
    #[inline]
    pub(crate) fn take_readiness(&mut self) -> bool {
        std::mem::replace(&mut self.readiness, Readiness::Untouched) == Readiness::Ready
    }

    /// Takes the service, as far as it has been readied, and leaves a clone.
    pub(crate) fn take(&mut self) -> S
    where
        S: Clone,
    {
        let clone = self.service.clone();
        std::mem::replace(&mut self.service, clone)
    }

    /// Lets go of what readying it has reserved: a permit or a place in a queue that an idle clone
    /// would keep from the probe that needs it.
    pub(crate) fn let_go(&mut self)
    where
        S: Clone,
    {
        if self.readiness != Readiness::Untouched {
            self.readiness = Readiness::Untouched;
            drop(self.take());
        }
    }
}

/// The clone has readied nothing.
impl<S: Clone> Clone for Inner<S> {
    fn clone(&self) -> Self {
        Self::new(self.service.clone())
    }
}
