//! A client of HTTP/2 that writes its frames itself, and may write what no library would.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::bounded;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Reasons of `RST_STREAM` and `GOAWAY`.
pub const PROTOCOL_ERROR: u32 = 1;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub struct Frames {
    pub reading: Reading,
    pub writing: Writing,
}

pub struct Reading(OwnedReadHalf);

pub struct Writing(OwnedWriteHalf);

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Four bytes of the payload, from `at`, as a number.
    pub fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// One field of a head, as a literal that is not indexed; shorter than 127 bytes each.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0, u8::try_from(name.len()).unwrap()];
    bytes.extend(name.as_bytes());
    bytes.push(u8::try_from(value.len()).unwrap());
    bytes.extend(value.as_bytes());
    bytes
}

/// The head of a request.
pub fn head(method: &str, path: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "http"),
        field(":authority", "a.example"),
        field(":path", path),
    ]
    .concat()
}

/// A whole request without a body.
pub fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &head("GET", "/"))
}

impl Frames {
    /// Connected, with the preface and empty settings sent.
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (reading, writing) = stream.into_split();
        let mut client = Self {
            reading: Reading(reading),
            writing: Writing(writing),
        };
        let preface = [
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            frame(SETTINGS, 0, 0, &[]),
        ];
        client.send(&preface.concat()).await;
        client
    }

    /// For who reads while another writes.
    pub fn split(self) -> (Reading, Writing) {
        (self.reading, self.writing)
    }

    /// Sends bytes; that the other end has closed is seen by whoever reads.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.writing.send(bytes).await;
    }

    /// The next frame for which `wanted` holds; `None` once the other end has closed.
    pub async fn next_where(&mut self, wanted: impl Fn(&Frame) -> bool) -> Option<Frame> {
        loop {
            let frame = self.reading.next().await?;
            if wanted(&frame) {
                return Some(frame);
            }
        }
    }

    /// The next frame of that kind.
    pub async fn next_of(&mut self, kind: u8) -> Option<Frame> {
        self.next_where(|frame| frame.kind == kind).await
    }
}

impl Writing {
    /// Sends bytes; that the other end has closed is seen by whoever reads.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.sends(bytes).await;
    }

    /// Whether the other end could still be sent that.
    pub async fn sends(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }
}

impl Reading {
    /// The next frame; `None` once the other end has closed.
    pub async fn next(&mut self) -> Option<Frame> {
        bounded("a frame", async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length as usize];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                flags: head[4],
                stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
                payload,
            })
        })
        .await
    }

    /// The reason of the `GOAWAY` that ends the connection; `None` if it was closed without one.
    pub async fn goes_away(&mut self) -> Option<u32> {
        let mut reason = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                reason = Some(frame.number(4));
            }
        }
        reason
    }
}
