//! The service: which page a request is for, and the headers that every answer carries.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::header::{HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::builder::Admin;
use crate::pages::Page;
use crate::settings;

/// Serves what an [`Admin`] gathered. Cheap to clone; always ready; never fails.
#[derive(Clone, Debug)]
pub struct AdminService {
    admin: Arc<Admin>,
    peer: Option<SocketAddr>,
}

impl AdminService {
    pub(crate) const fn new(admin: Arc<Admin>) -> Self {
        Self { admin, peer: None }
    }

    /// The same for the requests of one connection: who changes something is named by its address.
    #[must_use]
    pub fn of_peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }
}

impl<B> Service<Request<B>> for AdminService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Full<Bytes>>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (request, _) = request.into_parts();
        let page = self.admin.answer(&request, self.peer);
        ready(Ok(response(page, &request)))
    }
}

impl Admin {
    fn answer(&self, request: &Parts, peer: Option<SocketAddr>) -> Page {
        if !self.hosts.accept(request) {
            let sentence = "this host is not served here; ask for localhost, or allow the host";
            return Page::text(StatusCode::MISDIRECTED_REQUEST, sentence);
        }
        let path = request.uri.path();
        if let Some(setting) = self.setting_at(path) {
            return setting.answer(request, peer);
        }
        if !self.has(path) {
            return if path.starts_with(settings::PATH_OF_ONE) && self.has(settings::PATH) {
                Page::no_setting()
            } else {
                Page::not_found()
            };
        }
        if !matches!(request.method, Method::GET | Method::HEAD) {
            let sentence = "pages are only read here; use GET or HEAD";
            return Page::text(StatusCode::METHOD_NOT_ALLOWED, sentence);
        }
        self.page(path, &request.headers)
    }
}

fn response(page: Page, request: &Parts) -> Response<Full<Bytes>> {
    let length = page.body.len();
    let body = if request.method == Method::HEAD {
        Bytes::new()
    } else {
        page.body
    };
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = page.status;
    let headers = response.headers_mut();
    // Said here because the body of a HEAD's response does not tell.
    headers.insert(CONTENT_LENGTH, length.into());
    let always: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, page.content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in always {
        // A content type comes from the user's closure; one that is no header value is left out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    }
    if page.status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = if request.uri.path().starts_with(settings::PATH_OF_ONE) {
            "GET, HEAD, PUT"
        } else {
            "GET, HEAD"
        };
        headers.insert(ALLOW, HeaderValue::from_static(allowed));
    }
    response
}
