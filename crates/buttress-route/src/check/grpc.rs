//! The health protocol of gRPC: `grpc.health.v1.Health/Check`.
//!
//! Two messages of one field each, written and read here: a string with number 1 in the request, an enum
//! with number 1 in the answer.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use buttress_core::config::ConfigError;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use tower_service::Service;

use super::kind::{Check, CheckFailed};
use super::read::{read, send};

const PATH: &str = "/grpc.health.v1.Health/Check";
const GRPC_STATUS: &str = "grpc-status";
/// An answer is a few bytes; more is none.
const LARGEST_ANSWER: usize = 4 << 10;
/// `ServingStatus`.
const SERVING: u64 = 1;
/// Before each message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// Asks an endpoint by gRPC's health protocol, sent through its own service, whose request body is `B`
/// and which speaks HTTP/2. It passes if the service is `SERVING`.
pub struct GrpcCheck<B> {
    service: Cow<'static, str>,
    target: Uri,
    body: PhantomData<fn() -> B>,
}

impl<B> GrpcCheck<B> {
    /// Asks for the server as a whole, of `authority`, such as `orders.internal:50051`. It is what the
    /// request names as its target; who connects is the endpoint's service.
    pub fn new(authority: &str) -> Result<Self, ConfigError> {
        let target = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query(PATH)
            .build();
        let target = target.map_err(|error| {
            ConfigError::new(
                "authority",
                format!("`{authority}` is no authority: {error}"),
            )
        })?;
        Ok(Self {
            service: Cow::Borrowed(""),
            target,
            body: PhantomData,
        })
    }

    /// Asks for this service of it, such as `shop.Orders`.
    #[must_use]
    pub fn service(mut self, service: impl Into<Cow<'static, str>>) -> Self {
        self.service = service.into();
        self
    }

    fn request(&self) -> Request<B>
    where
        B: From<Bytes>,
    {
        let mut request = Request::new(frame(&message(&self.service)).into());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.target.clone();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        request
    }
}

impl<S, B, R> Check<S> for GrpcCheck<B>
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
        match &*self.service {
            "" => Cow::Borrowed("grpc"),
            service => format!("grpc {service}").into(),
        }
    }

    async fn check(&self, _: &Arc<str>, service: S) -> Result<(), CheckFailed> {
        let response = send(service, self.request()).await?;
        if response.status() != StatusCode::OK {
            let problem = format!("status {}; gRPC answers 200", response.status().as_u16());
            return Err(CheckFailed::new(problem));
        }
        // An answer without a message may have its trailers among its headers.
        let head = response.headers().clone();
        let read = read(response.into_body(), LARGEST_ANSWER).await?;
        let status = grpc_status(&read.trailers).or_else(|| grpc_status(&head));
        match status {
            Some("0") => {}
            Some(code) => return Err(CheckFailed::new(format!("grpc-status {code}"))),
            None => return Err(CheckFailed::new("the answer ended without a grpc-status")),
        }
        judge(&read.bytes)
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<&str> {
    headers.get(GRPC_STATUS)?.to_str().ok()
}

fn judge(body: &[u8]) -> Result<(), CheckFailed> {
    let message = unframed(body)
        .ok_or_else(|| CheckFailed::new("the answer is no whole, uncompressed message of gRPC"))?;
    let status = serving_status(message)
        .ok_or_else(|| CheckFailed::new("the answer is no HealthCheckResponse"))?;
    if status == SERVING {
        return Ok(());
    }
    let name = match status {
        0 => "UNKNOWN",
        2 => "NOT_SERVING",
        3 => "SERVICE_UNKNOWN",
        _ => "a status that is not known",
    };
    Err(CheckFailed::new(format!("{name}; expected SERVING")))
}

/// A `HealthCheckRequest`.
fn message(service: &str) -> BytesMut {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    message
}

fn frame(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(message);
    frame.freeze()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "seven bits are taken at a time, and less than 128 is left"
)]
fn put_varint(into: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        into.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    into.put_u8(value as u8);
}

/// The one message of an answer.
fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = prefix else {
        return None;
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (rest.len() == length).then_some(rest)
}

/// The status of a `HealthCheckResponse`; 0 where it says none. `None` if it is no message.
fn serving_status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let key = varint(&mut message)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut message)?,
            // Fields that are not known are passed over, by what their wire type says.
            (_, 0) => {
                varint(&mut message)?;
            }
            (_, 1) => message = message.get(8..)?,
            (_, 2) => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                message = message.get(length..)?;
            }
            (_, 5) => message = message.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

impl<B> Clone for GrpcCheck<B> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            target: self.target.clone(),
            body: PhantomData,
        }
    }
}

impl<B> fmt::Debug for GrpcCheck<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcCheck")
            .field("service", &self.service)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_request_is_what_the_protocol_says() {
        assert_eq!(&frame(&message(""))[..], [0, 0, 0, 0, 0]);
        let asked = frame(&message("a.B"));
        assert_eq!(&asked[..], [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
        let long = "x".repeat(300);
        assert_eq!(message(&long)[..3], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_serving_passes() {
        let answers: [(&[u8], &str); 8] = [
            (&[0, 0, 0, 0, 2, 8, 1], ""),
            (&[0, 0, 0, 0, 0], "UNKNOWN"),
            (&[0, 0, 0, 0, 2, 8, 2], "NOT_SERVING"),
            (&[0, 0, 0, 0, 2, 8, 3], "SERVICE_UNKNOWN"),
            // A field that is not known comes first.
            (&[0, 0, 0, 0, 5, 0x12, 1, 0, 8, 1], ""),
            (&[1, 0, 0, 0, 2, 8, 1], "uncompressed"),
            (&[0, 0, 0, 0, 3, 8, 1], "whole"),
            (&[0, 0, 0, 0, 2, 8, 0x80], "HealthCheckResponse"),
        ];
        for (answer, problem) in answers {
            match judge(answer) {
                Ok(()) => assert_eq!(problem, "", "{answer:?}"),
                Err(error) => assert!(
                    !problem.is_empty() && error.to_string().contains(problem),
                    "{answer:?}: {error}"
                ),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = judge(&bytes);
            let _ = judge(&frame(&bytes));
        }

        #[test]
        fn a_number_is_read_as_it_was_written(value: u64) {
            let mut bytes = BytesMut::new();
            put_varint(&mut bytes, value);
            let mut rest = &bytes[..];
            prop_assert_eq!(varint(&mut rest), Some(value));
            prop_assert!(rest.is_empty());
        }
    }
}
