//! Why a request is sent again, and why it is not.

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::{Outcome, TransportFailure, Unsent};
use buttress_core::reject::Rejected;
use buttress_core::settle::{is_unsent, outcome_of_error};
use http::{Response, StatusCode};

use super::config::Config;
use crate::future::NO_OTHER;

/// What was wrong with an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// It never reached an endpoint.
    Unsent,
    /// The connection broke.
    Transport,
    /// A deadline passed.
    Deadline,
    /// The answer is one of those that another endpoint might give better.
    Status,
}

impl Failed {
    pub(super) const NAMES: [&'static str; 4] = ["unsent", "transport", "deadline", "status"];
}

/// Why a request that failed is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    Attempts,
    Late,
    NotIdempotent,
    NotReplayable,
    Budget,
    NoEndpoint,
}

impl GivenUp {
    pub(super) const NAMES: [&'static str; 6] = [
        "attempts",
        "late",
        "not_idempotent",
        "not_replayable",
        "budget",
        "no_endpoint",
    ];
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Well,
    Failed(Failed),
    /// A refusal of our own, or a failure that another endpoint would give as well.
    Final,
}

impl Answer {
    pub(super) fn of<B, E: 'static>(
        answer: &Result<Response<B>, E>,
        unsent: bool,
        config: &Config,
    ) -> Self {
        match answer {
            Ok(response) => Self::of_response(response, config),
            Err(error) => Self::of_error(error, unsent),
        }
    }

    fn of_response<B>(response: &Response<B>, config: &Config) -> Self {
        let (marks, status) = (response.extensions(), response.status());
        let listed = |status| config.statuses.contains(&status);
        if marks.get::<Unsent>().is_some() {
            return Self::Failed(Failed::Unsent);
        }
        if marks.get::<Rejected>().is_some() {
            return Self::Final;
        }
        if marks.get::<TransportFailure>().is_some() {
            return Self::Failed(Failed::Transport);
        }
        if marks.get::<DeadlineExceeded>().is_some() && listed(StatusCode::GATEWAY_TIMEOUT) {
            return Self::Failed(Failed::Deadline);
        }
        if listed(status) {
            return Self::Failed(Failed::Status);
        }
        if status.is_server_error() {
            Self::Final
        } else {
            Self::Well
        }
    }

    /// An error where a response should be is a broken transport, if it says nothing else.
    #[cold]
    fn of_error<E: 'static>(error: &E, unsent: bool) -> Self {
        if unsent || is_unsent(error) {
            return Self::Failed(Failed::Unsent);
        }
        match outcome_of_error(error) {
            Outcome::Ignored => Self::Final,
            Outcome::Failure(buttress_core::outcome::FailureKind::Deadline) => {
                Self::Failed(Failed::Deadline)
            }
            _ => Self::Failed(Failed::Transport),
        }
    }
}

/// Whether an answer says nothing but that all is well, as most do.
#[inline]
pub(super) fn is_plainly_well<B, E>(answer: &Result<Response<B>, E>) -> bool {
    answer
        .as_ref()
        .is_ok_and(|response| response.extensions().is_empty() && response.status().as_u16() < 400)
}

/// Whether this is the router's word that no other endpoint is left.
pub(super) fn says_no_other<B, E>(answer: &Result<Response<B>, E>) -> bool {
    let refused = |response: &Response<B>| response.extensions().get::<Rejected>().cloned();
    let refused = answer.as_ref().ok().and_then(refused);
    refused.is_some_and(|it| (it.by, it.reason) == NO_OTHER)
}
