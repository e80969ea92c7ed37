//! A timer that is made when something first has to be waited for, and kept for the next time.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

/// Tokio's time now, which is what its timers are set by.
#[expect(
    clippy::disallowed_methods,
    reason = "the edge waits on sockets with tokio's timers, so it reads the clock they go by"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Counts only while something is waited for. As small as a pointer, for it is moved a lot.
#[derive(Debug, Default)]
pub(crate) struct IdleTimer {
    wait: Option<Pin<Box<Wait>>>,
}

pin_project! {
    #[derive(Debug)]
    struct Wait {
        #[pin]
        sleep: Sleep,
        since: Option<Instant>,
    }
}

impl IdleTimer {
    /// Whether it was ever waited for.
    pub(crate) const fn is_made(&self) -> bool {
        self.wait.is_some()
    }

    /// Nothing came: ready once the wait, begun with the first such call, is longer than `limit`.
    pub(crate) fn poll_waiting(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let wait = self.wait.get_or_insert_with(|| Box::pin(Wait::new(limit)));
        wait.as_mut().poll(cx, limit)
    }

    /// It was not waited for in vain: the wait begins anew with the next call.
    pub(crate) fn moved(&mut self) {
        if let Some(wait) = &mut self.wait {
            *wait.as_mut().project().since = None;
        }
    }

    /// The same; tells how long it was waited for.
    pub(crate) fn arrived(&mut self) -> Duration {
        let since = match &mut self.wait {
            Some(wait) => wait.as_mut().project().since.take(),
            None => None,
        };
        since.map_or(Duration::ZERO, |since| {
            now().saturating_duration_since(since)
        })
    }
}

impl Wait {
    fn new(limit: Duration) -> Self {
        let since = now();
        Self {
            sleep: tokio::time::sleep_until(since + limit),
            since: Some(since),
        }
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let mut this = self.project();
        if this.since.is_none() {
            let since = now();
            *this.since = Some(since);
            this.sleep.as_mut().reset(since + limit);
        }
        this.sleep.poll(cx)
    }
}
