//! The layer of a server that reports its load.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::{ENDPOINT_LOAD_METRICS, LoadReporter};

/// Sets [`ENDPOINT_LOAD_METRICS`] on every answer of a server, in the `TEXT` form, in the place of one that is there:
/// that would be of somebody farther in. Where there is nothing to report answers are left as they are.
///
/// ```
/// use std::convert::Infallible;
/// use buttress_route::load::{ENDPOINT_LOAD_METRICS, LoadReporter, ReportLoadLayer};
/// use http::{Request, Response};
/// use tower::{Layer, Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Infallible> {
/// let reporter = LoadReporter::new();
/// let answer = |_: Request<()>| async { Ok::<_, Infallible>(Response::new(())) };
/// let mut server = ReportLoadLayer::new(reporter.clone()).layer(service_fn(answer));
///
/// // Once a second or so, from whoever measures.
/// reporter.set_cpu_utilization(0.3);
/// let response = server.ready().await?.call(Request::new(())).await?;
/// assert_eq!(response.headers()[&ENDPOINT_LOAD_METRICS], "TEXT cpu_utilization=0.3");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ReportLoadLayer {
    reporter: LoadReporter,
}

/// Reports a server's load. See [`ReportLoadLayer`].
#[derive(Clone, Debug)]
pub struct ReportLoad<S> {
    inner: S,
    reporter: LoadReporter,
}

impl ReportLoadLayer {
    /// Reports what `reporter` says when the head of an answer is there.
    pub const fn new(reporter: LoadReporter) -> Self {
        Self { reporter }
    }
}

impl<S> Layer<S> for ReportLoadLayer {
    type Service = ReportLoad<S>;

    fn layer(&self, inner: S) -> ReportLoad<S> {
        ReportLoad {
            inner,
            reporter: self.reporter.clone(),
        }
    }
}

impl<S, Req, B> Service<Req> for ReportLoad<S>
where
    S: Service<Req, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ReportLoadFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        ReportLoadFuture {
            answer: self.inner.call(request),
            reporter: self.reporter.clone(),
        }
    }
}

pin_project! {
    /// The future of [`ReportLoad`].
    #[derive(Debug)]
    #[must_use = "a future does nothing until it is polled"]
    pub struct ReportLoadFuture<F> {
        #[pin]
        answer: F,
        reporter: LoadReporter,
    }
}

impl<F, B, E> Future for ReportLoadFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.answer.poll(cx))?;
        if let Some(report) = this.reporter.header() {
            response
                .headers_mut()
                .insert(&ENDPOINT_LOAD_METRICS, report);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use http::{HeaderValue, Request};
    use tokio_test::{assert_ready_ok, task};
    use tower::service_fn;

    use super::*;
    use crate::load::LoadReport;

    /// An answer's report, where the service inside has said `inner`.
    fn said(reporter: &LoadReporter, inner: Option<&'static str>) -> Option<HeaderValue> {
        let answer = move |_: Request<()>| -> Ready<Result<Response<()>, Infallible>> {
            let mut response = Response::new(());
            if let Some(inner) = inner {
                let inner = HeaderValue::from_static(inner);
                response.headers_mut().insert(&ENDPOINT_LOAD_METRICS, inner);
            }
            ready(Ok(response))
        };
        let mut service = ReportLoadLayer::new(reporter.clone()).layer(service_fn(answer));
        let mut call = task::spawn(service.call(Request::new(())));
        let response = assert_ready_ok!(call.poll());
        response.headers().get(&ENDPOINT_LOAD_METRICS).cloned()
    }

    #[test]
    fn an_answer_says_what_was_told_last() {
        let reporter = LoadReporter::new();
        assert_eq!(said(&reporter, None), None);
        reporter.set_cpu_utilization(0.3);
        reporter.set_application_utilization(1.25);
        let all = "TEXT cpu_utilization=0.3,application_utilization=1.25";
        assert_eq!(said(&reporter, None).unwrap(), all);
        assert_eq!(
            said(&reporter, Some("TEXT cpu_utilization=9")).unwrap(),
            all
        );
        reporter.set_application_utilization(f64::NAN);
        assert_eq!(
            said(&reporter, None).unwrap(),
            "TEXT cpu_utilization=0.3",
            "what nobody would believe is not said"
        );
    }

    #[test]
    fn an_answer_says_what_is_said_when_it_is_asked() {
        let asked = LoadReporter::from_fn(|| LoadReport::new().rps_fractional(120.5));
        assert_eq!(said(&asked, None).unwrap(), "TEXT rps_fractional=120.5");
        let silent = LoadReporter::from_fn(LoadReport::default);
        assert_eq!(said(&silent, Some("TEXT")).unwrap(), "TEXT");
    }

    #[test]
    fn one_that_panics_while_it_is_told_goes_on() {
        let reporter = LoadReporter::new();
        reporter.set_cpu_utilization(0.5);
        let told = std::panic::AssertUnwindSafe(|| reporter.set(|_| panic!("the user's own")));
        assert!(std::panic::catch_unwind(told).is_err());
        reporter.set_cpu_utilization(0.25);
        assert_eq!(said(&reporter, None).unwrap(), "TEXT cpu_utilization=0.25");
    }
}
