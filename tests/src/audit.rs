//! An audit file that goes with its test.

use std::path::PathBuf;

use serde_json::Value;

/// A file of audit records, in a directory of its own.
#[derive(Debug)]
pub struct AuditFile(PathBuf);

impl AuditFile {
    /// The one of the test `name`.
    pub fn of(name: &str) -> Self {
        let name = format!("buttress-tests-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// What a gateway's configuration says of it.
    pub fn config(&self) -> String {
        format!("[audit]\npath = \"{}\"\n", self.path().display())
    }

    /// All of it.
    pub fn text(&self) -> String {
        std::fs::read_to_string(self.path()).unwrap_or_default()
    }

    /// The records of this kind.
    pub fn records(&self, kind: &str) -> Vec<Value> {
        let text = self.text();
        // The last line may still be written.
        let whole = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        whole
            .filter(|record: &Value| record["kind"] == kind)
            .collect()
    }

    fn path(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }
}

impl Drop for AuditFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
