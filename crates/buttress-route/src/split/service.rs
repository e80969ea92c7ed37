//! The layer and the service.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use buttress_core::body::is_head;
use buttress_core::classify::{ClassifyHttp, HttpStatus};
use buttress_core::clock::Instant;
use buttress_core::config::ConfigError;
use buttress_core::judge::{Judge, JudgedBody};
use buttress_core::outcome::Outcome;
use buttress_core::settle::Guard;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::arms::Arm;
use super::config::Config;
use super::handle::SplitHandle;
use super::sample::Sample;
use super::shared::Shared;

/// Puts a [`Split`] between a stable service and a canary. All that it makes share one rollout.
#[derive(Clone, Debug)]
pub struct SplitLayer<S, C = HttpStatus> {
    canary: S,
    classify: C,
    shared: Arc<Shared>,
}

/// Sends a share of the requests to a canary. See the [module](super).
#[derive(Clone, Debug)]
pub struct Split<S, C = HttpStatus> {
    stable: S,
    canary: S,
    classify: C,
    shared: Arc<Shared>,
}

impl<S> SplitLayer<S> {
    /// A share of what the layer's services are sent goes to `canary`. Outcomes are decided by [`HttpStatus`]; see
    /// [`SplitLayer::classify`].
    ///
    /// Refuses a configuration that makes no sense.
    pub fn new(config: Config, canary: S) -> Result<Self, ConfigError> {
        Ok(Self {
            canary,
            classify: HttpStatus,
            shared: Arc::new(Shared::new(config)?),
        })
    }
}

impl<S, C> SplitLayer<S, C> {
    /// The same split, with outcomes decided by `classify`.
    pub fn classify<D>(self, classify: D) -> SplitLayer<S, D> {
        SplitLayer {
            canary: self.canary,
            classify,
            shared: self.shared,
        }
    }

    /// The handle of all that this layer makes.
    pub fn handle(&self) -> SplitHandle {
        SplitHandle::new(Arc::clone(&self.shared))
    }
}

impl<S: Clone, C: Clone> Layer<S> for SplitLayer<S, C> {
    type Service = Split<S, C>;

    fn layer(&self, stable: S) -> Split<S, C> {
        Split {
            stable,
            canary: self.canary.clone(),
            classify: self.classify.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<S, C> Split<S, C> {
    /// The handle of the layer that made this.
    pub fn handle(&self) -> SplitHandle {
        SplitHandle::new(Arc::clone(&self.shared))
    }

    /// The stable service and the canary.
    pub const fn get_ref(&self) -> (&S, &S) {
        (&self.stable, &self.canary)
    }

    fn sample(&self, arm: Arm, began: Instant) -> Guard<Sample> {
        Guard::new(Sample {
            shared: Arc::clone(&self.shared),
            arm,
            generation: self.shared.generation(),
            began,
            answered: false,
            late: false,
            refused: false,
        })
    }
}

impl<S, C, B, ResBody> Service<Request<B>> for Split<S, C>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    C: ClassifyHttp<S::Error> + Clone,
    ResBody: Body,
{
    type Response = Response<JudgedBody<ResBody, C, Sample, S::Error>>;
    type Error = S::Error;
    type Future = Judge<S::Future, C, Sample>;

    /// Ready when the stable is.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.stable.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let now = self.shared.clock.now();
        self.shared.look(now);
        // The user's code, before there is anything to settle.
        let classify = self.classify.clone();
        let config = self.shared.config();
        let key = config.affinity.as_ref();
        let key = key.and_then(|affinity| affinity.key_of(&request));
        drop(config);
        if self.shared.draw(key) == Arm::Canary {
            let mut guard = self.sample(Arm::Canary, now);
            guard.enter();
            let readied = self
                .canary
                .poll_ready(&mut Context::from_waker(Waker::noop()));
            guard.leave();
            match readied {
                Poll::Ready(Ok(())) => return send(&mut self.canary, request, classify, guard),
                Poll::Ready(Err(error)) => guard.settle(classify.error(&error)),
                // Nobody waits for a canary.
                Poll::Pending => guard.settle(Outcome::Ignored),
            }
        }
        let guard = self.sample(Arm::Stable, now);
        send(&mut self.stable, request, classify, guard)
    }
}

fn send<S, B, C>(
    service: &mut S,
    request: Request<B>,
    classify: C,
    mut guard: Guard<Sample>,
) -> Judge<S::Future, C, Sample>
where
    S: Service<Request<B>>,
{
    let is_head = is_head(request.method());
    guard.enter();
    let future = service.call(request);
    guard.leave();
    Judge::guarded(future, classify, guard, is_head)
}
