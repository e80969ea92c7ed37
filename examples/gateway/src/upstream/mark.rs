//! The one place where a cause is put beside the status it is answered with.

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_core::reject::Rejected;
use http::Response;

use crate::body::{ResponseBody, UploadError};

/// By whom a [`Rejected`] is that a client brought on itself; it has a problem for a body already.
pub const OWN: &str = "gateway";

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
    let extensions = response.extensions_mut();
    match cause {
        Cause::Deadline => {
            extensions.insert(DeadlineExceeded::new());
        }
        Cause::Transport => {
            extensions.insert(TransportFailure::new());
        }
        Cause::Upload(error) => {
            extensions.insert(Rejected::new(OWN, error.reason()));
        }
    }
}
