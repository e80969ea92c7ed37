//! What a connection goes on with after its last exchange over HTTP.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// In the extensions of a `101`: what goes on in the connection's task once that head is sent and nothing of HTTP
/// is left. Until it ends the connection counts as open; it is dropped with the connection.
#[derive(Clone)]
pub struct Afterwards(Arc<Mutex<Option<Work>>>);

impl Afterwards {
    /// Goes on with `work`.
    pub fn new(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Some(Box::pin(work)))))
    }

    /// The work, unless somebody has it already.
    pub(super) fn take(&self) -> Option<Work> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Afterwards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Afterwards").finish_non_exhaustive()
    }
}
