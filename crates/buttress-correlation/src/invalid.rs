//! What is wrong with what is no ID.

use std::fmt;

#[cfg(doc)]
use crate::MAX_LEN;

/// Why something is no correlation ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InvalidId {
    /// Nothing is there.
    Empty,
    /// More than [`MAX_LEN`] bytes.
    TooLong,
    /// A byte outside of `[A-Za-z0-9._:+/=@-]`.
    Charset,
    /// The header came more than once, and nothing says which of them counts.
    Repeated,
}

impl InvalidId {
    /// The name used as the label `reason` and in log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "too_long",
            Self::Charset => "charset",
            Self::Repeated => "repeated",
        }
    }
}

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty correlation ID, expected 1 to 128 bytes",
            Self::TooLong => "correlation ID too long, expected at most 128 bytes",
            Self::Charset => "byte not allowed in a correlation ID, expected [A-Za-z0-9._:+/=@-]",
            Self::Repeated => "more than one correlation ID, expected exactly one",
        })
    }
}

impl std::error::Error for InvalidId {}
