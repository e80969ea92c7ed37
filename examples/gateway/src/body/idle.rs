//! A timer that is made when something first has to be waited for, and kept for the next time.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Tokio's time now, which is what its timers are set by.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge waits on sockets with tokio's timers, so it reads the clock they go by"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Counts only while something is waited for.
#[derive(Debug, Default)]
pub(crate) struct IdleTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    waiting_since: Option<Instant>,
}

impl IdleTimer {
    /// Nothing came: ready once the wait, begun with the first such call, is longer than `limit`.
    pub(crate) fn poll_waiting(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        if self.waiting_since.is_none() {
            let since = now();
            self.waiting_since = Some(since);
            match &mut self.sleep {
                Some(sleep) => sleep.as_mut().reset(since + limit),
                None => self.sleep = Some(Box::pin(tokio::time::sleep_until(since + limit))),
            }
        }
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// Something came; tells how long it was waited for.
    pub(crate) fn arrived(&mut self) -> Duration {
        match self.waiting_since.take() {
            Some(since) => now().saturating_duration_since(since),
            None => Duration::ZERO,
        }
    }
}
