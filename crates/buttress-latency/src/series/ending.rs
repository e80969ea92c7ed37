//! How an exchange ended, as labels.

use buttress_core::outcome::{FailureKind, Outcome};
use http::StatusCode;

use super::Party;

/// Status, outcome and the convention's `error.type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Ending {
    /// Of the response, if its head came.
    pub(crate) status: Option<StatusCode>,
    pub(crate) class: Class,
    pub(crate) error: ErrorType,
}

/// Outcomes as far as series tell them apart. A slow success is a success here: how slow it was is
/// what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Success,
    Failure,
    Ignored,
    Abandoned,
    Other,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ErrorType {
    /// Nothing.
    None,
    /// What the status says.
    Status,
    /// This.
    Named(&'static str),
}

impl Ending {
    /// The labels that `party` gives an exchange that ended in `outcome`; `rejected` is the reason of one
    /// that was refused on this side.
    pub(crate) fn of(
        party: Party,
        outcome: Outcome,
        status: Option<StatusCode>,
        rejected: Option<&'static str>,
    ) -> Self {
        let by_status = || match status {
            Some(status) if status.is_server_error() => ErrorType::Status,
            Some(status) if status.is_client_error() && party == Party::Client => ErrorType::Status,
            _ => ErrorType::None,
        };
        let error = match outcome {
            Outcome::Abandoned => match party {
                Party::Caller => ErrorType::Named("abandoned"),
                Party::Server => ErrorType::Named("client_disconnect"),
                // Who leaves himself has not failed.
                Party::Client => by_status(),
            },
            Outcome::Failure(failure) => failed(failure, by_status()),
            Outcome::Ignored => rejected.map_or_else(by_status, ErrorType::Named),
            _ => by_status(),
        };
        Self {
            status,
            class: Class::of(outcome),
            error,
        }
    }

    /// Of what shares the overflow series, nothing is known.
    pub(crate) const UNKNOWN: Self = Self {
        status: None,
        class: Class::Other,
        error: ErrorType::None,
    };

    /// Whether it has a cause that is known better than by its status.
    pub(crate) const fn is_named(&self) -> bool {
        matches!(self.error, ErrorType::Named(_))
    }

    /// The `error.type`, if there is one.
    pub(crate) fn error_type(&self) -> Option<&str> {
        match self.error {
            ErrorType::None => None,
            ErrorType::Status => self.status.as_ref().map(StatusCode::as_str),
            ErrorType::Named(name) => Some(name),
        }
    }
}

/// `2xx` and so on, `none` where no head came.
pub(crate) fn status_class(status: Option<StatusCode>) -> &'static str {
    match status.map(|status| status.as_u16() / 100) {
        Some(1) => "1xx",
        Some(2) => "2xx",
        Some(3) => "3xx",
        Some(4) => "4xx",
        Some(5) => "5xx",
        Some(_) => "other",
        None => "none",
    }
}

impl Class {
    const fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success | Outcome::Slow => Self::Success,
            Outcome::Failure(_) => Self::Failure,
            Outcome::Ignored => Self::Ignored,
            Outcome::Abandoned => Self::Abandoned,
            _ => Self::Other,
        }
    }

    /// The value of the label.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Ignored => "ignored",
            Self::Abandoned => "abandoned",
            Self::Other => "_OTHER",
        }
    }
}

/// The cause where it is known better than by a status.
fn failed(failure: FailureKind, by_status: ErrorType) -> ErrorType {
    match failure {
        FailureKind::Deadline => ErrorType::Named("timeout"),
        FailureKind::Answer | FailureKind::Overloaded if by_status != ErrorType::None => by_status,
        other => ErrorType::Named(other.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn error_type(party: Party, outcome: Outcome, status: u16) -> Option<String> {
        let status = StatusCode::from_u16(status).ok();
        Ending::of(party, outcome, status, None)
            .error_type()
            .map(str::to_owned)
    }

    #[test]
    fn the_error_type_is_absent_on_success_and_says_what_went_wrong_else() {
        let cases = [
            (Outcome::Success, 200, None),
            (Outcome::Slow, 200, None),
            (Outcome::Success, 404, None),
            (Outcome::Ignored, 429, None),
            (Outcome::Success, 501, Some("501")),
            (Outcome::Failure(FailureKind::Answer), 500, Some("500")),
            (Outcome::Failure(FailureKind::Overloaded), 503, Some("503")),
            (Outcome::Failure(FailureKind::Answer), 200, Some("answer")),
            (
                Outcome::Failure(FailureKind::Deadline),
                504,
                Some("timeout"),
            ),
            (
                Outcome::Failure(FailureKind::Transport),
                502,
                Some("transport"),
            ),
            (Outcome::Failure(FailureKind::Body), 200, Some("body")),
            (Outcome::Failure(FailureKind::Panic), 0, Some("panic")),
            (Outcome::Abandoned, 200, Some("client_disconnect")),
        ];
        for (outcome, status, expected) in cases {
            assert_eq!(
                error_type(Party::Server, outcome, status).as_deref(),
                expected,
                "{outcome} {status}"
            );
        }
    }

    #[test]
    fn a_client_takes_4xx_for_an_error_and_its_own_leaving_for_none() {
        let seen = |outcome, status| error_type(Party::Client, outcome, status);
        assert_eq!(seen(Outcome::Success, 404).as_deref(), Some("404"));
        assert_eq!(seen(Outcome::Ignored, 429).as_deref(), Some("429"));
        assert_eq!(seen(Outcome::Success, 302), None);
        assert_eq!(seen(Outcome::Abandoned, 200), None);
        assert_eq!(seen(Outcome::Abandoned, 0), None);
    }

    #[test]
    fn a_refusal_of_our_own_is_named_by_its_reason() {
        let status = Some(StatusCode::SERVICE_UNAVAILABLE);
        let ending = Ending::of(
            Party::Server,
            Outcome::Ignored,
            status,
            Some("circuit_open"),
        );
        assert_eq!(ending.error_type(), Some("circuit_open"));
        assert_eq!(
            (ending.class.as_str(), status_class(status)),
            ("ignored", "5xx")
        );
    }
}
