//! What may be changed is changed by who may, whole or not at all.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use std::sync::{Arc, Mutex};

use buttress_admin::{Admin, AdminService, Change, Setting};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower_service::Service;

#[derive(Clone, Default)]
struct Level(Arc<Mutex<(String, Vec<Change>)>>);

fn fixture() -> (AdminService, Level) {
    let level = Level::default();
    let (reading, writing) = (level.clone(), level.clone());
    let admin = Admin::new()
        .setting(
            "log.filter",
            move || reading.0.lock().unwrap().0.clone(),
            move |change| {
                if change.value == "loud" {
                    return Err("no such level".to_owned());
                }
                let mut level = writing.0.lock().unwrap();
                level.0.clone_from(&change.value);
                level.1.push(change.clone());
                Ok(())
            },
        )
        .setting("broken", || panic!("in read"), |_| panic!("in write"))
        .build();
    (admin, level)
}

async fn send(admin: &AdminService, request: http::request::Builder) -> (StatusCode, String) {
    let response = respond(admin, request);
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn respond(
    admin: &AdminService,
    request: http::request::Builder,
) -> Response<http_body_util::Full<bytes::Bytes>> {
    let request = request.header("host", "localhost").body(()).unwrap();
    admin.clone().call(request).into_inner().unwrap()
}

#[tokio::test]
async fn a_setting_is_read_and_changed_and_who_did_it_is_told() {
    let (admin, level) = fixture();
    let peer = "127.0.0.1:4711".parse().unwrap();
    let admin = admin.of_peer(peer);
    let put = Request::put("/settings/log.filter?value=info,hyper%3Ddebug&why=ticket+7");
    let (status, body) = send(&admin, put).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert!(body.contains("info,hyper=debug"));
    let (_, all) = send(&admin, Request::get("/settings")).await;
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all["log.filter"], "info,hyper=debug");
    assert!(all["broken"]["error"].is_string());
    let encoded = Request::get("/settings/log%2efilter");
    assert_eq!(send(&admin, encoded).await.0, StatusCode::OK);
    let change = level.0.lock().unwrap().1[0].clone();
    assert_eq!(change.why, "ticket 7");
    assert_eq!(change.peer, Some(peer));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_and_changes_nothing() {
    let (admin, level) = fixture();
    send(&admin, Request::put("/settings/log.filter?value=info")).await;
    for (request, expected, word) in [
        (
            Request::put("/settings/log.filter?value=loud"),
            StatusCode::UNPROCESSABLE_ENTITY,
            "no such level",
        ),
        (
            Request::put("/settings/log.filter?value=x&value=y"),
            StatusCode::BAD_REQUEST,
            "twice",
        ),
        (
            Request::put("/settings/log.filter?value=x&why=%ff"),
            StatusCode::BAD_REQUEST,
            "UTF-8",
        ),
        (
            Request::put("/settings/log.filter?value=%zz"),
            StatusCode::BAD_REQUEST,
            "UTF-8",
        ),
        (
            Request::put("/settings/log.filter"),
            StatusCode::BAD_REQUEST,
            "no value",
        ),
        (
            Request::put("/settings/other?value=x"),
            StatusCode::NOT_FOUND,
            "/settings lists",
        ),
        (
            Request::put("/settings?value=x"),
            StatusCode::METHOD_NOT_ALLOWED,
            "use GET",
        ),
        (
            Request::post("/settings/log.filter?value=x"),
            StatusCode::METHOD_NOT_ALLOWED,
            "use GET",
        ),
        (
            Request::put("/settings/broken?value=x"),
            StatusCode::INTERNAL_SERVER_ERROR,
            "panicked",
        ),
        (
            Request::get("/settings/broken"),
            StatusCode::INTERNAL_SERVER_ERROR,
            "panicked",
        ),
    ] {
        let (status, body) = send(&admin, request).await;
        assert_eq!(status, expected, "{body}");
        assert!(body.contains(word), "{word}: {body}");
    }
    assert_eq!(level.0.lock().unwrap().0, "info");
    let refused = respond(&admin, Request::post("/settings/log.filter"));
    assert_eq!(refused.headers()["allow"], "GET, HEAD, PUT");
}

#[tokio::test]
async fn no_web_page_changes_a_setting() {
    let (admin, level) = fixture();
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-origin"),
    ] {
        let put = Request::put("/settings/log.filter?value=trace").header(name, value);
        assert_eq!(send(&admin, put).await.0, StatusCode::FORBIDDEN, "{name}");
    }
    let rebound = Request::put("/settings/log.filter?value=trace").header("host", "evil.example");
    assert_eq!(
        send(&admin, rebound).await.0,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(level.0.lock().unwrap().0, "");
}

#[tokio::test]
async fn what_is_listed_comes_and_goes_and_a_list_that_panics_hides_no_other() {
    let names = Arc::new(Mutex::new(vec!["a", "log.filter"]));
    let listed = Arc::clone(&names);
    let one = |name: &'static str| Setting::new(name, move || name.to_owned(), |_| Ok(()));
    let admin = Admin::new()
        .setting("log.filter", || "fixed".to_owned(), |_| Ok(()))
        .settings(|| panic!("in the list"))
        .settings(move || listed.lock().unwrap().iter().copied().map(one).collect())
        .build();
    let (_, all) = send(&admin, Request::get("/settings")).await;
    let all: serde_json::Value = serde_json::from_str(&all).unwrap();
    assert_eq!(all, serde_json::json!({ "a": "a", "log.filter": "fixed" }));
    let put = || Request::put("/settings/a?value=x");
    assert_eq!(send(&admin, put()).await.0, StatusCode::OK);
    names.lock().unwrap().remove(0);
    assert_eq!(send(&admin, put()).await.0, StatusCode::NOT_FOUND);
}
