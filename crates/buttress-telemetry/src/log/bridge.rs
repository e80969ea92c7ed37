//! Lines of libraries that log by the crate `log`.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing_log::{AsLog, LogTracer, log};
use tracing_subscriber::filter::LevelFilter;

/// Whether what is logged there comes here.
static BRIDGED: AtomicBool = AtomicBool::new(false);

/// Takes over what the whole process logs there; whether nobody else has.
pub(crate) fn install() -> bool {
    let is_ours = log::set_boxed_logger(Box::new(LogTracer::new())).is_ok();
    BRIDGED.store(is_ours, Ordering::Release);
    follow();
    is_ours
}

/// Lets those libraries make the lines that somebody writes, and no others.
pub(super) fn follow() {
    if BRIDGED.load(Ordering::Acquire) {
        log::set_max_level(LevelFilter::current().as_log());
    }
}
