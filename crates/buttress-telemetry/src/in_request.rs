//! Taking the request that is worked on here along, into what is spawned.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use buttress_correlation::CorrelationId;
use pin_project_lite::pin_project;

use crate::exchange::Scope;
use crate::trace::current;

/// Takes the request that is worked on now along with a future, onto whatever task and thread polls it:
/// what it logs carries the correlation ID, the trace and the span, and its spans have that span as their
/// parent. A service without spans has [`buttress_correlation::InCurrentScope`] for the ID alone.
///
/// ```
/// use buttress_telemetry::InCurrentRequest;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let later = async { tracing::info!("on a task of its own, and still found by the request's ID") };
/// tokio::spawn(later.in_current_request()).await?;
/// # Ok(())
/// # }
/// ```
pub trait InCurrentRequest: Future + Sized {
    /// This future, with the request that is worked on now while it is polled and dropped. Where none is,
    /// it runs as it would anyway.
    fn in_current_request(self) -> InRequest<Self> {
        InRequest {
            future: Some(self),
            request: CurrentRequest::take(),
        }
    }
}

impl<F: Future> InCurrentRequest for F {}

/// Takes the request that is worked on now along with `work`, onto whatever thread runs it: for
/// `spawn_blocking` and threads of one's own. Where none is, it runs as it would anyway.
pub fn in_current_request<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let request = CurrentRequest::take();
    // What `work` holds is dropped inside as well.
    move || request.enter(work)
}

/// What is current where it was taken.
#[derive(Debug)]
struct CurrentRequest {
    /// Current also where a layer further in has given it, and the exchange does not know it.
    id: Option<CorrelationId>,
    scope: Scope,
}

impl CurrentRequest {
    fn take() -> Self {
        Self {
            id: CorrelationId::current(),
            scope: current::exchange().map_or(Scope::Nothing, Scope::Exchange),
        }
    }

    fn enter<R>(&self, work: impl FnOnce() -> R) -> R {
        let inside = || self.scope.enter(work);
        match &self.id {
            Some(id) => id.clone().sync_scope(inside),
            None => inside(),
        }
    }
}

pin_project! {
    /// A future that works on a request: of [`InCurrentRequest`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct InRequest<F> {
        // `None` once it has ended: what it still holds is dropped inside the request.
        #[pin]
        future: Option<F>,
        request: CurrentRequest,
    }

    impl<F> PinnedDrop for InRequest<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                this.request.enter(|| this.future.set(None));
            }
        }
    }
}

impl<F: Future> Future for InRequest<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        this.request.enter(|| {
            let polled = match this.future.as_mut().as_pin_mut() {
                Some(future) => future.poll(cx),
                // As with any future, polling again after the end is the caller's error.
                None => Poll::Pending,
            };
            if polled.is_ready() {
                this.future.set(None);
            }
            polled
        })
    }
}
