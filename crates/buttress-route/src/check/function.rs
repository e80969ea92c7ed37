//! A check that is a function of the user's.

use std::borrow::Cow;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::kind::{Check, CheckFailed};

/// Asks an endpoint by a function of its identity and its service: `Ok` if it is well.
///
/// ```
/// use std::sync::Arc;
/// use buttress_route::check::{CheckFailed, CheckFn};
///
/// # async fn ping(_: &str) -> bool { true }
/// let check = CheckFn::new("ping", |id: Arc<str>, _service: ()| async move {
///     if ping(&id).await { Ok(()) } else { Err(CheckFailed::new("no pong")) }
/// });
/// # let _ = check;
/// ```
#[derive(Clone)]
pub struct CheckFn<F> {
    name: Cow<'static, str>,
    function: F,
}

impl<F> CheckFn<F> {
    /// By `function`, shown as `name`.
    pub fn new(name: impl Into<Cow<'static, str>>, function: F) -> Self {
        let name = name.into();
        Self { name, function }
    }
}

impl<S, F, Fut> Check<S> for CheckFn<F>
where
    S: Send,
    F: Fn(Arc<str>, S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), CheckFailed>> + Send,
{
    fn name(&self) -> Cow<'static, str> {
        self.name.clone()
    }

    async fn check(&self, id: &Arc<str>, service: S) -> Result<(), CheckFailed> {
        (self.function)(Arc::clone(id), service).await
    }
}

impl<F> fmt::Debug for CheckFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckFn")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
