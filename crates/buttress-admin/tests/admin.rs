//! The admin pages say what they promise, and survive those who fill them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use buttress_admin::{Admin, AdminService};
use buttress_core::health::{HealthSignal, HealthStatus};
use buttress_health::{Health, Readiness};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use tower_service::Service;

struct Fixture {
    admin: AdminService,
    readiness: Readiness,
    pool: HealthSignal,
}

fn fixture() -> Fixture {
    let readiness = Readiness::starting();
    let pool = HealthSignal::new();
    let health = Health::new()
        .readiness(readiness.clone())
        .critical_signal("pool", pool.clone())
        .build()
        .unwrap();
    let admin = Admin::new()
        .metrics(|_| {
            (
                "text/plain; version=0.0.4; charset=utf-8",
                "up 1\n".to_owned(),
            )
        })
        .health(health)
        .status("breakers", || json!({ "checkout": "closed" }))
        .status("broken", || panic!("in a section"))
        .status("endpoints", || json!([1, 2]))
        .build();
    Fixture {
        admin,
        readiness,
        pool,
    }
}

fn ask(admin: &AdminService, method: Method, path: &str) -> Response<Full<Bytes>> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8081");
    send(admin, request.body(()).unwrap())
}

fn send(admin: &AdminService, request: Request<()>) -> Response<Full<Bytes>> {
    admin.clone().call(request).into_inner().unwrap()
}

fn get(admin: &AdminService, path: &str) -> (StatusCode, String) {
    let response = ask(admin, Method::GET, path);
    (response.status(), text(response))
}

fn text(response: Response<Full<Bytes>>) -> String {
    use http_body_util::BodyExt;
    let mut collected = std::pin::pin!(response.into_body().collect());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(Ok(collected)) = collected.as_mut().poll(&mut cx) else {
        panic!("a full body is pending");
    };
    String::from_utf8(collected.to_bytes().to_vec()).unwrap()
}

fn json_of(admin: &AdminService, path: &str) -> (StatusCode, Value) {
    let (status, text) = get(admin, path);
    (status, serde_json::from_str(&text).unwrap())
}

#[test]
fn metrics_are_served_as_they_are_rendered_with_their_content_type() {
    let response = ask(&fixture().admin, Method::GET, "/metrics");
    let expected = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(response.headers()["content-type"], expected);
    assert_eq!(text(response), "up 1\n");
}

#[test]
fn what_renders_the_metrics_sees_what_the_scraper_accepts() {
    let admin = Admin::new()
        .metrics(|headers| match headers.get("accept") {
            Some(_) => ("application/x-other", vec![0xff, 0x00]),
            None => ("text/plain", b"up 1".to_vec()),
        })
        .build();
    let request = Request::get("http://localhost/metrics").header("accept", "application/x-other");
    let response = send(&admin, request.body(()).unwrap());
    assert_eq!(response.headers()["content-type"], "application/x-other");
    assert_eq!(response.headers()["content-length"], "2");
    assert_eq!(text(ask(&admin, Method::GET, "/metrics")), "up 1");
}

#[test]
fn readiness_follows_the_life_of_the_process_and_liveness_does_not() {
    let fixture = fixture();
    let ready = || get(&fixture.admin, "/health/ready").0;
    let live = || get(&fixture.admin, "/health/live").0;
    assert_eq!(
        (ready(), live()),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK)
    );
    fixture.readiness.set_ready();
    assert_eq!((ready(), live()), (StatusCode::OK, StatusCode::OK));
    fixture.readiness.drain();
    assert_eq!(
        (ready(), live()),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK)
    );
    let (_, body) = json_of(&fixture.admin, "/health/ready");
    assert_eq!(body, json!({ "status": "fail", "phase": "draining" }));
}

#[test]
fn health_names_each_component_and_degraded_serves() {
    let fixture = fixture();
    let cases = [
        (HealthStatus::Healthy, StatusCode::OK, "pass"),
        (HealthStatus::Degraded, StatusCode::OK, "warn"),
        (
            HealthStatus::Unhealthy,
            StatusCode::SERVICE_UNAVAILABLE,
            "fail",
        ),
    ];
    for (health, status, word) in cases {
        fixture.pool.publish(health);
        let (answered, body) = json_of(&fixture.admin, "/health");
        assert_eq!((answered, &body["status"]), (status, &json!(word)));
        assert_eq!(body["checks"]["pool"][0]["health"], health.as_str());
    }
    let response = ask(&fixture.admin, Method::GET, "/health");
    assert_eq!(
        response.headers()["content-type"],
        "application/health+json"
    );
}

#[test]
fn a_section_that_panics_spoils_only_itself() {
    let (status, body) = json_of(&fixture().admin, "/status");
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["breakers"], json!({ "checkout": "closed" }));
    assert_eq!(body["endpoints"], json!([1, 2]));
    assert!(
        body["broken"]["error"]
            .as_str()
            .unwrap()
            .contains("panicked")
    );
}

#[test]
fn metrics_that_panic_are_an_error_of_the_server_and_no_broken_connection() {
    let render = |_: &HeaderMap| -> (&'static str, String) { panic!("in the encoder") };
    let admin = Admin::new().metrics(render).build();
    assert_eq!(get(&admin, "/metrics").0, StatusCode::INTERNAL_SERVER_ERROR);
}

#[test]
fn the_index_lists_what_there_is_and_only_that() {
    let (_, index) = get(&fixture().admin, "/");
    for path in [
        "/metrics",
        "/health",
        "/health/live",
        "/health/ready",
        "/status",
    ] {
        assert!(index.lines().any(|line| line.starts_with(path)), "{path}");
    }
    let bare = Admin::new()
        .metrics(|_| ("text/plain", String::new()))
        .build();
    let request = Request::get("http://localhost/").header("accept", "application/json");
    let response = send(&bare, request.body(()).unwrap());
    assert_eq!(response.headers()["content-type"], "application/json");
    let index: Value = serde_json::from_str(&text(response)).unwrap();
    let paths: Vec<_> = index["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/", "/metrics"]);
}

#[test]
fn only_reading_is_allowed() {
    let admin = fixture().admin;
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        for path in [
            "/",
            "/metrics",
            "/health",
            "/health/live",
            "/health/ready",
            "/status",
        ] {
            let response = ask(&admin, method.clone(), path);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()["allow"], "GET, HEAD");
        }
    }
}

#[test]
fn a_head_has_the_headers_of_a_get_and_no_body() {
    let fixture = fixture();
    fixture.pool.publish(HealthStatus::Unhealthy);
    for path in [
        "/",
        "/metrics",
        "/health",
        "/health/live",
        "/health/ready",
        "/status",
    ] {
        let get = ask(&fixture.admin, Method::GET, path);
        let head = ask(&fixture.admin, Method::HEAD, path);
        assert_eq!(
            (head.status(), head.headers()),
            (get.status(), get.headers())
        );
        let length = text(get).len().to_string();
        assert_eq!(head.headers()["content-length"], length.as_str());
        assert_eq!(text(head), "");
    }
}

#[test]
fn nothing_is_stored_by_a_cache_or_guessed_by_a_browser() {
    for path in ["/", "/metrics", "/health", "/status", "/nowhere"] {
        let response = ask(&fixture().admin, Method::GET, path);
        assert_eq!(response.headers()["cache-control"], "no-store", "{path}");
        assert_eq!(
            response.headers()["x-content-type-options"],
            "nosniff",
            "{path}"
        );
    }
}

#[test]
fn a_path_that_is_not_there_or_has_no_source_is_not_found() {
    let bare = Admin::new().build();
    for path in [
        "/metrics",
        "/health",
        "/status",
        "/health/",
        "/Metrics",
        "//",
        "/metrics/x",
    ] {
        assert_eq!(get(&bare, path).0, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(get(&fixture().admin, "/health/").0, StatusCode::NOT_FOUND);
    assert_eq!(get(&fixture().admin, "/status?verbose").0, StatusCode::OK);
}
