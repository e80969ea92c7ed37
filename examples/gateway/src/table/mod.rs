//! What the gateway is doing, live in the terminal, or as plain lines where there is none.

mod figures;
mod lines;
mod palette;
mod picture;
mod view;
mod words;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::body::now;
use palette::Palette;

pub use view::{EndpointRow, RouteRow, View, Viewer};

/// How often the table is drawn anew.
const REDRAW: Duration = Duration::from_millis(500);
/// How often plain lines are written.
const LINES_EVERY: Duration = Duration::from_secs(5);

/// Whether there is a terminal to draw a table in.
pub fn is_live() -> bool {
    let draws = std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    draws && io::stdout().is_terminal()
}

/// Shows what `viewer` sees until the future is dropped: a table that is drawn over itself in a
/// terminal, a few lines from time to time elsewhere.
pub async fn show(viewer: Viewer) {
    let live = is_live();
    let palette = Palette::chosen(std::env::var_os("NO_COLOR").as_deref());
    let mut tick = if live {
        tokio::time::interval(REDRAW)
    } else {
        // Before that there is nothing to tell.
        tokio::time::interval_at(now() + LINES_EVERY, LINES_EVERY)
    };
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let view = viewer.look();
        let text = if live {
            picture::draw(&view, palette)
        } else {
            lines::write(&view)
        };
        // A terminal that is gone is no reason to stop serving.
        let mut out = io::stdout().lock();
        drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
    }
}
