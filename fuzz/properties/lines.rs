//! What is logged stays on its line, comes back from JSON as it was, and has no secret in it.

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use buttress_telemetry::redact::REDACTED;
use buttress_telemetry::{Config, Format, Redaction};
use tracing::Dispatch;
use tracing_subscriber::fmt::MakeWriter;

/// Any text, as message and as field, is one line in either form, without what would steer a terminal,
/// and JSON is read back as it was but for what was cut out.
pub fn log_lines(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let human = HUMAN.line(&text);
    assert!(human.ends_with('\n'));
    assert!(
        !human.trim_end_matches('\n').contains(is_steering),
        "{human:?}"
    );
    assert_eq!(human.matches('\n').count(), 1, "{human:?}");
    let json = JSON.line(&text);
    assert_eq!(json.matches('\n').count(), 1, "{json:?}");
    assert!(
        !json.trim_end_matches('\n').contains(is_steering),
        "{json:?}"
    );
    let read: serde_json::Value = serde_json::from_str(&json).expect("a line of JSON");
    let redaction = Redaction::new();
    assert_eq!(read["message"], *redaction.text(&text));
    assert_eq!(read["fields"]["text"], *redaction.text(&text));
    assert_eq!(read["level"], "INFO");
}

/// Secrets are cut out of any text, and what is left of it is as it was, in its order.
pub fn redaction(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let redaction = Redaction::new();
    let mut rest = &*text;
    for part in redaction.text(&text).split(REDACTED) {
        let at = rest.find(part).expect("a part of the text");
        rest = &rest[at + part.len()..];
    }
    for secret in [
        "ann.lee@mail.example.com",
        "4111-1111-1111-1111",
        "ghp_0123456789abcdefghij",
        "AKIAIOSFODNN7EXAMPLE",
    ] {
        let planted = format!("{text}\n{secret}\n{text}");
        let shown = redaction.text(&planted);
        assert!(
            text.contains(secret) || !shown.contains(secret),
            "{shown:?}"
        );
    }
    drop(redaction.query(&text));
    drop(redaction.path(&text));
    drop(redaction.field(&text, &text));
}

fn is_steering(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

static HUMAN: LazyLock<Log> = LazyLock::new(|| Log::new(Format::Human));
static JSON: LazyLock<Log> = LazyLock::new(|| Log::new(Format::Json));

/// A log that is read back line by line.
struct Log {
    dispatch: Dispatch,
    written: Written,
}

impl Log {
    fn new(format: Format) -> Self {
        let written = Written::default();
        let config = Config::new("fuzz").format(format).repeats(None);
        let built = config.writer(written.clone()).build();
        let (dispatch, guard) = built.expect("a subscriber");
        // Nothing is exported: there is nothing to keep.
        drop(guard);
        Self { dispatch, written }
    }

    fn line(&self, text: &str) -> String {
        let log = || tracing::info!(text, "{text}");
        let mut written = self
            .written
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        written.clear();
        drop(written);
        tracing::dispatcher::with_default(&self.dispatch, log);
        let written = self
            .written
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(written.clone()).expect("a line of text")
    }
}

#[derive(Clone, Debug, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        written.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Written {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
