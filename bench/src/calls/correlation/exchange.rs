//! The exchange that is given an ID.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::header::{ACCEPT, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response};
use tower_service::Service;

use crate::Error;
use crate::drive::drive;
use crate::measure::Candidate;

/// What request and response hold before anything is added.
#[derive(Clone, Copy, Debug)]
pub(super) enum Head {
    /// Nothing.
    Bare,
    /// Headers, and an extension of the server's.
    Full,
}

/// An exchange, whose request may bring an ID along.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    pub(super) head: Head,
    pub(super) id: bool,
}

/// Answers every request at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin(pub(super) Head);

/// What stands in the extensions of a real exchange: the peer's address, the route …
#[derive(Clone, Copy, Debug)]
struct Peer(#[expect(dead_code, reason = "it only has to be there")] u64);

/// A service of such exchanges, to be cloned for every thread.
pub(super) trait Served:
    Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Served for S where
    S: Service<Request<()>, Response = Response<()>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

const ID: HeaderValue = HeaderValue::from_static("0192f0c1-2a3b-7c4d-8e5f-60718293a4b5");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

impl Exchange {
    /// This exchange by `service`, with its ID in `header`.
    pub(super) fn with(
        self,
        bench: &'static str,
        name: &'static str,
        header: HeaderName,
        service: impl Served,
    ) -> Result<Candidate, Error> {
        let work = move |calls: u64| {
            drive(
                &mut service.clone(),
                (0..calls).map(|at| self.request(at, &header)),
            )
        };
        let candidate = Candidate::new(bench, name, work);
        candidate.warm_up();
        candidate.expect(1_000, 1_000)?;
        Ok(candidate)
    }

    fn request(self, at: u64, header: &HeaderName) -> Request<()> {
        let mut request = Request::new(());
        if let Head::Full = self.head {
            let headers = request.headers_mut();
            headers.insert(HOST, HeaderValue::from_static("origin.example"));
            headers.insert(USER_AGENT, HeaderValue::from_static("client/1.0"));
            headers.insert(ACCEPT, TEXT);
            request.extensions_mut().insert(Peer(at));
        }
        if self.id {
            request.headers_mut().insert(header, ID);
        }
        request
    }
}

impl Service<Request<()>> for Origin {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = Ready<Result<Response<()>, Infallible>>;

    #[inline]
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, _: Request<()>) -> Self::Future {
        let mut response = Response::new(());
        if let Head::Full = self.0 {
            response.headers_mut().insert(CONTENT_TYPE, TEXT);
            response.extensions_mut().insert(Peer(0));
        }
        ready(Ok(response))
    }
}
