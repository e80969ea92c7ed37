//! The time of day: what lines and records may ask for, and nothing else.

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Now, in UTC with microseconds.
pub(crate) fn wall_time() -> String {
    let mut time = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    time
}
