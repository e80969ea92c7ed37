//! What is logged, kept to be looked at.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// Keeps what is logged.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// What `grep` finds.
    pub fn with(&self, text: &str) -> Vec<Value> {
        let all = self.text();
        let lines = all.lines().filter(|line| line.contains(text));
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines of the request of this ID.
    pub fn of(&self, id: &str) -> Vec<Value> {
        let mut lines = self.with(id);
        lines.retain(|line| line["correlation_id"] == id);
        lines
    }
}
