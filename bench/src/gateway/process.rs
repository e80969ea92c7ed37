//! Processes that a comparison starts, each pinned, and each ended when its handle is dropped.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use super::cpu::{CpuClock, pin_to};
use crate::Error;

/// Longest wait for a process to listen.
const START: Duration = Duration::from_secs(10);

/// A listening process; dropping it kills it and waits for its end.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts `command` on `core`.
    ///
    /// A child inherits its parent's core, so this thread moves there for the start and then back
    /// to `home`: no thread of the child ever runs elsewhere.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        address: SocketAddr,
        core: usize,
        home: usize,
    ) -> Result<Self, Error> {
        pin_to(core)?;
        // The write end of `stdin` closes when this process ends, however it ends.
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        pin_to(home)?;
        let child = spawned.map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self {
            name,
            child,
            address,
        })
    }

    /// Waits until it accepts connections.
    pub(crate) async fn listening(&mut self) -> Result<(), Error> {
        timeout(START, self.connect())
            .await
            .map_err(|_| format!("{} does not listen on {} in time", self.name, self.address))?
    }

    /// Its CPU clock.
    pub(crate) fn cpu(&self) -> Result<CpuClock, Error> {
        CpuClock::of_process(self.child.id())
    }

    async fn connect(&mut self) -> Result<(), Error> {
        while TcpStream::connect(self.address).await.is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("{} ended before it listened: {status}", self.name).into());
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback port that was free a moment ago.
pub(crate) async fn free_address() -> Result<SocketAddr, Error> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?)
}
