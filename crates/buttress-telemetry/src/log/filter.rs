//! Which lines are written, and changing that while the process runs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::{Registry, reload};

use crate::error::InitError;

/// Changes which lines are written, while they are. Cheap to clone; works as long as the subscriber
/// that was built with it.
#[derive(Clone)]
pub struct LogHandle {
    filter: reload::Handle<EnvFilter, Registry>,
    /// As they were said last. Held while both are changed.
    directives: Arc<Mutex<String>>,
}

impl LogHandle {
    /// The filter of `directives`, and what changes it.
    pub(crate) fn new(
        directives: String,
    ) -> Result<(reload::Layer<EnvFilter, Registry>, Self), InitError> {
        let (layer, filter) = reload::Layer::new(parse(&directives)?);
        let directives = Arc::new(Mutex::new(directives));
        Ok((layer, Self { filter, directives }))
    }

    /// The directives in force.
    pub fn filter(&self) -> String {
        let directives = self.directives.lock();
        directives.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes from now on what `directives` let through, as `info,hyper=debug`; gives those that were in
    /// force before. Directives that make no sense are refused and change nothing.
    pub fn set_filter(&self, directives: &str) -> Result<String, InitError> {
        let filter = parse(directives)?;
        let mut current = self
            .directives
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let set = self.filter.reload(filter);
        set.map_err(|_| InitError::Filter("nobody writes lines any more".to_owned()))?;
        super::bridge::follow();
        Ok(std::mem::replace(&mut *current, directives.to_owned()))
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
