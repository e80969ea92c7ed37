//! One exchange of a check: sent through the endpoint's own service, read up to a bound.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_core::reject::Rejected;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tower_service::Service;

use super::kind::CheckFailed;

/// What came of a body.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    pub(super) trailers: HeaderMap,
    /// There was more than was read.
    pub(super) cut: bool,
}

/// Readies `service` and sends it `request`. What the layers inside answer in the place of the endpoint
/// is no answer of its own.
pub(super) async fn send<S, B, R>(
    mut service: S,
    request: Request<B>,
) -> Result<Response<R>, CheckFailed>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let failed = |error: S::Error| because("no answer", error);
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(failed)?;
    let response = service.call(request).await.map_err(failed)?;
    let marks = response.extensions();
    if marks.get::<DeadlineExceeded>().is_some() {
        return Err(CheckFailed::new(
            "no answer within the time that requests have",
        ));
    }
    if marks.get::<TransportFailure>().is_some() {
        return Err(CheckFailed::new("no connection, or one that broke"));
    }
    if marks.get::<Rejected>().is_some() {
        return Err(CheckFailed::new("refused before it reached the endpoint"));
    }
    Ok(response)
}

/// Reads `body` to its end, or to `limit` bytes.
pub(super) async fn read<R>(body: R, limit: usize) -> Result<Read, CheckFailed>
where
    R: Body,
    R::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    let mut read = Read::default();
    while !body.is_end_stream()
        && let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await
    {
        let frame = frame.map_err(|error| because("the answer broke off", error))?;
        match frame.into_data() {
            Ok(data) => {
                let room = limit.saturating_sub(bytes.len());
                read.cut = data.remaining() > room;
                bytes.put(data.take(room));
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    read.trailers = trailers;
                }
            }
        }
        if read.cut {
            break;
        }
    }
    read.bytes = bytes.freeze();
    Ok(read)
}

fn because(what: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> CheckFailed {
    let error: Box<dyn Error + Send + Sync> = error.into();
    CheckFailed::because(what, &*error)
}
