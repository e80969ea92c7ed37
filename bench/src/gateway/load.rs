//! The load: a closed loop of keep-alive connections, written and read by hand so that it costs
//! little beside the proxy.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::origin::BODY_BYTES;
use crate::Error;

/// No proxy worth measuring serves fewer requests a second than this; a slower one is stuck.
const SLOWEST_PER_SECOND: u64 = 500;

/// Largest head of a response.
const MAX_HEAD: usize = 4096;

/// Connections that ask again as soon as they are answered.
#[derive(Debug)]
pub(super) struct Load {
    connections: Vec<Connection>,
}

impl Load {
    /// Connects to a proxy.
    pub(super) async fn connect(address: SocketAddr, connections: usize) -> Result<Self, Error> {
        let mut open = Vec::with_capacity(connections);
        for _ in 0..connections {
            open.push(Connection::open(address).await?);
        }
        Ok(Self { connections: open })
    }

    /// Sends `requests` requests, spread evenly, and waits for all answers.
    pub(super) async fn send(&mut self, requests: u64) -> Result<(), Error> {
        let limit = Duration::from_secs(10 + requests / SLOWEST_PER_SECOND);
        timeout(limit, self.send_all(requests))
            .await
            .map_err(|_| format!("{requests} requests are not answered within {limit:?}"))?
    }

    async fn send_all(&mut self, requests: u64) -> Result<(), Error> {
        let count = self.connections.len() as u64;
        let mut running = JoinSet::new();
        for (index, mut connection) in (0..).zip(self.connections.drain(..)) {
            let share = requests / count + u64::from(index < requests % count);
            running.spawn(async move {
                for _ in 0..share {
                    connection.exchange().await?;
                }
                Ok::<_, Error>(connection)
            });
        }
        while let Some(finished) = running.join_next().await {
            self.connections.push(finished??);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!(
            "GET /compare HTTP/1.1\r\nhost: {address}\r\nuser-agent: compare\r\naccept: */*\r\n\r\n"
        );
        Ok(Self {
            stream,
            request: request.into_bytes(),
            buffer: Vec::with_capacity(MAX_HEAD + BODY_BYTES),
        })
    }

    /// Asks once and reads the whole answer; its head stays in the buffer.
    async fn exchange(&mut self) -> Result<(), Error> {
        self.stream.write_all(&self.request).await?;
        self.buffer.clear();
        let head = self.read_head().await?;
        let whole = head.length + head.body;
        while self.buffer.len() < whole {
            self.read_more().await?;
        }
        if self.buffer.len() > whole || head.body != BODY_BYTES {
            return Err(format!("a body of {} bytes instead of {BODY_BYTES}", head.body).into());
        }
        Ok(())
    }

    async fn read_head(&mut self) -> Result<Head, Error> {
        loop {
            self.read_more().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                return Ok(head);
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(format!("the head of a response is over {MAX_HEAD} bytes").into());
            }
        }
    }

    async fn read_more(&mut self) -> Result<(), Error> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err("the proxy closed a connection before its answer was whole".into()),
            _ => Ok(()),
        }
    }
}

/// What has to be known of a response's head: where it ends, and how long its body is.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    length: usize,
    body: usize,
}

impl Head {
    /// `None` while the head is not whole; an error for every answer but `200` with a length.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        if !status.starts_with("HTTP/1.1 200") {
            return Err(format!("the proxy answered {status:?} instead of 200").into());
        }
        let body = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .ok_or("the proxy's answer has no content-length")?
            .1;
        Ok(Some(Self {
            length: end + 4,
            body: body.trim().parse()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_only_when_it_is_whole() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nseven";
        assert_eq!(
            Head::parse(whole).unwrap(),
            Some(Head {
                length: 38,
                body: 7
            })
        );
        assert_eq!(Head::parse(&whole[..37]).unwrap(), None);
    }

    #[test]
    fn an_answer_that_is_no_success_fails_the_run() {
        assert!(Head::parse(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
