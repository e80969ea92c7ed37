//! The text of a file, if it is one.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use super::report::{ConfigError, unreadable};

/// Thousands of routes and pools; what is larger is something else.
const LONGEST: u64 = 16 << 20;

/// Reads all of a file, or says why that is no configuration.
pub(super) fn read(path: &Path) -> Result<String, ConfigError> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes));
    if let Err(error) = read {
        let message = format!("cannot be read: {error}; {}", advice(&error));
        return Err(unreadable(&name, None, message));
    }
    if bytes.len() as u64 > LONGEST {
        let message = format!("is longer than {} MiB; is it another file", LONGEST >> 20);
        return Err(unreadable(&name, None, message));
    }
    String::from_utf8(bytes).map_err(|error| {
        let (valid, rest) = error.as_bytes().split_at(error.utf8_error().valid_up_to());
        let valid = str::from_utf8(valid).unwrap_or_default();
        let line = valid.matches('\n').count() + 1;
        let what = match rest {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] if valid.is_empty() => "is UTF-16".to_owned(),
            [byte, ..] => format!("holds the byte 0x{byte:02x}, which is not UTF-8"),
            [] => "is not UTF-8".to_owned(),
        };
        unreadable(&name, Some(line), format!("{what}; save the file as UTF-8"))
    })
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied => "let the user who runs this read it",
        io::ErrorKind::IsADirectory => "name a file in it",
        _ => "check the path and the disk",
    }
}
