//! The layer itself, round a service that answers at once.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use buttress_latency::{Config, LatencyHandle, LatencyLayer};
use http::{Request, Response};
use http_body_util::Full;
use tower_layer::Layer;
use tower_service::Service;

use super::buttress::NAME;
use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

/// The service alone.
const BARE: &str = "service";
/// The layer without the time to the head.
const LEAN: &str = "buttress-lean";

#[derive(Clone, Copy, Debug)]
struct Origin;

type Body = Full<&'static [u8]>;

impl Service<u64> for Origin {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

impl Service<Request<()>> for Origin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        // Complete with its head, so that nobody has to read it.
        ready(Ok(Response::new(Full::new(&[]))))
    }
}

pub(super) fn candidates() -> Result<Vec<Candidate>, Error> {
    let handle = LatencyHandle::new(Config::new())?;
    let lean = LatencyHandle::new(Config::new().head(false))?;
    let http = |handle| {
        LatencyLayer::new(handle)
            .route("/things/{id}")
            .layer(Origin)
    };
    let plain = LatencyLayer::plain(handle.clone())
        .route("things")
        .layer(Origin);
    Ok(vec![
        calls(NAME, plain)?,
        calls(BARE, Origin)?,
        exchanges(NAME, http(handle))?,
        exchanges(LEAN, http(lean))?,
        exchanges(BARE, Origin)?,
    ])
}

fn calls<S>(name: &'static str, service: S) -> Result<Candidate, Error>
where
    S: Service<u64, Future: Send> + Clone + Send + Sync + 'static,
{
    let work = move |calls: u64| drive(&mut service.clone(), 0..calls);
    warm(Candidate::new("layer/plain", name, work))
}

fn exchanges<S>(name: &'static str, service: S) -> Result<Candidate, Error>
where
    S: Service<Request<()>, Future: Send> + Clone + Send + Sync + 'static,
{
    let request = |_| Request::new(());
    let work = move |calls: u64| drive(&mut service.clone(), (0..calls).map(request));
    warm(Candidate::new("layer/http", name, work))
}

fn warm(candidate: Candidate) -> Result<Candidate, Error> {
    candidate.warm_up();
    candidate.expect(1_000, 1_000)?;
    Ok(candidate)
}
