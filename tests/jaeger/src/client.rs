//! A client that nobody knows.

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) correlation_id: String,
    pub(crate) body: String,
}

/// The answer to a GET of `url` with `headers`.
pub(crate) async fn ask(url: &str, headers: &[(&str, &str)]) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let mut request = Request::get(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).unwrap();
    let (head, body) = client.request(request).await.unwrap().into_parts();
    let id = head.headers.get("x-correlation-id");
    let id = id.map(|id| id.to_str().unwrap().to_owned());
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: head.status.as_u16(),
        correlation_id: id.unwrap_or_default(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}
