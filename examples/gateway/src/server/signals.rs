//! Ctrl-C and SIGTERM.

use super::drain::{Drain, Phase};

/// Ends the process gently: `drain` leaves for its next phase on Ctrl-C and, where there is one,
/// SIGTERM. A second signal cuts everything short.
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
}

impl Signals {
    /// Begins to listen: from here on a signal no longer ends the process by itself.
    #[cfg(unix)]
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
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
