//! Where connections come from, and what becomes of errors there.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// A source of connections; [`Listener`] in earnest, scripted in tests.
pub trait Accept: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection, or why there is none just now.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(Self::Io, SocketAddr)>>;

    /// Accepts nothing any more, and gives what had been made and not yet accepted: closing would
    /// reset it.
    fn close(&mut self) -> Vec<(Self::Io, SocketAddr)>;
}

/// A bound TCP listener.
#[derive(Debug)]
pub struct Listener {
    /// `None` once closed.
    listener: Option<TcpListener>,
    address: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes a free port, and [`Listener::address`] tells which.
    pub async fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |cause| BindError { address, cause };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        // What is accepted inherits it.
        drop(SockRef::from(&listener).set_tcp_keepalive(&keepalive()));
        let address = listener.local_addr().map_err(failed)?;
        let listener = Some(listener);
        Ok(Self { listener, address })
    }

    /// The address that is bound.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Accept for Listener {
    type Io = TcpStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let Some(listener) = &self.listener else {
            return Poll::Pending;
        };
        let (stream, peer) = ready!(listener.poll_accept(cx))?;
        // A connection already gone is found out when it is first read.
        drop(stream.set_nodelay(true));
        Poll::Ready(Ok((stream, peer)))
    }

    fn close(&mut self) -> Vec<(TcpStream, SocketAddr)> {
        // The runtime only knows what it was last told; the kernel's own queue is asked until it is
        // empty, and closed in the next breath.
        let listener = self.listener.take().map(TcpListener::into_std);
        let Some(Ok(listener)) = listener else {
            return Vec::new();
        };
        let backlog = backlog(|| listener.accept());
        drop(listener);
        backlog.into_iter().filter_map(adopt).collect()
    }
}

/// Ends, within two minutes, the connection of a host that vanished while nothing was on its way to it: one that waits for
/// nothing of it, as a tunnel may for hours, would not notice. What is on its way ends it as well, but later: the kernel
/// sends it again for a quarter of an hour or so, and asks nothing else meanwhile. `TCP_USER_TIMEOUT` would shorten that, and
/// would end with it clients that live and take nothing for as long.
const fn keepalive() -> TcpKeepalive {
    let probes = TcpKeepalive::new().with_time(Duration::from_secs(60));
    probes
        .with_interval(Duration::from_secs(15))
        .with_retries(4)
}

/// More than any queue of the kernel's holds: a flood may fill it as fast as it is emptied.
const MAX_BACKLOG: usize = 8192;

/// All that a queue holds, past those that broke while they waited in it.
fn backlog<T>(mut accept: impl FnMut() -> io::Result<T>) -> Vec<T> {
    let mut made = Vec::new();
    for _ in 0..MAX_BACKLOG {
        match accept() {
            Ok(connection) => made.push(connection),
            Err(error) if is_its_own(&error) => {}
            Err(_) => break,
        }
    }
    made
}

/// A connection that was accepted outside the runtime.
fn adopt((stream, peer): (std::net::TcpStream, SocketAddr)) -> Option<(TcpStream, SocketAddr)> {
    stream.set_nonblocking(true).ok()?;
    drop(stream.set_nodelay(true));
    Some((TcpStream::from_std(stream).ok()?, peer))
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    cause: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, cause } = self;
        let advice = match cause.kind() {
            io::ErrorKind::AddrInUse => {
                "another process listens there; stop it, or choose another address"
            }
            io::ErrorKind::PermissionDenied => "choose a port from 1024 up, or grant the right",
            io::ErrorKind::AddrNotAvailable => "no interface of this machine has that address",
            _ => "choose another address",
        };
        write!(f, "cannot listen on {address}: {cause}; {advice}")
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

/// How long to leave accepting alone when the process has run out of something.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Lives through an accept error: one connection's own is nothing, a lack of descriptors or memory
/// is waited out while connections in flight give some back.
pub(super) async fn survive(error: &io::Error) {
    if is_its_own(error) {
        return;
    }
    tracing::warn!(%error, "cannot accept, trying again shortly");
    tokio::time::sleep(BACK_OFF).await;
}

/// Whether an error is one connection's, and says nothing of the next.
fn is_its_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn the_kernel_asks_whether_the_client_of_a_connection_is_still_there() {
        let mut listener = Listener::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        let _client = TcpStream::connect(listener.address()).await.unwrap();
        let accepted = std::future::poll_fn(|cx| listener.poll_accept(cx)).await;
        let (accepted, _) = accepted.unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap().as_secs(), 60);
    }

    #[test]
    fn a_connection_that_broke_in_the_queue_does_not_lose_those_behind_it() {
        let mut queue = [
            Ok(1),
            Err(io::ErrorKind::ConnectionAborted),
            Err(io::ErrorKind::Interrupted),
            Ok(2),
            Err(io::ErrorKind::WouldBlock),
            Ok(3),
        ]
        .into_iter();
        let next = || {
            let next = queue.next().unwrap_or(Err(io::ErrorKind::WouldBlock));
            next.map_err(io::Error::from)
        };
        assert_eq!(backlog(next), [1, 2]);
    }

    #[test]
    fn a_flood_does_not_keep_it_from_closing() {
        assert_eq!(backlog(|| Ok(())).len(), MAX_BACKLOG);
        let endless = || Err::<(), _>(io::ErrorKind::ConnectionAborted.into());
        assert!(backlog(endless).is_empty());
    }
}
