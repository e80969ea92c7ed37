//! Marking an exchange whose deadline passed.

use std::fmt;

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
