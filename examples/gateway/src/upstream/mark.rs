//! The one place where a cause is put beside the status it is answered with.

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_core::reject::Rejected;
use http::Response;

use crate::body::{ResponseBody, UploadError};

/// Why an endpoint did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A deadline passed.
    Deadline,
    /// The connection could not be made, or broke before the head.
    Transport,
    /// The client's upload failed; nothing is said about the endpoint.
    Upload(UploadError),
}

/// Marks a response with its cause, for whatever classifies it.
pub(super) fn mark(response: &mut Response<ResponseBody>, cause: Cause) {
    match cause {
        Cause::Deadline => drop(response.extensions_mut().insert(DeadlineExceeded::new())),
        Cause::Transport => drop(response.extensions_mut().insert(TransportFailure::new())),
        Cause::Upload(error) => {
            let rejected = Rejected::new("gateway", error.reason());
            drop(response.extensions_mut().insert(rejected));
        }
    }
}
