//! The body that a client is sent, with all that the layers put round it.

use buttress::telemetry::ResponseBody as Spanned;
use buttress_core::body::{Watch, Watched};
use buttress_core::settle::Settle;
use http_body::Body;

use super::ResponseBody;

/// A body of the gateway's own inside layers that an upstream's body would be in.
///
/// With it an answer of the gateway's own has the type of all others, where a choice of two types would be moved
/// once more with each response, and asked of each frame.
pub trait Wrapped: Body {
    /// `own`, which no layer watches.
    fn unwatched(own: ResponseBody) -> Self;
}

impl Wrapped for ResponseBody {
    fn unwatched(own: ResponseBody) -> Self {
        own
    }
}

impl<B: Wrapped, W: Watch> Wrapped for Watched<B, W> {
    fn unwatched(own: ResponseBody) -> Self {
        Self::unwatched(B::unwatched(own))
    }
}

impl<B: Wrapped, S: Settle, E: 'static> Wrapped for Spanned<B, S, E> {
    fn unwatched(own: ResponseBody) -> Self {
        Self::unwatched(B::unwatched(own))
    }
}
