//! Ctrl-C, SIGTERM and SIGHUP.

#[cfg(unix)]
use std::io::{IsTerminal as _, stderr};

use super::drain::{Drain, Phase};

/// Ends the process gently: `drain` leaves for its next phase on Ctrl-C and, where there is one,
/// SIGTERM. A second signal cuts everything short. SIGHUP, by which others are told to read their configuration again, ends
/// nothing, unless the terminal is gone that the process talks to.
pub async fn drain_on_signal(mut signals: Signals, drain: Drain) {
    signals.next().await;
    tracing::info!("draining; a second signal ends at once");
    drain.start();
    signals.next().await;
    drain.advance(Phase::Cut);
}

/// The signals that end the process, heard from when this is made.
#[derive(Debug)]
pub struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hangup: tokio::signal::unix::Signal,
    #[cfg(unix)]
    in_terminal: bool,
}

impl Signals {
    /// Begins to listen: from here on a signal no longer ends the process by itself.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            in_terminal: stderr().is_terminal(),
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => {
                    if self.in_terminal {
                        return;
                    }
                    tracing::warn!(
                        "SIGHUP changes nothing: the configuration is read at the start alone; what can be changed is at /settings of the admin listener"
                    );
                }
            }
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "the Unix form can fail")]
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        drop(tokio::signal::ctrl_c().await);
    }
}
