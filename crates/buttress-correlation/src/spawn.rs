//! Taking the current ID along, into what is spawned.

use std::future::Future;

use crate::CorrelationId;
use crate::current::{Scoped, inside};

/// Takes the ID that is current now along with a future, onto whatever task and thread polls it.
///
/// ```
/// use buttress_correlation::{CorrelationId, InCurrentScope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), buttress_correlation::InvalidId> {
/// let id: CorrelationId = "order-7".parse()?;
/// let handler = async {
///     let work = async { CorrelationId::current() };
///     tokio::spawn(work.in_current_scope()).await
/// };
/// assert_eq!(id.clone().scope(handler).await.ok(), Some(Some(id)));
/// # Ok(())
/// # }
/// ```
pub trait InCurrentScope: Future + Sized {
    /// This future, with the ID that is current now while it is polled and dropped. Where none is, it
    /// runs as it would anyway.
    fn in_current_scope(self) -> Scoped<Self> {
        Scoped::around(CorrelationId::current(), self)
    }
}

impl<F: Future> InCurrentScope for F {}

/// Takes the ID that is current now along with `work`, onto whatever thread runs it. Where none is, it
/// runs as it would anyway.
///
/// ```
/// use buttress_correlation::{CorrelationId, in_current_scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), buttress_correlation::InvalidId> {
/// let id: CorrelationId = "order-7".parse()?;
/// let handler = async {
///     tokio::task::spawn_blocking(in_current_scope(CorrelationId::current)).await
/// };
/// assert_eq!(id.clone().scope(handler).await.ok(), Some(Some(id.clone())));
///
/// let work = id.clone().sync_scope(|| in_current_scope(CorrelationId::current));
/// assert_eq!(std::thread::spawn(work).join().ok(), Some(Some(id)));
/// # Ok(())
/// # }
/// ```
pub fn in_current_scope<R>(work: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let id = CorrelationId::current();
    // What `work` holds is dropped inside as well.
    move || inside(id.as_ref(), work)
}
