//! A wait on a clock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::{Instant, manual};

pin_project! {
    /// The future of [`super::Clock::sleep`]. Dropping it ends the wait and leaves nothing behind.
    #[derive(Debug)]
    #[must_use = "a wait does nothing until it is polled"]
    pub struct Sleep {
        #[pin]
        kind: Kind,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind {
        Timer { #[pin] timer: tokio::time::Sleep },
        Manual { wait: ManualWait },
    }
}

#[derive(Debug)]
struct ManualWait {
    shared: Arc<manual::Shared>,
    deadline: Instant,
    key: Option<u64>,
}

impl Sleep {
    pub(super) fn timer(duration: Duration) -> Self {
        Self {
            kind: Kind::Timer {
                timer: tokio::time::sleep(duration),
            },
        }
    }

    pub(super) fn manual(shared: Arc<manual::Shared>, duration: Duration) -> Self {
        let deadline = shared.now().saturating_add(duration);
        Self {
            kind: Kind::Manual {
                wait: ManualWait {
                    shared,
                    deadline,
                    key: None,
                },
            },
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project().kind.project() {
            KindProj::Timer { timer } => timer.poll(cx),
            KindProj::Manual { wait } => wait.poll(cx),
        }
    }
}

impl ManualWait {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        // Registered before the time is read: an advance in between wakes what it finds here.
        self.key = Some(self.shared.register(self.deadline, self.key, cx.waker()));
        if self.shared.now() < self.deadline {
            return Poll::Pending;
        }
        self.forget();
        Poll::Ready(())
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            self.shared.forget(self.deadline, key);
        }
    }
}

impl Drop for ManualWait {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::super::ManualClock;
    use std::time::Duration;
    use tokio_test::{assert_pending, assert_ready, task};

    #[test]
    fn a_manual_sleep_ends_at_its_deadline_and_not_a_nanosecond_before() {
        let time = ManualClock::new();
        let mut sleep = task::spawn(time.clock().sleep(Duration::from_secs(1)));
        assert_pending!(sleep.poll());
        time.advance(Duration::from_nanos(999_999_999));
        assert!(!sleep.is_woken());
        time.advance(Duration::from_nanos(1));
        assert!(sleep.is_woken());
        assert_ready!(sleep.poll());
    }

    #[tokio::test(start_paused = true)]
    #[expect(
        clippy::disallowed_methods,
        reason = "the runtime's paused clock is what is tested"
    )]
    async fn a_default_sleep_waits_on_the_runtime_timer() {
        let before = tokio::time::Instant::now();
        super::super::Clock::monotonic()
            .sleep(Duration::from_secs(60))
            .await;
        assert!(before.elapsed() >= Duration::from_secs(60));
    }
}
