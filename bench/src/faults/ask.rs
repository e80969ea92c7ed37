//! The users: each asks once, over a connection that is free or new, and gives up after a while.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::origin::FROM;
use crate::Error;

/// How long a user waits.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a user got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// `None` where there was none in time.
    pub(super) status: Option<StatusCode>,
    /// The origin that answered.
    pub(super) origin: Option<usize>,
}

impl Answer {
    const NONE: Self = Self {
        status: None,
        origin: None,
    };

    pub(super) fn is_good(self) -> bool {
        self.status == Some(StatusCode::OK)
    }
}

type Connection = SendRequest<Empty<Bytes>>;

/// The connections of all users to the gateway.
#[derive(Debug)]
pub(super) struct Users {
    gateway: SocketAddr,
    method: Method,
    free: Mutex<Vec<Connection>>,
}

impl Users {
    pub(super) fn new(gateway: SocketAddr, method: Method) -> Self {
        Self {
            gateway,
            method,
            free: Mutex::new(Vec::new()),
        }
    }

    /// Asks once. Whoever gives up closes the connection.
    pub(super) async fn ask(&self) -> Answer {
        match timeout(PATIENCE, self.exchange()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Answer::NONE,
        }
    }

    async fn exchange(&self) -> Result<Answer, Error> {
        let mut connection = match self.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        connection.ready().await?;
        let request = Request::builder()
            .method(self.method.clone())
            .header("host", self.gateway.to_string())
            .body(Empty::new())?;
        let response = connection.send_request(request).await?;
        let answer = Answer {
            status: Some(response.status()),
            origin: origin_of(&response),
        };
        response.into_body().collect().await?;
        self.put(connection);
        Ok(answer)
    }

    async fn connect(&self) -> Result<Connection, Error> {
        let stream = TcpStream::connect(self.gateway).await?;
        stream.set_nodelay(true)?;
        let (connection, task) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(task);
        Ok(connection)
    }

    fn take(&self) -> Option<Connection> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(connection) = free.pop() {
            if !connection.is_closed() {
                return Some(connection);
            }
        }
        None
    }

    fn put(&self, connection: Connection) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(connection);
    }
}

fn origin_of(response: &Response<Incoming>) -> Option<usize> {
    response.headers().get(FROM)?.to_str().ok()?.parse().ok()
}
