//! Where nobody records spans: a trace that is believed passes through as it came, any other goes no
//! further.

use buttress::correlation::Trust;
use http::{HeaderName, Request};

static TRACE: [HeaderName; 3] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// Takes the trace off what comes from clients that are not believed about it.
#[derive(Clone, Debug)]
pub struct Untraced {
    trust: Trust,
}

impl Untraced {
    /// The traces of clients that `trust` believes stay as they are.
    pub const fn new(trust: Trust) -> Self {
        Self { trust }
    }

    /// Ends the trace of a request that has one, unless its client is believed.
    #[cold]
    pub fn end_trace<B>(&self, request: &mut Request<B>) {
        if !self.trust.believes(request) {
            for name in &TRACE {
                request.headers_mut().remove(name);
            }
        }
    }
}
