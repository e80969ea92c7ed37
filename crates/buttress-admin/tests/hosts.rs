//! On loopback the service answers to the names of loopback, so that no web page reads it by rebinding.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test reports by panicking"
)]

use buttress_admin::{Admin, AdminService};
use http::{HeaderValue, Request, StatusCode};
use tower_service::Service;

fn send(admin: &AdminService, request: Request<()>) -> StatusCode {
    admin.clone().call(request).into_inner().unwrap().status()
}

fn by_header(admin: &AdminService, host: &str) -> StatusCode {
    send(
        admin,
        Request::get("/").header("host", host).body(()).unwrap(),
    )
}

fn loopback() -> Admin {
    Admin::new().bound_to("127.0.0.1:8081".parse().unwrap())
}

#[test]
fn the_names_and_addresses_of_loopback_are_served() {
    let admin = loopback().build();
    let hosts = [
        "localhost",
        "LocalHost:8081",
        "localhost.",
        "gateway.localhost",
        "127.0.0.1",
        "127.0.0.1:8081",
        "127.8.9.10",
        "[::1]",
        "[::1]:8081",
        "[::ffff:127.0.0.1]:8081",
    ];
    for host in hosts {
        assert_eq!(by_header(&admin, host), StatusCode::OK, "{host}");
    }
}

#[test]
fn any_other_host_is_refused_on_loopback_which_is_the_default() {
    let hosts = [
        "evil.example",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "0.0.0.0:8081",
        "10.0.0.1",
        "[::]",
        "evil@localhost",
        "localhost..",
        "",
    ];
    for admin in [loopback().build(), Admin::new().build()] {
        for host in hosts {
            let status = by_header(&admin, host);
            assert_eq!(status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        }
    }
}

#[test]
fn every_host_that_a_request_names_has_to_be_served() {
    let admin = loopback().build();
    let misdirected = StatusCode::MISDIRECTED_REQUEST;
    let none = Request::get("/").body(()).unwrap();
    assert_eq!(send(&admin, none), misdirected);
    let authority = Request::get("http://evil.example/").body(()).unwrap();
    assert_eq!(send(&admin, authority), misdirected);
    let differing = Request::get("http://localhost/").header("host", "evil.example");
    assert_eq!(send(&admin, differing.body(()).unwrap()), misdirected);
    let twice = Request::get("/")
        .header("host", "localhost")
        .header("host", "evil.example");
    assert_eq!(send(&admin, twice.body(()).unwrap()), misdirected);
    let bytes = HeaderValue::from_bytes(b"localhost\xff").unwrap();
    let opaque = Request::get("/").header("host", bytes);
    assert_eq!(send(&admin, opaque.body(()).unwrap()), misdirected);
}

#[test]
fn a_host_that_was_allowed_is_served_beside_those_of_loopback() {
    let admin = loopback()
        .allow_host("Admin.internal")
        .allow_host("10.0.0.1")
        .build();
    for host in ["admin.internal:8081", "10.0.0.1", "localhost"] {
        assert_eq!(by_header(&admin, host), StatusCode::OK, "{host}");
    }
    let refused = by_header(&admin, "other.internal");
    assert_eq!(refused, StatusCode::MISDIRECTED_REQUEST);
}

#[test]
fn beyond_loopback_any_host_is_served_unless_some_are_allowed_by_name() {
    let public = || Admin::new().bound_to("0.0.0.0:8081".parse().unwrap());
    assert_eq!(
        by_header(&public().build(), "pod-7.cluster"),
        StatusCode::OK
    );
    let named = public().allow_host("pod-7.cluster").build();
    assert_eq!(by_header(&named, "pod-7.cluster:8081"), StatusCode::OK);
    assert_eq!(
        by_header(&named, "pod-8.cluster"),
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(
        by_header(&loopback().any_host().build(), "any"),
        StatusCode::OK
    );
}
