//! The thread that writes, and what it counts.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::AuditSnapshot;
use super::file::File;

/// What became of the records.
#[derive(Debug, Default)]
pub(super) struct Tally {
    numbered: AtomicU64,
    dropped: AtomicU64,
    /// Written and failed.
    done: Mutex<Done>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct Done {
    written: u64,
    failed: u64,
}

impl Tally {
    /// The number of the next record.
    pub(super) fn number(&self) -> u64 {
        self.numbered.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Release);
        // Whoever waits looks again: under the lock, so that none has just looked.
        drop(self.done.lock());
        self.changed.notify_all();
    }

    fn note(&self, result: &io::Result<()>) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => done.written += 1,
            Err(_) => done.failed += 1,
        }
        drop(done);
        self.changed.notify_all();
    }

    /// Waits until all that was numbered by now is written or lost.
    pub(super) fn settled(&self, timeout: Duration) -> bool {
        let numbered = self.numbered.load(Ordering::Acquire);
        let waits = |done: &mut Done| {
            let dropped = self.dropped.load(Ordering::Acquire);
            done.written + done.failed + dropped < numbered
        };
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(done, timeout, waits);
        let (done, outcome) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(done);
        !outcome.timed_out()
    }

    pub(super) fn snapshot(&self) -> AuditSnapshot {
        let done = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        AuditSnapshot {
            written: done.written,
            dropped: self.dropped.load(Ordering::Acquire),
            failed: done.failed,
        }
    }
}

/// Writes what is queued, until nobody can queue any more.
pub(super) fn run(queued: &Receiver<String>, mut file: File, tally: &Tally) {
    let mut fails = false;
    while let Ok(line) = queued.recv() {
        let result = file.write(line.as_bytes());
        tally.note(&result);
        match &result {
            Ok(()) if fails => {
                tracing::info!(target: "buttress::telemetry", "audit records are written again");
            }
            Err(error) if !fails => tracing::error!(
                target: "buttress::telemetry",
                %error,
                "audit records cannot be written, they are counted and lost until they can"
            ),
            _ => {}
        }
        fails = result.is_err();
    }
}
