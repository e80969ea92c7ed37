//! A check that is an HTTP request.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use super::kind::{Check, CheckFailed};
use super::read::{read, send};

/// Up to so many bytes of an answer are read, where nothing else is said.
const BODY: usize = 64 << 10;
/// The most that may be said.
const LARGEST: usize = 16 << 20;

/// Asks an endpoint by an HTTP request, sent through its own service, whose request body is `B`.
///
/// It passes if the status is among those expected, every header rule holds, and the body, which is read
/// to its end or to [`HttpCheck::max_body`] bytes, contains what it should. Where no host is set the
/// request has none, and the service names its own.
///
/// A request that a layer inside the endpoint's service answers in its place (a timeout, a broken
/// connection, a refusal, as core marks them) has failed, whatever statuses are expected.
#[derive(Clone)]
pub struct HttpCheck<B> {
    method: Method,
    target: Uri,
    headers: Vec<(HeaderName, HeaderValue)>,
    statuses: Vec<RangeInclusive<u16>>,
    expected: Vec<HeaderRule>,
    contains: Option<Bytes>,
    max_body: usize,
    body: PhantomData<fn() -> B>,
}

/// A header that an answer must have, and its value if that matters.
type HeaderRule = (HeaderName, Option<HeaderValue>);

impl<B> HttpCheck<B> {
    /// `GET` of `path`, which begins with `/` and may have a query; any `2xx` passes.
    pub fn get(path: &str) -> Result<Self, ConfigError> {
        let refuse = |problem: String| ConfigError::new("path", problem);
        let target: Uri = path
            .parse()
            .map_err(|error| refuse(format!("`{path}` is no path: {error}")))?;
        if !path.starts_with('/') || target.host().is_some() {
            let problem = format!("`{path}` is no path; write one that begins with /");
            return Err(refuse(problem));
        }
        Ok(Self {
            method: Method::GET,
            target,
            headers: Vec::new(),
            statuses: Vec::new(),
            expected: Vec::new(),
            contains: None,
            max_body: BODY,
            body: PhantomData,
        })
    }

    /// With this method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// With this `Host`.
    #[must_use]
    pub fn host(self, host: HeaderValue) -> Self {
        self.header(HOST, host)
    }

    /// With this header, beside those before.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Passes with these statuses, beside those given before, and with no others. Default 200 to 299.
    #[must_use]
    pub fn status(mut self, statuses: RangeInclusive<u16>) -> Self {
        self.statuses.push(statuses);
        self
    }

    /// Passes if the answer has this header.
    #[must_use]
    pub fn has_header(mut self, name: HeaderName) -> Self {
        self.expected.push((name, None));
        self
    }

    /// Passes if the answer has this header with this value, among others perhaps.
    #[must_use]
    pub fn header_is(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.expected.push((name, Some(value)));
        self
    }

    /// Passes if what is read of the body contains `bytes`.
    #[must_use]
    pub fn body_contains(mut self, bytes: impl Into<Bytes>) -> Self {
        self.contains = Some(bytes.into());
        self
    }

    /// Reads so much of a body at most. Default 64 KiB; at most 16 MiB.
    #[must_use]
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes.min(LARGEST);
        self
    }

    fn request(&self) -> Request<B>
    where
        B: From<Bytes>,
    {
        let mut request = Request::new(Bytes::new().into());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    fn judge_head<R>(&self, response: &Response<R>) -> Result<(), CheckFailed> {
        let status = response.status().as_u16();
        let expected = match &*self.statuses {
            [] => (200..=299).contains(&status),
            some => some.iter().any(|statuses| statuses.contains(&status)),
        };
        if !expected {
            let problem = format!("status {status}; expected {}", Statuses(&self.statuses));
            return Err(CheckFailed::new(problem));
        }
        for (name, value) in &self.expected {
            let mut values = response.headers().get_all(name).iter();
            let holds = values.any(|is| value.as_ref().is_none_or(|value| is == value));
            if !holds {
                let problem = match value {
                    Some(value) => format!("no header `{name}: {value:?}`"),
                    None => format!("no header `{name}`"),
                };
                return Err(CheckFailed::new(problem));
            }
        }
        Ok(())
    }

    fn judge_body(&self, bytes: &[u8], cut: bool) -> Result<(), CheckFailed> {
        let Some(wanted) = &self.contains else {
            return Ok(());
        };
        let found = wanted.is_empty() || bytes.windows(wanted.len()).any(|part| part == wanted);
        if found {
            return Ok(());
        }
        let of = if cut {
            "the beginning of the body"
        } else {
            "the body"
        };
        let wanted = String::from_utf8_lossy(wanted);
        let problem = format!("{of}, {} bytes, does not contain `{wanted}`", bytes.len());
        Err(CheckFailed::new(problem))
    }
}

impl<S, B, R> Check<S> for HttpCheck<B>
where
    S: Service<Request<B>, Response = Response<R>> + Send,
    S::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    S::Future: Send,
    B: From<Bytes> + Send + 'static,
    R: Body + Send,
    R::Data: Send,
    R::Error: Into<Box<dyn Error + Send + Sync>> + Send,
{
    fn name(&self) -> Cow<'static, str> {
        format!("http {} {}", self.method, self.target).into()
    }

    async fn check(&self, _: &Arc<str>, service: S) -> Result<(), CheckFailed> {
        let response = send(service, self.request()).await?;
        self.judge_head(&response)?;
        let read = read(response.into_body(), self.max_body).await?;
        self.judge_body(&read.bytes, read.cut)
    }
}

/// Ranges of statuses, in words.
struct Statuses<'a>(&'a [RangeInclusive<u16>]);

impl fmt::Display for Statuses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("200 to 299");
        }
        for (index, statuses) in self.0.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            match (statuses.start(), statuses.end()) {
                (start, end) if start == end => write!(f, "{or}{start}")?,
                (start, end) => write!(f, "{or}{start} to {end}")?,
            }
        }
        Ok(())
    }
}

impl<B> fmt::Debug for HttpCheck<B> {
    // Headers may carry credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpCheck")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("statuses", &self.statuses)
            .finish_non_exhaustive()
    }
}
