//! What the gateway writes down: log lines and audit records.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde_spanned::Spanned;

use super::super::report::Report;
use super::super::{Audit, Log, LogFormat, LogLevel, raw, values};
use super::choice;

pub(super) fn log(raw: &raw::Log, report: &mut Report<'_>) -> Log {
    let default = Log::default();
    let formats = [("human", LogFormat::Human), ("json", LogFormat::Json)];
    let levels = [
        LogLevel::Error,
        LogLevel::Warn,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
    ]
    .map(|level| (level.as_str(), level));
    Log {
        format: choice(raw.format.as_ref(), "log.format", &formats, report)
            .unwrap_or(default.format),
        level: choice(raw.level.as_ref(), "log.level", &levels, report).unwrap_or(default.level),
        access_log: raw.access_log.unwrap_or(default.access_log),
        repeats: raw.repeats.unwrap_or(default.repeats),
        redact: each(raw.redact.as_ref(), "log.redact", report).unwrap_or(default.redact),
        secret_names: each(raw.secret_names.as_ref(), "log.secret_names", report)
            .unwrap_or_default(),
        show_headers: each(raw.show_headers.as_ref(), "log.show_headers", report)
            .unwrap_or_default(),
        show_query: each(raw.show_query.as_ref(), "log.show_query", report).unwrap_or_default(),
        show_path: raw.show_path.unwrap_or(default.show_path),
    }
}

pub(super) fn audit(raw: &raw::Audit, report: &mut Report<'_>) -> Audit {
    let default = Audit::default();
    let max_size = raw.max_size.as_ref().and_then(|size| {
        values::bytes(size.get_ref())
            .map_err(|message| report.add(size.span(), "audit.max_size", message))
            .ok()
    });
    Audit {
        path: raw.path.as_ref().map(|path| file(path, report)),
        // "unlimited" is never rotated.
        max_size: max_size.map_or(default.max_size, |size| size.unwrap_or(u64::MAX)),
        keep: keep(raw.keep.as_ref(), report).unwrap_or(default.keep),
        sync: raw.sync.unwrap_or(default.sync),
    }
}

/// A file that is there, or could be made.
fn file(written: &Spanned<String>, report: &mut Report<'_>) -> PathBuf {
    let path = PathBuf::from(written.get_ref());
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => Path::new(""),
    };
    let problem = if path.is_dir() || path.file_name().is_none() {
        Some(format!(
            "\"{}\" is no file; name one, such as \"audit.jsonl\"",
            path.display()
        ))
    } else if !directory.is_dir() {
        Some(format!(
            "there is no directory {}; make it, or name a file in another",
            directory.display()
        ))
    } else {
        None
    };
    if let Some(problem) = problem {
        report.add(written.span(), "audit.path", problem);
    }
    path
}

fn keep(number: Option<&Spanned<i64>>, report: &mut Report<'_>) -> Option<u32> {
    let number = number?;
    let value = *number.get_ref();
    let read = u32::try_from(value).ok().filter(|&keep| keep <= MOST_KEPT);
    if read.is_none() {
        let message = format!("{value} is not a number of files; write one from 0 to {MOST_KEPT}");
        report.add(number.span(), "audit.keep", message);
    }
    read
}

/// Each is renamed when a file is rotated.
const MOST_KEPT: u32 = 1000;

/// Reads a list, and reports each entry that is wrong.
fn each<T: FromStr<Err: Display>>(
    texts: Option<&Vec<Spanned<String>>>,
    key: &str,
    report: &mut Report<'_>,
) -> Option<Vec<T>> {
    let read = texts?.iter().filter_map(|text| {
        let read = text.get_ref().parse::<T>();
        let wrong = |error: T::Err| format!("\"{}\" is wrong: {error}", text.get_ref());
        read.map_err(|error| report.add(text.span(), key, wrong(error)))
            .ok()
    });
    Some(read.collect())
}
