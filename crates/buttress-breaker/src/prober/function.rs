//! The user's function, and one run of it.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use buttress_core::config::{ConfigError, require};
use buttress_core::outcome::{FailureKind, Outcome};

type Probing = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// Between two looks at a circuit whose place is taken, and between two probes.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause: what nobody sees out is no pause.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Finds out whether what is guarded works again. Given to [`Config::probe`](crate::Config::probe).
///
/// When the circuit has been open for its time, the function is run as a probe under lease, one at a
/// time, until the circuit closes, ramps or opens again. User calls are rejected meanwhile
/// (`probing`): nobody's request is the guinea pig. It stands for the user traffic in all other
/// respects: by its outcomes the circuit closes or opens, and its calls are counted.
///
/// - It may take fifteen sixteenths of the probe deadline; after that it is a failure by deadline. Where
///   a slow threshold is set ([`Config::slow_after`](crate::Config::slow_after), or one of the rules') it is
///   slow as soon as that is over.
/// - A panic of it is a failure. `Ignored` and `Abandoned` decide nothing, and it is run again.
/// - It ends with the last clone of the breaker, and is stopped when the state changes by hand.
/// - Where it cannot run, because its [`Spawn`](buttress_core::spawn::Spawn) is full or its executor is
///   gone, user calls probe as if there were none: the circuit never waits for a task that is not there. Nor does it wait for
///   one that is there and does not run: when nothing has come of it for a probe deadline after it was
///   due, user calls probe until it is back.
///
/// ```
/// use buttress_breaker::{Breaker, Config, ProbeFn};
/// use buttress_core::outcome::{FailureKind, Outcome};
/// use buttress_core::spawn::Spawn;
///
/// # async fn ping() -> Result<(), std::io::Error> { Ok(()) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let probe = ProbeFn::new(|| async {
///     match ping().await {
///         Ok(()) => Outcome::Success,
///         Err(_) => Outcome::Failure(FailureKind::Transport),
///     }
/// });
/// let breaker = Breaker::new("database", Config::default().probe(probe, Spawn::current()?))?;
/// # drop(breaker);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ProbeFn {
    run: Arc<dyn Fn() -> Probing + Send + Sync>,
    pub(super) every: Duration,
}

impl ProbeFn {
    /// Probes by `run`, once a second while the circuit is half-open.
    pub fn new<F, Fut>(run: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Outcome> + Send + 'static,
    {
        Self {
            run: Arc::new(move || Box::pin(run())),
            every: Duration::from_secs(1),
        }
    }

    /// With this pause after a probe that has not decided. Default 1 s; 1 ms to a day.
    #[must_use]
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Refuses what makes no sense.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let every = self.every;
        require((SHORTEST..=LONGEST).contains(&every), "probe.every", || {
            format!("{every:?} is no pause between probes; use {SHORTEST:?} to {LONGEST:?}")
        })
    }
}

impl fmt::Debug for ProbeFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProbeFn")
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

/// The function's future, or its panic.
pub(super) struct Caught(Option<Probing>);

impl Caught {
    pub(super) fn new(probe: &ProbeFn) -> Self {
        Self(catch_unwind(AssertUnwindSafe(|| (probe.run)())).ok())
    }
}

impl Future for Caught {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let Some(future) = &mut self.0 else {
            return Poll::Ready(Outcome::Failure(FailureKind::Panic));
        };
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx)))
            .unwrap_or(Poll::Ready(Outcome::Failure(FailureKind::Panic)))
    }
}
