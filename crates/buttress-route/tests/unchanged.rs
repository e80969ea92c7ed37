//! What passes through the router and the layers beside it stays what it was, and what the router says itself is an answer.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Waker};
use std::time::Duration;

use buttress_core::clock::ManualClock;
use buttress_core::reject::Rejected;
use buttress_route::load::{LoadReporter, ReportLoad, ReportLoadLayer};
use buttress_route::{Config, Endpoint, HealthRouter};
use buttress_testing::{ContractProbe, Scripted, ScriptedBody, assert_transparent_body};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Body;
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::service_fn;
use tower_layer::Layer;
use tower_service::Service;

/// Whatever a body may do.
fn bodies() -> Vec<ScriptedBody> {
    let plain = || ScriptedBody::new().data("a").pending().data("bc");
    vec![
        ScriptedBody::new(),
        plain(),
        plain().exact(),
        plain().says_end(),
        plain().exact().says_end(),
        plain().trailer("grpc-status", "0"),
        plain().exact().trailer("x-checksum", "1"),
        plain().error("broken"),
        plain().data("").data("d").exact(),
    ]
}

/// Something that a layer farther in has noted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Note(u32);

fn answer(body: &ScriptedBody) -> Response<ScriptedBody> {
    let mut response = Response::builder()
        .status(203)
        .header("x-of", "the endpoint");
    response.extensions_mut().unwrap().insert(Note(7));
    response.body(body.clone()).unwrap()
}

/// What `service` makes of an answer with this body.
fn through<S, B>(service: &mut S) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error: std::fmt::Debug>,
{
    let mut cx = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    assert_ready_ok!(task::spawn(service.call(Request::new(()))).poll())
}

fn assert_same<B: Body<Error: std::fmt::Display>>(of: &ScriptedBody, passed: Response<B>) {
    let (expected, _) = answer(of).into_parts();
    let (head, body) = passed.into_parts();
    assert_eq!(head.status, expected.status);
    assert_eq!(head.headers, expected.headers);
    assert_eq!(head.extensions.get(), Some(&Note(7)));
    assert_transparent_body(of.clone(), body);
}

#[test]
fn a_routed_answer_is_the_answer_that_it_was() {
    for body in bodies() {
        let said = body.clone();
        let origin = service_fn(move |_| ready(Ok::<_, Infallible>(answer(&said))));
        let mut router =
            HealthRouter::new(Config::default(), [Endpoint::new("a", origin)]).unwrap();
        assert_same(&body, through(&mut router));
        assert_eq!(router.handle().snapshot().endpoints[0].in_flight, 0);
    }
}

#[test]
fn an_answer_that_reports_a_load_is_the_answer_that_it_was() {
    for body in bodies() {
        let said = body.clone();
        let origin = service_fn(move |_| ready(Ok::<_, Infallible>(answer(&said))));
        let reporter = LoadReporter::new();
        let mut server = ReportLoadLayer::new(reporter.clone()).layer(origin);
        assert_same(&body, through(&mut server));
        reporter.set_cpu_utilization(0.5);
        let mut response = through(&mut server);
        assert!(
            response
                .headers_mut()
                .remove("endpoint-load-metrics")
                .is_some()
        );
        assert_same(&body, response);
    }
}

type Script = Scripted<Response<ScriptedBody>, &'static str>;

#[test]
fn the_server_that_was_ready_is_the_one_whose_load_is_reported_and_its_error_is_its_own() {
    let script = Script::new().ok(answer(&ScriptedBody::new())).err("broken");
    // The probe panics if it is called before it was polled ready.
    let probe = ContractProbe::new(script.clone());
    let mut server = ReportLoadLayer::new(LoadReporter::new()).layer(probe);
    drop(through(&mut server));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Service::<Request<()>>::poll_ready(&mut server, &mut cx).is_ready());
    let mut call = task::spawn(server.call(Request::new(())));
    assert_eq!(assert_ready!(call.poll()).unwrap_err(), "broken");
    script.hold_readiness();
    assert!(Service::<Request<()>>::poll_ready(&mut server, &mut cx).is_pending());
}

#[test]
fn futures_have_the_auto_traits_of_what_they_wrap() {
    const fn movable<T: Send + Sync + Unpin>(_: &T) {}
    type Origin = fn(Request<()>) -> Ready<Result<Response<ScriptedBody>, Infallible>>;
    let origin: Origin = |_| ready(Ok(answer(&ScriptedBody::new())));
    let origin = service_fn(origin);
    let mut router = HealthRouter::new(Config::default(), [Endpoint::new("a", origin)]).unwrap();
    movable(&router);
    movable(&router.call(Request::new(())));
    let mut server: ReportLoad<_> = ReportLoadLayer::new(LoadReporter::new()).layer(origin);
    movable(&server);
    movable(&server.call(Request::new(())));
}

/// What the router says for itself to a request of this type: that nobody is there, and that nobody is ready.
fn refusals(content_type: &'static str) -> [HeaderMap; 2] {
    let request = || {
        let content_type = HeaderValue::from_static(content_type);
        let mut request = Request::new(());
        request.headers_mut().insert("content-type", content_type);
        request
    };
    let time = ManualClock::new();
    let config = || {
        let config = Config::default().clock(time.clock());
        config.ready_deadline(Duration::from_secs(1))
    };
    let script = Script::new();
    script.hold_readiness();
    let head = |response: Response<_>, status: u16, reason| {
        let (head, body): (http::response::Parts, _) = response.into_parts();
        assert_eq!(head.status, status);
        let rejected = head.extensions.get::<Rejected>().unwrap();
        assert_eq!((rejected.by, rejected.reason), ("route", reason));
        assert!(Body::is_end_stream(&body));
        head.headers
    };
    let status = if content_type.starts_with("application/grpc") {
        200
    } else {
        503
    };
    let nobody: [Endpoint<Script>; 0] = [];
    let mut empty = HealthRouter::new(config(), nobody).unwrap();
    let mut call = task::spawn(empty.call(request()));
    let no_endpoint = head(assert_ready_ok!(call.poll()), status, "no_endpoint");

    let mut busy = HealthRouter::new(config(), [Endpoint::new("a", script)]).unwrap();
    let mut call = task::spawn(busy.call(request()));
    assert_pending!(call.poll());
    time.advance(Duration::from_secs(1));
    let not_ready = head(assert_ready_ok!(call.poll()), status, "not_ready");
    [no_endpoint, not_ready]
}

#[test]
fn what_the_router_says_itself_is_no_store_and_a_grpc_status_to_whoever_speaks_grpc() {
    for headers in refusals("application/json") {
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["retry-after"], "1");
        assert!(!headers.contains_key("grpc-status"));
    }
    for content_type in ["application/grpc", "application/grpc+proto"] {
        for headers in refusals(content_type) {
            assert_eq!(headers["grpc-status"], "14");
            assert_eq!(headers["grpc-retry-pushback-ms"], "1000");
            assert_eq!(headers["cache-control"], "no-store");
            assert!(
                headers["content-type"]
                    .to_str()
                    .unwrap()
                    .starts_with("application/grpc")
            );
        }
    }
}
