//! How one exchange ended, and whose doing it was.

use std::fmt;

/// How one admitted exchange ended. Every admitted call ends in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered well and in time.
    Success,
    /// Went wrong in the named way.
    Failure(FailureKind),
    /// A success that took longer than the slow threshold of whoever judged it.
    Slow,
    /// Says nothing about the upstream: the classifier chose to disregard it.
    Ignored,
    /// The caller left before the end. Neither a failure nor a success.
    Abandoned,
}

/// In which way an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// The upstream answered, and its answer is a failure (a 5xx, a failing gRPC status, an `Err`).
    Answer,
    /// The upstream answered that it has too much to do (503 with `Retry-After`).
    Overloaded,
    /// No connection was made, or the upstream refused the stream: the request never reached it.
    Connect,
    /// The connection broke before the head of the response.
    Transport,
    /// A deadline passed.
    Deadline,
    /// The head was good, and the body broke.
    Body,
    /// The service panicked.
    Panic,
}

/// Whose doing an outcome was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Attribution {
    /// The upstream answered.
    Upstream,
    /// The transport broke.
    Transport,
    /// A deadline passed.
    Deadline,
    /// The client left.
    Client,
    /// Shed, refused or disregarded on this side.
    Local,
}

impl Outcome {
    /// Whose doing this outcome was.
    pub const fn attribution(self) -> Attribution {
        match self {
            Self::Success | Self::Slow => Attribution::Upstream,
            Self::Failure(kind) => kind.attribution(),
            Self::Ignored => Attribution::Local,
            Self::Abandoned => Attribution::Client,
        }
    }

    /// Whether this is a [`Outcome::Failure`] of any kind.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Failure(_))
    }

    /// The name used in labels and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Slow => "slow",
            Self::Ignored => "ignored",
            Self::Abandoned => "abandoned",
        }
    }
}

impl FailureKind {
    /// Whose doing a failure of this kind is.
    pub const fn attribution(self) -> Attribution {
        match self {
            Self::Answer | Self::Overloaded => Attribution::Upstream,
            Self::Connect | Self::Transport | Self::Body => Attribution::Transport,
            Self::Deadline => Attribution::Deadline,
            Self::Panic => Attribution::Local,
        }
    }

    /// The name used in labels and log lines.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Overloaded => "overloaded",
            Self::Connect => "connect",
            Self::Transport => "transport",
            Self::Deadline => "deadline",
            Self::Body => "body",
            Self::Panic => "panic",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(kind) => write!(f, "failure ({})", kind.as_str()),
            other => f.write_str(other.as_str()),
        }
    }
}

/// Marks a response or an error that stands in for a broken transport: the connection could not be
/// made, or broke before the head. A proxy that answers `502` puts it into the response's
/// extensions, so that what classifies sees the cause and not a mere status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportFailure;

impl TransportFailure {
    /// The marker.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection to the upstream failed")
    }
}

impl std::error::Error for TransportFailure {}

/// Marks a response or an error of a request that provably never reached an upstream: no connection was
/// made, the upstream refused the stream, or the connection was gone before a byte was written.
///
/// It says nothing about whose failure that was: it stands beside a [`TransportFailure`], a
/// [`crate::deadline::DeadlineExceeded`] or a [`crate::reject::Rejected`]. Whoever sends requests again may
/// send this one to another upstream whatever its method is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unsent;

impl Unsent {
    /// The marker.
    pub const fn new() -> Self {
        Self
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request never reached the upstream")
    }
}

impl std::error::Error for Unsent {}
