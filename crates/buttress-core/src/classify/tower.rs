//! Classifiers of tower-http.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, Response};
use tower_http::classify::{ClassifiedResponse, ClassifyEos, ClassifyResponse};

use super::{ClassifyHttp, Head, HttpStatus, Judgement, grpc_failure, marked};
use crate::outcome::{FailureKind, Outcome};
use crate::settle::outcome_of_error;

/// What tower-http's [`ClassifyResponse`] calls a failure is one here.
///
/// What buttress knows better stays as it is: a refusal of its own is charged to nobody, a deadline or a broken
/// transport is named as that, and errors are judged by [`outcome_of_error`]. Which kind of failure another one
/// is, is told as by [`HttpStatus`].
///
/// ```
/// use buttress_core::classify::TowerHttp;
/// use tower_http::classify::{GrpcErrorsAsFailures, StatusInRangeAsFailures};
///
/// let not_found_too = TowerHttp::new(StatusInRangeAsFailures::new(404..=599));
/// let grpc = TowerHttp::new(GrpcErrorsAsFailures::new());
/// # let _ = (not_found_too, grpc);
/// ```
///
/// # Cost
///
/// It asks for a whole response, so the headers and extensions of each are copied.
#[derive(Debug)]
pub struct TowerHttp<C: ClassifyResponse> {
    classify: C,
    /// What decides at the end of the body of the one response that a clone is for.
    at_end: Mutex<Option<C::ClassifyEos>>,
}

impl<C: ClassifyResponse> TowerHttp<C> {
    /// Judges responses by `classify`.
    pub const fn new(classify: C) -> Self {
        Self {
            classify,
            at_end: Mutex::new(None),
        }
    }

    fn at_end(&self) -> std::sync::MutexGuard<'_, Option<C::ClassifyEos>> {
        self.at_end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clone is for a response of its own.
impl<C: ClassifyResponse + Clone> Clone for TowerHttp<C> {
    fn clone(&self) -> Self {
        Self::new(self.classify.clone())
    }
}

impl<C: ClassifyResponse + Default> Default for TowerHttp<C> {
    fn default() -> Self {
        Self::new(C::default())
    }
}

impl<C: ClassifyResponse + Clone, E: 'static> ClassifyHttp<E> for TowerHttp<C> {
    fn head(&self, head: &Head<'_>) -> Judgement {
        if let Some(outcome) = marked(head.extensions) {
            return Judgement::Now(outcome);
        }
        match self.classify.clone().classify_response(&copied(head)) {
            ClassifiedResponse::Ready(Ok(())) => Judgement::AtEnd,
            ClassifiedResponse::Ready(Err(_)) => Judgement::Now(failure(head)),
            ClassifiedResponse::RequiresEos(at_end) => {
                *self.at_end() = Some(at_end);
                Judgement::AtEnd
            }
        }
    }

    fn end(&self, trailers: Option<&HeaderMap>) -> Outcome {
        let at_end = self.at_end().take();
        match at_end.map(|at_end| at_end.classify_eos(trailers)) {
            Some(Err(_)) => trailers
                .and_then(grpc_failure)
                .unwrap_or(Outcome::Failure(FailureKind::Answer)),
            _ => Outcome::Success,
        }
    }

    fn error(&self, error: &E) -> Outcome {
        outcome_of_error(error)
    }
}

fn copied(head: &Head<'_>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = head.status;
    response.headers_mut().clone_from(head.headers);
    response.extensions_mut().clone_from(head.extensions);
    response
}

/// The failure that `head` is, known to be one.
fn failure(head: &Head<'_>) -> Outcome {
    match ClassifyHttp::<()>::head(&HttpStatus, head) {
        Judgement::Now(outcome) if outcome.is_failure() => outcome,
        _ => Outcome::Failure(FailureKind::Answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reject::Rejected;
    use http::HeaderValue;
    use http::response::Builder;
    use tower_http::classify::{
        GrpcErrorsAsFailures, ServerErrorsAsFailures, StatusInRangeAsFailures,
    };

    const FAILED: Judgement = Judgement::Now(Outcome::Failure(FailureKind::Answer));

    fn head<C: ClassifyResponse + Clone>(classify: &TowerHttp<C>, response: Builder) -> Judgement {
        let response = response.body(()).unwrap();
        ClassifyHttp::<()>::head(classify, &Head::of(&response))
    }

    #[test]
    fn a_failure_is_what_the_users_classifier_calls_so() {
        let classify = TowerHttp::new(StatusInRangeAsFailures::new(404..=404));
        assert_eq!(head(&classify, Response::builder().status(404)), FAILED);
        assert_eq!(
            head(&classify, Response::builder().status(500)),
            Judgement::AtEnd
        );
    }

    #[test]
    fn the_kind_of_a_failure_is_still_told() {
        let classify = TowerHttp::new(ServerErrorsAsFailures::new());
        let busy = Response::builder().status(503).header("retry-after", "3");
        let overloaded = Judgement::Now(Outcome::Failure(FailureKind::Overloaded));
        assert_eq!(head(&classify, busy), overloaded);
    }

    #[test]
    fn a_refusal_of_our_own_is_charged_to_nobody_whatever_its_status() {
        let classify = TowerHttp::new(ServerErrorsAsFailures::new());
        let refused = Response::builder()
            .status(503)
            .extension(Rejected::new("breaker", "circuit_open"));
        assert_eq!(head(&classify, refused), Judgement::Now(Outcome::Ignored));
    }

    #[test]
    fn what_the_classifier_leaves_to_the_end_is_decided_there_each_response_by_itself() {
        let layers = TowerHttp::new(GrpcErrorsAsFailures::new());
        let (first, second) = (layers.clone(), layers);
        for classify in [&first, &second] {
            assert_eq!(head(classify, Response::builder()), Judgement::AtEnd);
        }
        let end = |classify, status| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            ClassifyHttp::<()>::end(classify, Some(&trailers))
        };
        assert_eq!(end(&first, "13"), Outcome::Failure(FailureKind::Answer));
        assert_eq!(end(&second, "0"), Outcome::Success);
    }
}
