//! What asks an endpoint how it is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use buttress_core::spawn::Refused;

/// Asks an endpoint how it is.
pub trait Check<S>: Send + Sync + 'static {
    /// What it is called where its findings are shown, such as `http GET /healthz`.
    fn name(&self) -> Cow<'static, str>;

    /// Asks the endpoint `id` through `service`, a clone of that which requests are sent to. The future
    /// is dropped when [`Checks::timeout`](super::Checks::timeout) is over.
    fn check(
        &self,
        id: &Arc<str>,
        service: S,
    ) -> impl Future<Output = Result<(), CheckFailed>> + Send;
}

/// The endpoint is not well, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckFailed(Arc<str>);

impl CheckFailed {
    /// What was seen, and what would have been right.
    pub fn new(problem: impl Into<Arc<str>>) -> Self {
        Self(problem.into())
    }

    /// `error` with all that is behind it.
    pub(super) fn because(what: &str, error: &(dyn Error + 'static)) -> Self {
        let mut problem = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            problem = format!("{problem}: {error}");
            source = error.source();
        }
        Self::new(problem)
    }

    /// What was seen.
    pub const fn problem(&self) -> &Arc<str> {
        &self.0
    }
}

impl fmt::Display for CheckFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for CheckFailed {}

/// Checks could not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckError {
    /// Their configuration makes no sense.
    Config(ConfigError),
    /// No task can be run for them.
    Spawn(Refused),
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl Error for CheckError {}

impl From<ConfigError> for CheckError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<Refused> for CheckError {
    fn from(error: Refused) -> Self {
        Self::Spawn(error)
    }
}
