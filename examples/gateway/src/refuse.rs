//! The service of requests that no route takes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_service::Service;

use crate::body::{RequestBody, ResponseBody};
use crate::headers::X_CORRELATION_ID;
use crate::problem::Problem;

/// Answers with the problem that a request arrived with.
#[derive(Clone, Copy, Debug)]
pub struct Refuse;

impl Service<Request<RequestBody>> for Refuse {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<ResponseBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let problem = request.body().arrival().0.err();
        let problem = problem.unwrap_or(Problem::NoRoute);
        let id = request.headers().get(&X_CORRELATION_ID);
        ready(Ok(problem.response(id.and_then(|id| id.to_str().ok()))))
    }
}
