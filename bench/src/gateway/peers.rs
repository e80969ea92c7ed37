//! What a proxy talks to: the origin, and how wide awake both of its peers are.
//!
//! A proxy that writes to a process asleep pays for waking it, and the slower the proxy, the more
//! often its peers have fallen asleep. As a process of its own the origin sleeps like any server.
//! Kept awake, origin and load share one thread that never sleeps, and what is left is the CPU time
//! of the proxy alone.

use std::net::SocketAddr;
use std::process::Command;

use tokio::task::{JoinHandle, yield_now};

use super::cpu::Cores;
use super::process::{Process, free_address};
use super::{origin, part};
use crate::Error;

/// The origin, which ends when dropped.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    _server: Server,
}

#[derive(Debug)]
enum Server {
    Asleep {
        _process: Process,
    },
    Awake {
        task: JoinHandle<()>,
        spin: JoinHandle<()>,
    },
}

impl Origin {
    /// A process on the load's core, which sleeps while it has nothing to do.
    pub(super) async fn asleep(cores: Cores) -> Result<Self, Error> {
        let address = free_address().await?;
        let mut command: Command = part("origin")?;
        command.arg(address.to_string());
        let mut process =
            Process::start("the origin", &mut command, address, cores.load, cores.load)?;
        process.listening().await?;
        Ok(Self {
            address,
            _server: Server::Asleep { _process: process },
        })
    }

    /// A task beside the load, on a thread that from now on never sleeps.
    pub(super) async fn awake() -> Result<Self, Error> {
        let address = free_address().await?;
        let task = tokio::spawn(async move {
            // It ends only where it cannot listen, and then no proxy answers 200.
            let _ = origin::serve(address).await;
        });
        let spin = tokio::spawn(async {
            loop {
                yield_now().await;
            }
        });
        Ok(Self {
            address,
            _server: Server::Awake { task, spin },
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Awake { task, spin } = self {
            task.abort();
            spin.abort();
        }
    }
}
