//! A check that connects, and no more.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::kind::{Check, CheckFailed};

/// Opens a TCP connection to the endpoint, whose identity has to be `host:port`, and closes it.
///
/// It shows that somebody listens. Who accepts and never answers passes: where the endpoint speaks HTTP,
/// [`super::HttpCheck`] sees more.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct TcpCheck;

impl TcpCheck {
    /// A check that connects.
    pub const fn new() -> Self {
        Self
    }
}

impl<S: Send> Check<S> for TcpCheck {
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("tcp")
    }

    async fn check(&self, id: &Arc<str>, _: S) -> Result<(), CheckFailed> {
        match TcpStream::connect(&**id).await {
            Ok(_) => Ok(()),
            Err(error) => Err(CheckFailed::because("no connection", &error)),
        }
    }
}
