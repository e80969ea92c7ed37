//! What was changed, by whom and why: records in a file of their own, apart from the log.
//!
//! ```
//! use buttress_telemetry::audit::{Audit, Config, Kind, Record};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = std::env::temp_dir().join(format!("buttress-audit-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("audit.jsonl");
//! let audit = Audit::open(Config::new(&path))?;
//! audit.record(
//!     Record::new(Kind::Override, "breaker orders")
//!         .who("127.0.0.1:40112")
//!         .why("the upstream is being replaced")
//!         .change("closed", "forced_open"),
//! );
//! assert!(audit.flush(Duration::from_secs(60)));
//! let line = std::fs::read_to_string(&path)?;
//! assert!(line.contains(r#""before":"closed","after":"forced_open""#));
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok(())
//! # }
//! ```
//!
//! # The format
//!
//! One JSON object a line, in the order of the queue:
//!
//! | key | what it says |
//! |---|---|
//! | `time` | when it was recorded, in UTC with microseconds |
//! | `record` | the number of the record in this process, from 1 up; one that is missing was lost |
//! | `kind` | `transition`, `override`, `configuration`, or `gap` where somebody else's records were lost |
//! | `subject` | what was changed |
//! | `who` | who changed it: a rule, a caller's address |
//! | `why` | the verdict, or the reason that was given |
//! | `before`, `after` | what was so until then, and since |
//! | `correlation_id` | the request that changed it, where one did |
//!
//! # What it promises
//!
//! - Whoever records is never kept waiting: the queue has an end, and what finds it full is counted
//!   and lost, as is what the disk does not take: `tests/audit.rs`.
//! - Lines are whole, whatever the disk did before: `audit::file::tests`.
//! - Files are rotated by size and kept by number: `audit::file::tests`.
//! - No secret is written, as [`Redaction`] says.

mod file;
mod record;
mod writer;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use buttress_core::metric::{Collect, Family, Kind as MetricKind, Value};

use crate::redact::Redaction;

pub use record::{Kind, Record};

use file::File;
use writer::Tally;

/// Where records go, and how many are kept.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The file that is written to. Older ones have `.1`, `.2` … after its name.
    pub path: PathBuf,
    /// A file that would be longer than this, in bytes, is rotated first; by default 10 MiB.
    pub max_bytes: u64,
    /// How many older files are kept; by default 5.
    pub keep: u32,
    /// Whether each record is on the disk (`fdatasync`) before the next is taken from the queue; by
    /// default yes. Else the system writes it when it likes, and a crash of the machine loses what it
    /// had not.
    pub sync: bool,
    /// How many records may wait; by default 1,024.
    pub queue: usize,
    /// What is cut out of records.
    pub redaction: Redaction,
}

impl Config {
    /// The defaults, for the file at `path`. Its directory has to be there.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            max_bytes: 10 << 20,
            keep: 5,
            sync: true,
            queue: 1024,
            redaction: Redaction::default(),
        }
    }
}

/// Takes records, and has a thread of its own write them. Cheap to clone; the thread ends when the last
/// clone is gone and all is written.
#[derive(Clone)]
pub struct Audit(Arc<Shared>);

struct Shared {
    queue: SyncSender<String>,
    tally: Arc<Tally>,
    redaction: Redaction,
}

/// The records since the beginning, each in at most one of the three; the rest wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditSnapshot {
    /// Records in the file.
    pub written: u64,
    /// Records that found the queue full.
    pub dropped: u64,
    /// Records that the file did not take.
    pub failed: u64,
}

impl Audit {
    /// Opens the file, and begins to write to it. Fails if it cannot be opened or no thread can be had.
    pub fn open(config: Config) -> io::Result<Self> {
        let file = File::open(&config)?;
        let (queue, queued) = sync_channel(config.queue.max(1));
        let tally = Arc::new(Tally::default());
        let writing = Arc::clone(&tally);
        thread::Builder::new()
            .name("buttress-audit".to_owned())
            .spawn(move || writer::run(&queued, file, &writing))?;
        Ok(Self(Arc::new(Shared {
            queue,
            tally,
            redaction: config.redaction,
        })))
    }

    /// Has `record` written. Never waits: where the queue is full, it is counted and lost.
    pub fn record(&self, record: Record) {
        let Shared {
            queue,
            tally,
            redaction,
        } = &*self.0;
        let line = record.line(tally.number(), redaction);
        match queue.try_send(line) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => tally.drop_one(),
        }
    }

    /// Waits until what has been recorded is written or lost; whether that was within `timeout`. Blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.0.tally.settled(timeout)
    }

    /// The counts as they are now.
    pub fn snapshot(&self) -> AuditSnapshot {
        self.0.tally.snapshot()
    }
}

impl Collect for Audit {
    fn collect(&self, into: &mut Vec<Family>) {
        let now = self.snapshot();
        let help = "Audit records by what became of them. Those that are not written are lost.";
        let mut family = Family::new("buttress_audit_records", MetricKind::Counter, help);
        for (result, count) in [
            ("written", now.written),
            ("dropped", now.dropped),
            ("failed", now.failed),
        ] {
            let labels = vec![("result", Cow::Borrowed(result))];
            family.push(labels, Value::Counter(count));
        }
        into.push(family);
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Audit");
        shown
            .field("records", &self.snapshot())
            .finish_non_exhaustive()
    }
}
