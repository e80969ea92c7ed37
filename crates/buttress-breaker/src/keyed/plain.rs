//! Services of any kind with a breaker for each key.

use std::task::{Context, Poll};

use buttress_core::protocol::{ClassifyResult, Plain};
use buttress_core::reject::Rejected;
use tower_service::Service;

use super::key::{Key, KeyOf};
use super::layer::KeyedBreakerService;
use crate::permit::Permit;
use crate::plain::{BreakerError, ResponseFuture};
use crate::service::Guarding;

impl<S, K, F, C, R> Service<R> for KeyedBreakerService<S, K, F, Plain, C>
where
    S: Service<R> + Clone,
    K: Key,
    F: KeyOf<R, Key = K>,
    C: ClassifyResult<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = BreakerError<S::Error>;
    type Future = ResponseFuture<S, R, C>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(BreakerError::Inner)
    }

    #[inline]
    fn call(&mut self, request: R) -> Self::Future {
        let key = self.key.key_of(&request);
        match self.acquire(key) {
            Ok(permit) => self.start(permit, request),
            Err((refusal, _)) => ResponseFuture::rejected(refusal),
        }
    }
}

impl<S, K, F, C, R> Guarding<R> for KeyedBreakerService<S, K, F, Plain, C>
where
    S: Service<R> + Clone,
    K: Key,
    F: KeyOf<R, Key = K>,
    C: ClassifyResult<S::Response, S::Error> + Clone,
{
    #[inline]
    fn admit(&mut self, request: &R) -> Result<Permit, Rejected> {
        let key = self.key.key_of(request);
        let admitted = self.acquire(key);
        admitted.map_err(|(refusal, _)| refusal.into())
    }

    #[inline]
    fn start(&mut self, permit: Permit, request: R) -> Self::Future {
        ResponseFuture::start(&mut self.inner, permit, self.classify.clone(), request)
    }
}
