//! When an exchange has to have ended, and marking one that has not.

use std::fmt;

use crate::clock::Instant;

/// When the answer to a request is of no use any more. In the request's extensions, by whoever knows;
/// whoever might begin something for it looks here first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(pub Instant);

/// A deadline passed. As an error in a source chain, or in a response's extensions beside a `504`,
/// it is what classifies as [`crate::outcome::FailureKind::Deadline`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeadlineExceeded;

impl DeadlineExceeded {
    /// The marker.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for DeadlineExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("deadline exceeded")
    }
}

impl std::error::Error for DeadlineExceeded {}
