//! Which lines are written, and changing that while the process runs.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use buttress_core::verdict::By;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::{Registry, reload};

use crate::error::InitError;

/// Changes which lines are written, while they are. Cheap to clone; works as long as the subscriber
/// that was built with it.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Held while filter and directives are changed.
    said: Arc<Mutex<Said>>,
    by: Option<Arc<By>>,
}

/// What was said last.
struct Said {
    directives: String,
    /// How many changes are being told: their line is let through, whatever the directives say.
    telling: usize,
}

impl Said {
    fn filter(&self) -> Result<EnvFilter, InitError> {
        match self.telling {
            0 => parse(&self.directives),
            _ => parse(&format!("{},{TARGET}=info", self.directives)),
        }
    }
}

/// The target of the line that tells of a change, which is never held back.
pub(super) const TARGET: &str = "buttress::log";

impl LogHandle {
    /// The filter of `directives`, and what changes it.
    pub(crate) fn new(
        directives: String,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), InitError> {
        let (layer, filter) = reload::Layer::new(parse(&directives)?);
        let said = Arc::new(Mutex::new(Said {
            directives,
            telling: 0,
        }));
        let by = None;
        Ok((layer, Self { filter, said, by }))
    }

    /// A handle whose changes are told with who made them, and why.
    #[must_use]
    pub fn on_behalf_of(&self, by: By) -> Self {
        Self {
            by: Some(Arc::new(by)),
            ..self.clone()
        }
    }

    /// The directives in force.
    pub fn filter(&self) -> String {
        self.said().directives.clone()
    }

    /// Writes from now on what `directives` let through, as `info,hyper=debug`; gives those that were in
    /// force before. Directives that make no sense are refused and change nothing.
    ///
    /// The change is a line of the log, at `info` under `buttress::log`, whatever the directives say: who reads the log
    /// has to know what is missing in it from then on.
    pub fn set_filter(&self, directives: &str) -> Result<String, InitError> {
        parse(directives)?;
        let before = self.change(|said| {
            said.telling = said.telling.saturating_add(1);
            std::mem::replace(&mut said.directives, directives.to_owned())
        })?;
        // Without the lock: whoever writes the line may be anybody.
        self.tell(&before, directives);
        self.change(|said| said.telling = said.telling.saturating_sub(1))?;
        Ok(before)
    }

    /// Changes what is said, and filters by that.
    fn change<T>(&self, change: impl FnOnce(&mut Said) -> T) -> Result<T, InitError> {
        let mut said = self.said();
        let changed = change(&mut said);
        let set = self.filter.reload(said.filter()?);
        set.map_err(|_| InitError::Filter("nobody writes lines any more".to_owned()))?;
        super::bridge::follow();
        Ok(changed)
    }

    fn tell(&self, before: &str, after: &str) {
        let (who, why) = match self.by.as_deref() {
            Some(by) => (by.who.as_str(), by.why.as_str()),
            None => ("", ""),
        };
        tracing::info!(target: TARGET, who, why, before, after, "log filter changed");
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("LogHandle");
        shown
            .field("filter", &self.filter())
            .finish_non_exhaustive()
    }
}

/// Reads directives. A word alone is a level: as a target, which the notation would allow, it is most
/// often a level mistyped, and would silence all others.
fn parse(directives: &str) -> Result<EnvFilter, InitError> {
    let refused = |problem: String| InitError::Filter(problem);
    if directives.trim().is_empty() {
        return Err(refused("nothing is said".to_owned()));
    }
    let has_spans = directives.contains('[');
    for word in directives.split(',').map(str::trim) {
        let is_level = !word.is_empty() && word.parse::<LevelFilter>().is_ok();
        if !has_spans && !word.contains('=') && !is_level {
            return Err(refused(format!("{word:?} is no level")));
        }
    }
    EnvFilter::try_new(directives).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_that_would_silence_everything_by_a_slip_are_refused() {
        for wrong in [
            "",
            " ",
            "ifno",
            "hyper",
            "info,",
            "info,hyper=loud",
            "=,",
            "info,,debug",
        ] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
        for right in [
            "info",
            "off",
            "WARN,hyper=debug",
            "a::b=trace,info",
            "[span{a=1}]=debug",
        ] {
            assert!(parse(right).is_ok(), "{right:?}");
        }
    }
}
