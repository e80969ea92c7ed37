//! The ID as an argument of an axum handler.

use std::convert::Infallible;
use std::fmt;

use axum_core::extract::{FromRequestParts, OptionalFromRequestParts};
use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;

use crate::{ClientCorrelationId, CorrelationId};

/// No [`crate::CorrelationLayer`] is around the handler that asks for an ID: a `500`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingCorrelationId;

impl fmt::Display for MissingCorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "no correlation ID on this request, expected a CorrelationLayer around the handler",
        )
    }
}

impl std::error::Error for MissingCorrelationId {}

impl IntoResponse for MissingCorrelationId {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

/// The request's ID.
///
/// ```
/// use axum::{Router, routing::get};
/// use buttress_correlation::{CorrelationId, CorrelationLayer};
///
/// async fn handler(id: CorrelationId) -> String {
///     format!("find me as {id}")
/// }
///
/// let app: Router = Router::new()
///     .route("/", get(handler))
///     .layer(CorrelationLayer::default());
/// # drop(app);
/// ```
impl<S: Sync> FromRequestParts<S> for CorrelationId {
    type Rejection = MissingCorrelationId;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, MissingCorrelationId> {
        known(parts).ok_or(MissingCorrelationId)
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for CorrelationId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(known(parts))
    }
}

/// The ID that the client sent, if it sent a valid one and is not believed.
impl<S: Sync> OptionalFromRequestParts<S> for ClientCorrelationId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(parts.extensions.get().cloned())
    }
}

fn known(parts: &Parts) -> Option<CorrelationId> {
    parts
        .extensions
        .get()
        .cloned()
        .or_else(CorrelationId::current)
}
