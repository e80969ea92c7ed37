//! What each kind of check takes for an answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use buttress_core::deadline::DeadlineExceeded;
use buttress_core::outcome::TransportFailure;
use buttress_core::reject::Rejected;
use buttress_route::check::{Check, GrpcCheck, HttpCheck};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use tower::service_fn;
use tower_service::Service;

type Answer = Response<BoxBody<Bytes, Infallible>>;

fn answer(status: u16, body: &'static str) -> Answer {
    let mut response = Response::new(Full::from(body).boxed());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    let role = HeaderValue::from_static("primary");
    response.headers_mut().insert("x-role", role);
    response
}

/// Asks an endpoint that answers so.
fn asked<S: Clone + Send>(check: &impl Check<S>, service: S) -> Result<(), String> {
    let id = Arc::from("a");
    let check = check.check(&id, service);
    tokio_test::block_on(check).map_err(|failed| failed.to_string())
}

/// An endpoint that answers so.
fn answers<R: Fn() -> Answer + Clone + Send>(
    response: R,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Answer,
    Error = TransportFailure,
    Future = std::future::Ready<Result<Answer, TransportFailure>>,
> + Clone
+ Send {
    service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, TransportFailure>(response()))
    })
}

fn healthz() -> HttpCheck<Full<Bytes>> {
    HttpCheck::get("/healthz").unwrap()
}

#[test]
fn an_http_check_judges_status_headers_and_body() {
    let role = HeaderName::from_static("x-role");
    let is = |value| healthz().header_is(role.clone(), HeaderValue::from_static(value));
    let cases = [
        (healthz(), 204, ""),
        (healthz(), 302, "status 302; expected 200 to 299"),
        (healthz().status(301..=302).status(204..=204), 302, ""),
        (
            healthz().status(301..=302).status(204..=204),
            200,
            "status 200; expected 301 to 302 or 204",
        ),
        (healthz().has_header(role.clone()), 200, ""),
        (
            healthz().has_header(CONTENT_TYPE),
            200,
            "no header `content-type`",
        ),
        (is("primary"), 200, ""),
        (is("replica"), 200, "no header `x-role: \"replica\"`"),
        (healthz().body_contains("is we"), 200, ""),
        (healthz().body_contains(""), 200, ""),
        (
            healthz().body_contains("ill"),
            200,
            "the body, 11 bytes, does not contain `ill`",
        ),
        (
            healthz().body_contains("well").max_body(6),
            200,
            "the beginning of the body, 6 bytes",
        ),
    ];
    for (check, status, problem) in cases {
        let found = asked(&check, answers(move || answer(status, "all is well"))).err();
        let found = found.unwrap_or_default();
        assert!(found.starts_with(problem), "{check:?}: {found}");
        assert_eq!(found.is_empty(), problem.is_empty(), "{check:?}: {found}");
    }
}

#[test]
fn the_request_of_an_http_check_is_what_it_was_told_to_send() {
    let check = HttpCheck::get("/healthz?deep=1")
        .unwrap()
        .method(Method::HEAD)
        .host(HeaderValue::from_static("shop.example"))
        .header(
            HeaderName::from_static("x-probe"),
            HeaderValue::from_static("1"),
        );
    assert_eq!(Check::<Sent>::name(&check), "http HEAD /healthz?deep=1");
    let sent = Sent::default();
    asked(&check, sent.clone()).unwrap();
    let sent = sent.0.lock().unwrap().take().unwrap();
    assert_eq!(
        (sent.method(), sent.uri().to_string()),
        (&Method::HEAD, "/healthz?deep=1".into())
    );
    assert_eq!(sent.headers()["host"], "shop.example");
    assert_eq!(sent.headers()["x-probe"], "1");
}

/// Notes what it is sent.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Option<Request<Full<Bytes>>>>>);

impl Service<Request<Full<Bytes>>> for Sent {
    type Response = Answer;
    type Error = TransportFailure;
    type Future = std::future::Ready<Result<Answer, TransportFailure>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        *self.0.lock().unwrap() = Some(request);
        std::future::ready(Ok(answer(200, "")))
    }
}

#[test]
fn what_a_layer_answers_in_the_endpoints_place_has_failed_whatever_is_expected() {
    let any = healthz().status(0..=999);
    let marked = |mark: fn(&mut http::Extensions)| {
        answers(move || {
            let mut response = answer(200, "");
            mark(response.extensions_mut());
            response
        })
    };
    let late = marked(|marks| {
        marks.insert(DeadlineExceeded::new());
    });
    let broken = marked(|marks| {
        marks.insert(TransportFailure::new());
    });
    let refused = marked(|marks| {
        marks.insert(Rejected::new("limit", "full"));
    });
    assert!(asked(&any, late).unwrap_err().contains("within the time"));
    assert!(asked(&any, broken).unwrap_err().contains("no connection"));
    assert!(asked(&any, refused).unwrap_err().contains("refused before"));
    let errs = service_fn(|_: Request<Full<Bytes>>| {
        std::future::ready(Err::<Answer, _>(TransportFailure::new()))
    });
    assert!(asked(&any, errs).unwrap_err().starts_with("no answer: "));
}

/// A body without an end, and how much of it was taken.
#[derive(Clone, Default)]
struct Endless(Arc<Mutex<usize>>);

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        *self.0.lock().unwrap() += 1000;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 1000])))))
    }
}

#[test]
fn an_answer_without_an_end_is_read_up_to_the_bound() {
    let endless = Endless::default();
    let body = endless.clone();
    let service = answers(move || Response::new(body.clone().boxed()));
    asked(&healthz().max_body(10_500), service.clone()).unwrap();
    assert_eq!(*endless.0.lock().unwrap(), 11_000);
    let needle = healthz().body_contains("needle");
    assert!(asked(&needle, service).is_err());
    assert!(*endless.0.lock().unwrap() < 100_000);
}

#[test]
fn a_grpc_check_passes_where_the_service_is_serving() {
    let grpc = |message: &'static [u8], code: Option<&'static str>| {
        answers(move || {
            let mut trailers = HeaderMap::new();
            if let Some(code) = code {
                trailers.insert("grpc-status", HeaderValue::from_static(code));
            }
            let body = Full::from(Bytes::from_static(message));
            Response::new(
                body.with_trailers(std::future::ready(Some(Ok(trailers))))
                    .boxed(),
            )
        })
    };
    let check = GrpcCheck::new("orders:50051")
        .unwrap()
        .service("shop.Orders");
    assert_eq!(Check::<Sent>::name(&check), "grpc shop.Orders");
    let serving = &[0, 0, 0, 0, 2, 8, 1];
    let cases: [(&[u8], Option<&str>, &str); 5] = [
        (serving, Some("0"), ""),
        (serving, Some("14"), "grpc-status 14"),
        (serving, None, "the answer ended without a grpc-status"),
        (
            &[0, 0, 0, 0, 2, 8, 2],
            Some("0"),
            "NOT_SERVING; expected SERVING",
        ),
        (&[0, 0, 0, 0, 9, 8, 1], Some("0"), "the answer is no whole"),
    ];
    for (message, code, problem) in cases {
        let found = asked(&check, grpc(message, code)).err().unwrap_or_default();
        assert!(found.starts_with(problem), "{found}");
        assert_eq!(found.is_empty(), problem.is_empty(), "{found}");
    }
    // What is not implemented answers in its head alone.
    let head = answers(|| {
        let mut response = answer(200, "");
        let code = HeaderValue::from_static("12");
        response.headers_mut().insert("grpc-status", code);
        response
    });
    assert_eq!(asked(&check, head).unwrap_err(), "grpc-status 12");

    let sent = Sent::default();
    let _ = asked(&check, sent.clone());
    let sent = sent.0.lock().unwrap().take().unwrap();
    assert_eq!(
        sent.uri(),
        "http://orders:50051/grpc.health.v1.Health/Check"
    );
    assert_eq!(sent.headers()["te"], "trailers");
    let body = tokio_test::block_on(sent.into_body().collect())
        .unwrap()
        .to_bytes();
    assert_eq!(&body[..7], [0, 0, 0, 0, 13, 0x0a, 11]);
}
