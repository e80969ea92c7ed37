//! Deciding the outcome of an HTTP exchange.

#[cfg(feature = "tower-http")]
mod tower;
mod wait;

#[cfg(feature = "tower-http")]
pub use tower::TowerHttp;
pub use wait::asked_wait;

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER, TRAILER};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use crate::deadline::DeadlineExceeded;
use crate::outcome::{FailureKind, Outcome, TransportFailure, Unsent};
use crate::reject::{Rejected, is_grpc_type, starts_with};
use crate::settle::outcome_of_error;

// By name, and not by text: a name is hashed as it is, and text is parsed first.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The head of a response, as a classifier sees it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Head<'a> {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The extensions; markers such as [`DeadlineExceeded`] stand here.
    pub extensions: &'a Extensions,
    /// Whether this is the response of a gRPC call: its status then follows the body.
    pub grpc: bool,
    /// Whether this is an event stream, which ends when somebody has had enough of it.
    pub event_stream: bool,
    /// Whether trailers are announced.
    pub(crate) trailers: bool,
}

/// Up to so many headers are cheaper to go through once than to look two of them up.
const FEW: usize = 8;

impl<'a> Head<'a> {
    /// The head of `response`.
    #[inline]
    pub fn of<B>(response: &'a Response<B>) -> Self {
        let headers = response.headers();
        let (kind, trailers) = if headers.len() > FEW {
            (content(headers), headers.contains_key(TRAILER))
        } else {
            after_the_head(headers)
        };
        Self {
            status: response.status(),
            headers,
            extensions: response.extensions(),
            grpc: kind == Content::Grpc,
            event_stream: kind == Content::EventStream,
            trailers,
        }
    }
}

/// What a content type says of how a body ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Grpc,
    EventStream,
    Other,
}

impl Content {
    #[inline]
    fn of(content_type: &HeaderValue) -> Self {
        if is_grpc_type(content_type) {
            return Self::Grpc;
        }
        if starts_with(content_type, b"text/event-stream") {
            return Self::EventStream;
        }
        Self::Other
    }
}

/// What the content type says, and whether trailers are announced. To go through names alone takes a fraction of what it does
/// with their values.
#[inline]
fn after_the_head(headers: &HeaderMap) -> (Content, bool) {
    let (mut typed, mut trailers) = (false, false);
    for name in headers.keys() {
        typed |= *name == CONTENT_TYPE;
        trailers |= *name == TRAILER;
    }
    let kind = if typed {
        content(headers)
    } else {
        Content::Other
    };
    (kind, trailers)
}

fn content(headers: &HeaderMap) -> Content {
    let value = headers.get(CONTENT_TYPE);
    value.map_or(Content::Other, Content::of)
}

/// What the head of a response says of the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The outcome is decided, whatever the body does.
    Now(Outcome),
    /// The end of the body decides.
    AtEnd,
    /// The `grpc-status` in the trailers decides, as [`ClassifyHttp::end`] reads it. An end without one is
    /// this outcome.
    InTrailers(Outcome),
}

/// Decides the outcome of an HTTP exchange: at the head of the response, or at the end of its body.
///
/// Where the end decides, a body that breaks is always [`FailureKind::Body`], and one that is dropped
/// before it is complete always [`Outcome::Abandoned`]. A classifier that panics makes the exchange a
/// [`FailureKind::Panic`].
pub trait ClassifyHttp<E> {
    /// What the head of the response says.
    fn head(&self, head: &Head<'_>) -> Judgement;

    /// What the end of the body says: its trailers, if it has any.
    fn end(&self, trailers: Option<&HeaderMap>) -> Outcome {
        let _ = trailers;
        Outcome::Success
    }

    /// What an error of the service says.
    fn error(&self, error: &E) -> Outcome;

    /// For how long the upstream asks to be left alone, in the head or the trailers of a failure.
    fn wait(&self, headers: &HeaderMap) -> Option<Duration> {
        asked_wait(headers)
    }
}

/// The default: what a gateway holds against an upstream.
///
/// | seen | outcome |
/// |---|---|
/// | [`Rejected`] in the extensions: our own refusal | `Ignored` |
/// | [`DeadlineExceeded`], [`Unsent`], [`TransportFailure`] in the extensions | that failure |
/// | 501, 505: the client asked for what is not there | `Success` |
/// | 503 with `Retry-After` | `Failure(Overloaded)` |
/// | any other 5xx | `Failure(Answer)` |
/// | 429: a limit that we ran into | `Ignored` |
/// | `grpc-status` UNKNOWN (as which one that is no status counts), `DEADLINE_EXCEEDED`, INTERNAL, UNAVAILABLE, `DATA_LOSS`, in the head of a gRPC response or in trailers | a failure |
/// | a gRPC response that ends without any `grpc-status`, or one with a status that gRPC takes for UNKNOWN or INTERNAL where there is none (400, 402, 405 …) | `Failure(Answer)` |
/// | anything else | `Success` at the end of the body |
/// | an error | by [`outcome_of_error`] |
///
/// A `grpc-status` in the head or the trailers says more than the status of HTTP, as gRPC's "HTTP to gRPC
/// Status Code Mapping" has it. Of `grpc-web`, whose status is part of the body, the head alone is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpStatus;

impl<E: 'static> ClassifyHttp<E> for HttpStatus {
    #[inline]
    fn head(&self, head: &Head<'_>) -> Judgement {
        if let Some(outcome) = marked(head.extensions) {
            return Judgement::Now(outcome);
        }
        if head.grpc
            && let Some(judgement) = grpc_head(head)
        {
            return judgement;
        }
        match head.status {
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => {
                Judgement::AtEnd
            }
            StatusCode::TOO_MANY_REQUESTS => Judgement::Now(Outcome::Ignored),
            StatusCode::SERVICE_UNAVAILABLE if head.headers.contains_key(RETRY_AFTER) => {
                Judgement::Now(Outcome::Failure(FailureKind::Overloaded))
            }
            status if status.is_server_error() => {
                Judgement::Now(Outcome::Failure(FailureKind::Answer))
            }
            _ => Judgement::AtEnd,
        }
    }

    fn end(&self, trailers: Option<&HeaderMap>) -> Outcome {
        trailers.and_then(grpc_failure).unwrap_or(Outcome::Success)
    }

    fn error(&self, error: &E) -> Outcome {
        outcome_of_error(error)
    }
}

#[inline]
fn marked(extensions: &Extensions) -> Option<Outcome> {
    if extensions.is_empty() {
        return None;
    }
    if extensions.get::<Rejected>().is_some() {
        return Some(Outcome::Ignored);
    }
    if extensions.get::<DeadlineExceeded>().is_some() {
        return Some(Outcome::Failure(FailureKind::Deadline));
    }
    let failure = match extensions.get::<Unsent>() {
        Some(_) => FailureKind::Connect,
        None => extensions
            .get::<TransportFailure>()
            .map(|_| FailureKind::Transport)?,
    };
    Some(Outcome::Failure(failure))
}

/// What the head of a gRPC response says that its status as one of HTTP does not.
fn grpc_head(head: &Head<'_>) -> Option<Judgement> {
    if has_grpc_status(head.headers) {
        // There is no body, and these are the trailers.
        return Some(grpc_failure(head.headers).map_or(Judgement::AtEnd, Judgement::Now));
    }
    if head.headers.get(CONTENT_TYPE).is_some_and(is_grpc_web) {
        return None;
    }
    match head.status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::TOO_MANY_REQUESTS => None,
        status if status.is_server_error() => None,
        _ => Some(Judgement::InTrailers(Outcome::Failure(FailureKind::Answer))),
    }
}

/// Whether the status of a call is told here.
pub(crate) fn has_grpc_status(headers: &HeaderMap) -> bool {
    headers.contains_key(&GRPC_STATUS)
}

fn is_grpc_web(content_type: &HeaderValue) -> bool {
    starts_with(content_type, b"application/grpc-web")
}

/// The failure that a `grpc-status` stands for, if it is there and is one of the upstream's.
fn grpc_failure(headers: &HeaderMap) -> Option<Outcome> {
    let kind = match headers.get(&GRPC_STATUS)?.as_bytes() {
        b"4" => FailureKind::Deadline,
        b"14" => FailureKind::Overloaded,
        b"0" | b"1" | b"3" | b"5" | b"6" | b"7" | b"8" | b"9" | b"10" | b"11" | b"12" | b"16" => {
            return None;
        }
        // 2, 13 and 15, and what is no status at all, which gRPC takes for 2.
        _ => FailureKind::Answer,
    };
    Some(Outcome::Failure(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn judge(response: &Response<()>) -> Judgement {
        ClassifyHttp::<Infallible>::head(&HttpStatus, &Head::of(response))
    }

    #[test]
    fn a_status_is_judged_by_whose_fault_it_is() {
        let cases = [
            (200, Judgement::AtEnd),
            (404, Judgement::AtEnd),
            (429, Judgement::Now(Outcome::Ignored)),
            (500, Judgement::Now(Outcome::Failure(FailureKind::Answer))),
            (501, Judgement::AtEnd),
            (503, Judgement::Now(Outcome::Failure(FailureKind::Answer))),
            (505, Judgement::AtEnd),
        ];
        for (status, expected) in cases {
            let response = Response::builder().status(status).body(()).unwrap();
            assert_eq!(judge(&response), expected, "{status}");
        }
    }

    #[test]
    fn a_head_of_few_headers_says_what_one_of_many_does() {
        let cases: [(&[(&str, &str)], _); 6] = [
            (&[], (false, false, false)),
            (&[("content-type", "text/html")], (false, false, false)),
            (
                &[("content-type", "application/grpc")],
                (true, false, false),
            ),
            (
                &[("content-type", "text/event-stream")],
                (false, true, false),
            ),
            (&[("trailer", "x")], (false, false, true)),
            // Of two the first.
            (
                &[
                    ("content-type", "application/grpc"),
                    ("content-type", "text/html"),
                ],
                (true, false, false),
            ),
        ];
        for (headers, says) in cases {
            for others in [0, FEW + 1] {
                let mut response = Response::builder();
                for (name, value) in headers {
                    response = response.header(*name, *value);
                }
                for other in 0..others {
                    response = response.header(format!("x-{other}"), "x");
                }
                let response = response.body(()).unwrap();
                let head = Head::of(&response);
                let said = (head.grpc, head.event_stream, head.trailers);
                assert_eq!(said, says, "{headers:?} and {others} more");
            }
        }
    }

    #[test]
    fn an_overloaded_upstream_is_told_apart_from_a_broken_one() {
        let response = Response::builder()
            .status(503)
            .header(RETRY_AFTER, "5")
            .body(())
            .unwrap();
        assert_eq!(
            judge(&response),
            Judgement::Now(Outcome::Failure(FailureKind::Overloaded))
        );
    }

    #[test]
    fn a_marker_says_more_than_the_status() {
        let own = Response::builder()
            .status(503)
            .extension(Rejected::new("breaker", "circuit_open"));
        assert_eq!(
            judge(&own.body(()).unwrap()),
            Judgement::Now(Outcome::Ignored)
        );
        let late = Response::builder()
            .status(504)
            .extension(DeadlineExceeded::new());
        let expected = Judgement::Now(Outcome::Failure(FailureKind::Deadline));
        assert_eq!(judge(&late.body(()).unwrap()), expected);
    }

    #[test]
    fn a_grpc_failure_is_read_from_a_head_that_is_one_of_grpc() {
        let head = |content_type| {
            let response = Response::builder().header("content-type", content_type);
            judge(&response.header("grpc-status", "13").body(()).unwrap())
        };
        assert_eq!(
            head("application/grpc+proto"),
            Judgement::Now(Outcome::Failure(FailureKind::Answer))
        );
        assert_eq!(head("text/plain"), Judgement::AtEnd);
    }

    #[test]
    fn a_grpc_response_without_a_status_is_what_grpc_takes_its_http_status_for() {
        let unknown = Judgement::InTrailers(Outcome::Failure(FailureKind::Answer));
        let failed = Judgement::Now(Outcome::Failure(FailureKind::Answer));
        let cases = [
            (200, unknown),
            (400, unknown),
            (401, Judgement::AtEnd),
            (403, Judgement::AtEnd),
            (404, Judgement::AtEnd),
            (418, unknown),
            (429, Judgement::Now(Outcome::Ignored)),
            (500, failed),
            (502, failed),
            (503, failed),
            (504, failed),
        ];
        for (status, expected) in cases {
            let response = Response::builder().status(status);
            let response = response.header("content-type", "application/grpc");
            assert_eq!(judge(&response.body(()).unwrap()), expected, "{status}");
        }
    }

    #[test]
    fn a_grpc_status_in_the_head_says_more_than_the_status_of_http() {
        let head = |status: u16, grpc_status: &str| {
            let response = Response::builder()
                .status(status)
                .header("content-type", "application/grpc")
                .header("grpc-status", grpc_status);
            judge(&response.body(()).unwrap())
        };
        assert_eq!(head(200, "0"), Judgement::AtEnd);
        assert_eq!(head(503, "5"), Judgement::AtEnd);
        let overloaded = Judgement::Now(Outcome::Failure(FailureKind::Overloaded));
        assert_eq!(head(400, "14"), overloaded);
    }

    #[test]
    fn a_content_type_is_one_of_grpc_in_whatever_case() {
        let response = Response::builder().header("content-type", "Application/gRPC+proto");
        let unknown = Judgement::InTrailers(Outcome::Failure(FailureKind::Answer));
        assert_eq!(judge(&response.body(()).unwrap()), unknown);
    }

    #[test]
    fn the_status_of_grpc_web_is_not_looked_for_in_trailers() {
        for content_type in ["application/grpc-web+proto", "Application/gRPC-Web-text"] {
            let response = Response::builder().header("content-type", content_type);
            assert_eq!(judge(&response.body(()).unwrap()), Judgement::AtEnd);
            let response = Response::builder()
                .header("content-type", content_type)
                .header("grpc-status", "13");
            let failed = Judgement::Now(Outcome::Failure(FailureKind::Answer));
            assert_eq!(judge(&response.body(()).unwrap()), failed);
        }
    }

    #[test]
    fn what_follows_the_body_is_seen_among_few_headers_and_among_many() {
        for others in [0, FEW, 2 * FEW] {
            let mut response = Response::new(());
            for n in 0..others {
                let name = HeaderName::try_from(format!("x-{n}")).unwrap();
                response.headers_mut().insert(name, others.into());
            }
            let seen = |response: &Response<()>| {
                let head = Head::of(response);
                (head.grpc, head.trailers)
            };
            assert_eq!(seen(&response), (false, false));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, json);
            assert_eq!(seen(&response), (false, false));
            let sum = HeaderValue::from_static("x-checksum");
            response.headers_mut().insert(TRAILER, sum);
            assert_eq!(seen(&response), (false, true));
            let grpc = HeaderValue::from_static("application/grpc+proto");
            response.headers_mut().insert(CONTENT_TYPE, grpc);
            assert_eq!(seen(&response), (true, true));
            assert!(!Head::of(&response).event_stream);
            let events = HeaderValue::from_static("Text/Event-Stream; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, events);
            assert_eq!(seen(&response), (false, true));
            assert!(Head::of(&response).event_stream);
        }
    }

    #[test]
    fn a_grpc_failure_is_read_from_the_trailers() {
        let end = |status: &'static str| {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            ClassifyHttp::<Infallible>::end(&HttpStatus, Some(&trailers))
        };
        assert_eq!(end("13"), Outcome::Failure(FailureKind::Answer));
        assert_eq!(end("5"), Outcome::Success);
        for no_status in ["banana", "-1", "99", "00", ""] {
            let outcome = Outcome::Failure(FailureKind::Answer);
            assert_eq!(end(no_status), outcome, "{no_status}");
        }
    }
}
