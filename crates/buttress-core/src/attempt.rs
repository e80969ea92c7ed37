//! Which attempt at a client's request a request is.

use std::fmt;

/// In the extensions of a request that is not the first one sent for what a client asks: one that is
/// sent again because an attempt failed, or a copy that nobody waits for.
///
/// Whoever sends it puts it there; whoever makes spans, log lines or counts of attempts reads it. The
/// first attempt carries none, so that a request which needs no second pays nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt {
    resends: u32,
    copy: bool,
}

impl Attempt {
    /// The `resends`-th time that the request is sent again: 1 for the second attempt.
    pub const fn resent(resends: u32) -> Self {
        Self {
            resends,
            copy: false,
        }
    }

    /// A copy of a request that another attempt answers. What comes of it is looked at and thrown away.
    pub const fn copy() -> Self {
        Self {
            resends: 0,
            copy: true,
        }
    }

    /// How often the request has been sent before: what the conventions of OpenTelemetry call
    /// `http.request.resend_count`.
    pub const fn resends(self) -> u32 {
        self.resends
    }

    /// Whether this is a copy that nobody waits for.
    pub const fn is_copy(self) -> bool {
        self.copy
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.copy {
            return f.write_str("copy");
        }
        write!(f, "resend {}", self.resends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_says_how_often_it_was_sent_before_or_that_it_is_a_copy() {
        let second = Attempt::resent(1);
        assert_eq!((second.resends(), second.is_copy()), (1, false));
        assert_eq!(second.to_string(), "resend 1");
        assert!(Attempt::copy().is_copy());
        assert_eq!(Attempt::copy().to_string(), "copy");
    }
}
