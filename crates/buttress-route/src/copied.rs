//! Copies of requests that nobody waits for.

use std::future::poll_fn;
use std::pin::pin;

use buttress_core::attempt::Attempt;
use buttress_core::replay::Replayable;
use bytes::Buf;
use http::Request;
use http::header::UPGRADE;
use http_body::Body;

/// So much of an answer to a copy is read; more would show nothing new.
const ENOUGH: usize = 64 << 10;

/// A copy of a request that has no body and is no handshake, of which there is but one connection.
pub(crate) fn copy<B: Replayable>(request: &Request<B>) -> Option<Request<B>> {
    if request.headers().contains_key(UPGRADE) {
        return None;
    }
    let mut copy = Request::new(request.body().copy_if_none()?);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy.extensions_mut().insert(Attempt::copy());
    Some(copy)
}

/// Reads the answer to a copy, until there is enough of it.
pub(crate) async fn read(body: impl Body) {
    let mut body = pin!(body);
    let mut left = ENOUGH;
    while let Some(Ok(frame)) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let read = frame.data_ref().map_or(0, Buf::remaining);
        match left.checked_sub(read) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}
