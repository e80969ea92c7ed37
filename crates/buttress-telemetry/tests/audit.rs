//! Audit records are written in their order, lost ones counted, and nobody is kept waiting.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::path::PathBuf;
use std::time::Duration;

use buttress_core::metric::Collect;
use buttress_telemetry::audit::{Audit, Config, Kind, Record};

const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let name = format!("buttress-audit-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn config(&self) -> Config {
        Config::new(self.0.join("audit"))
    }

    fn read(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.0.join("audit")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn record(n: u64) -> Record {
    Record::new(Kind::Transition, format!("breaker {n}"))
        .who("rule failure_rate")
        .change("closed", "open")
}

#[test]
fn records_are_written_in_their_order_and_numbered() {
    let directory = Directory::new("order");
    let audit = Audit::open(directory.config()).unwrap();
    for n in 1..=100 {
        audit.record(record(n));
    }
    assert!(audit.flush(PATIENCE));
    let records = directory.read();
    assert_eq!(records.len(), 100);
    for (n, record) in (1_u64..).zip(&records) {
        assert_eq!(record["record"], n);
        assert_eq!(record["subject"], format!("breaker {n}"));
        assert_eq!(record["after"], "open");
    }
    assert_eq!(audit.snapshot().written, 100);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_records_counts_them_and_keeps_nobody_waiting() {
    let mut config = Config::new("/dev/full");
    config.sync = false;
    let audit = Audit::open(config).unwrap();
    for n in 0..3 {
        audit.record(record(n));
        // One after the other: none of them finds the queue full.
        assert!(audit.flush(PATIENCE));
    }
    let now = audit.snapshot();
    assert_eq!((now.written, now.failed, now.dropped), (0, 3, 0));
    let mut families = Vec::new();
    audit.collect(&mut families);
    assert_eq!(families[0].name, "buttress_audit_records");
}

#[test]
fn every_record_is_written_or_counted_as_lost_however_many_come_at_once() {
    let directory = Directory::new("flood");
    let mut config = directory.config();
    config.queue = 1;
    let audit = Audit::open(config).unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let audit = audit.clone();
            std::thread::spawn(move || (0..500).for_each(|n| audit.record(record(n))))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert!(audit.flush(PATIENCE));
    let now = audit.snapshot();
    assert_eq!(now.written + now.dropped, 2_000);
    assert_eq!(directory.read().len() as u64, now.written);
}

#[test]
fn a_file_that_cannot_be_opened_is_said_at_once() {
    let directory = Directory::new("absent");
    assert!(Audit::open(Config::new(directory.0.join("absent/audit"))).is_err());
}
