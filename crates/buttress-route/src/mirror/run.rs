//! A copy on its way.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use buttress_core::clock::Clock;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::sync::watch;
use tower_service::Service;

use super::shared::{Copied, Place};
use crate::background::caught;
use crate::copied::read;

/// Until when a copy may be under way.
pub(super) struct Until {
    pub(super) clock: Clock,
    pub(super) timeout: Duration,
    pub(super) ends: watch::Receiver<()>,
}

/// Sends `copy` and reads its answer, until it is late or the mirror gone.
pub(super) async fn run<S, B, ResBody>(
    shadow: S,
    copy: Request<B>,
    mut until: Until,
    mut place: Place,
) where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
{
    // Unless it ends before, by whatever drops it.
    place.result = Copied::Late;
    let mut work = pin!(caught(send(shadow, copy)));
    let mut over = pin!(until.ends.changed());
    let mut late = pin!(until.clock.sleep(until.timeout));
    let ended = poll_fn(|cx| {
        if let Poll::Ready(status) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(status));
        }
        if over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        late.as_mut().poll(cx).map(|()| None)
    });
    place.result = match ended.await {
        Some(Ok(Ok(status))) if !status.is_server_error() => Copied::Success,
        Some(_) => Copied::Failure,
        None => Copied::Late,
    };
}

async fn send<S, B, ResBody>(mut shadow: S, copy: Request<B>) -> Result<StatusCode, S::Error>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
{
    poll_fn(|cx| shadow.poll_ready(cx)).await?;
    let response = shadow.call(copy).await?;
    let status = response.status();
    read(response.into_body()).await;
    Ok(status)
}
