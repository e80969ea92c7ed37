//! The one place where a cause is put beside the status it is answered with.

use std::io;

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_core::reject::Rejected;
use http::Response;

use crate::body::{ResponseBody, UploadError};

/// By whom a [`Rejected`] is that the client or the gateway brought on itself; it has a problem for
/// a body already.
pub const OWN: &str = "gateway";

/// Why an endpoint did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A deadline passed.
    Deadline,
    /// The connection could not be made, or broke before the head.
    Transport,
    /// The gateway has not what it takes to connect; nothing is said about the endpoint.
    Lack(Lack),
    /// The client's upload failed; nothing is said about the endpoint.
    Upload(UploadError),
}

/// What the gateway itself has run out of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lack {
    /// File descriptors, its own or the system's.
    Descriptors,
    /// Local ports or addresses to connect from.
    Ports,
    /// A place among the connections for a stream that is to go on as one.
    Place,
    /// A client towards the endpoint that has not been called before.
    Origin,
}

impl Lack {
    /// `EMFILE` and `ENFILE`, which have no kind of their own; the same numbers on every Unix.
    const NO_DESCRIPTORS: [i32; 2] = [24, 23];

    pub(super) fn of(error: &io::Error) -> Option<Self> {
        match error.raw_os_error() {
            Some(code) if Self::NO_DESCRIPTORS.contains(&code) => Some(Self::Descriptors),
            _ if error.kind() == io::ErrorKind::AddrNotAvailable => Some(Self::Ports),
            _ => None,
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Descriptors => "no_descriptors",
            Self::Ports => "no_ports",
            Self::Place => "no_places",
            Self::Origin => "origin_spent",
        }
    }
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
        Cause::Lack(lack) => {
            extensions.insert(Rejected::new(OWN, lack.reason()));
        }
        Cause::Upload(error) => {
            extensions.insert(Rejected::new(OWN, error.reason()));
        }
    }
}
