//! Who knows which endpoints there are.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use buttress_core::clock::Clock;

use super::node::Node;

/// Knows which endpoints there are, and is asked again and again.
pub trait Source: Send + 'static {
    /// What it is called in metrics and events: `file`, `dns`.
    fn name(&self) -> &'static str;

    /// Waits until there may be something new, and says who is there: all of them, in any order. Of two
    /// nodes of one identity the first counts.
    ///
    /// The first call answers as soon as it can; each later one waits as long as is right for the
    /// source, on `clock`. It is dropped at any await point when the pool is, and may be called again
    /// after that and after a panic. Whoever answers at once each time is asked once a second.
    fn next(
        &mut self,
        clock: &Clock,
    ) -> impl Future<Output = Result<Vec<Node>, SourceError>> + Send;

    /// What was wrong with the answer that was given last, if that is to be believed all the same: a part of it is an
    /// older one. Told as a refusal is. By default nothing ever is.
    fn problem(&self) -> Option<SourceError> {
        None
    }
}

/// Why a source could not say who is there, or is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceError(Arc<str>);

impl SourceError {
    /// What was wrong, where, and what would be right.
    pub fn new(problem: impl Into<Arc<str>>) -> Self {
        Self(problem.into())
    }

    /// What was wrong.
    pub const fn problem(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for SourceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SourceError {}
