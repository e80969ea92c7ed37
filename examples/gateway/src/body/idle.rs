//! A timer that is made when something first has to be waited for, and kept for the next time.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::alarm;

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
        // Where the task does not wake itself.
        #[pin]
        sleep: Option<Sleep>,
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
        let mut wait = self.wait().project();
        let deadline = *wait.since.get_or_insert_with(now) + limit;
        alarm::poll_until(cx, deadline)
            .unwrap_or_else(|| poll_sleep(wait.sleep.as_mut(), cx, deadline))
    }

    fn wait(&mut self) -> Pin<&mut Wait> {
        self.wait
            .get_or_insert_with(|| {
                Box::pin(Wait {
                    sleep: None,
                    since: None,
                })
            })
            .as_mut()
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

fn poll_sleep(
    mut sleep: Pin<&mut Option<Sleep>>,
    cx: &mut Context<'_>,
    deadline: Instant,
) -> Poll<()> {
    if sleep.is_none() {
        sleep.set(Some(tokio::time::sleep_until(deadline)));
    }
    let Some(mut sleep) = sleep.as_pin_mut() else {
        return Poll::Pending;
    };
    if sleep.deadline() != deadline {
        sleep.as_mut().reset(deadline);
    }
    sleep.poll(cx)
}
