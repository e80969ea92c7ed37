//! What nobody logs costs its call site one look at a level, and asks no filter.

#![allow(clippy::unwrap_used, missing_docs)]

use buttress_telemetry::Config;
use tracing::level_filters::LevelFilter;

// The only test of its process, for the level is one for all of it.
#[test]
fn the_level_of_the_filter_is_that_of_the_process() {
    for (filter, level) in [("info", LevelFilter::INFO), ("off", LevelFilter::OFF)] {
        let (dispatch, _guard) = Config::new("test").filter(filter).build().unwrap();
        tracing::dispatcher::with_default(&dispatch, || {
            assert_eq!(LevelFilter::current(), level);
        });
    }
}
