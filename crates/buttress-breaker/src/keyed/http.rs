//! HTTP services with a breaker for each key.

use std::task::{Context, Poll};

use buttress_core::classify::ClassifyHttp;
use buttress_core::decision::Admission;
use buttress_core::protocol::Http;
use buttress_core::reject::{Rejected, is_grpc};
use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use super::key::{Key, KeyOf};
use super::layer::KeyedBreakerService;
use crate::http::{ResponseBody, ResponseFuture};
use crate::permit::Permit;
use crate::service::Guarding;

impl<S, K, F, C, ReqB, ResB> Service<Request<ReqB>> for KeyedBreakerService<S, K, F, Http, C>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    K: Key,
    F: KeyOf<Request<ReqB>, Key = K>,
    C: ClassifyHttp<S::Error> + Clone,
    ResB: Body,
{
    type Response = Response<ResponseBody<ResB, C, S::Error>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqB, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let key = self.key.key_of(&request);
        match self.acquire(key) {
            Ok(permit) => self.start(permit, request),
            Err((refusal, breaker)) => {
                let explained = breaker.shared().hot.explain(Admission::Rejected);
                ResponseFuture::rejected(refusal, is_grpc(request.headers()), explained)
            }
        }
    }
}

impl<S, K, F, C, ReqB, ResB> Guarding<Request<ReqB>> for KeyedBreakerService<S, K, F, Http, C>
where
    S: Service<Request<ReqB>, Response = Response<ResB>> + Clone,
    K: Key,
    F: KeyOf<Request<ReqB>, Key = K>,
    C: ClassifyHttp<S::Error> + Clone,
    ResB: Body,
{
    fn admit(&mut self, request: &Request<ReqB>) -> Result<Permit, Rejected> {
        let key = self.key.key_of(request);
        let admitted = self.acquire(key);
        admitted.map_err(|(refusal, _)| refusal.into())
    }

    fn start(&mut self, permit: Permit, request: Request<ReqB>) -> Self::Future {
        ResponseFuture::start(&mut self.inner, permit, self.classify.clone(), request)
    }
}
