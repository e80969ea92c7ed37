//! The table, drawn over itself. It fits into eighty columns.

use std::fmt::{self, Write as _};
use std::iter::once;

use super::figures::{percent, time};
use super::palette::Palette;
use super::view::{EndpointRow, RouteRow, View};

/// To the upper left.
const BEGIN: &str = "\x1b[H";
/// What was there before goes, and only then: a screen that is cleared first flickers. In the last column it would take the
/// last character with it, so no line of the table goes that far.
const END_OF_LINE: &str = "\x1b[K\n";
const END: &str = "\x1b[J";

/// Cells of a full bar.
const BAR: usize = 7;
/// A cell from its first eighth to its last but one.
const EIGHTHS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// Room for the figures of a time.
const TIME: usize = 7;

/// One frame.
pub(super) fn draw(view: &View, palette: Palette) -> String {
    let mut table = Table {
        text: String::new(),
        names: widest_name(view),
        palette,
    };
    // Writing to a string cannot fail.
    let _ = table.write(view);
    format!("{BEGIN}{}{END}", table.text.replace('\n', END_OF_LINE))
}

/// Of both tables, so that their figures stand below each other.
fn widest_name(view: &View) -> usize {
    let endpoints = view.endpoints.iter().map(|row| &*row.name);
    let names = endpoints.chain(view.routes.iter().map(|row| &*row.name));
    let widths = names.chain(once("ENDPOINT")).map(|it| it.chars().count());
    widths.max().unwrap_or_default()
}

struct Table {
    text: String,
    names: usize,
    palette: Palette,
}

impl Table {
    fn write(&mut self, view: &View) -> fmt::Result {
        self.head(view)?;
        self.endpoints(&view.endpoints)?;
        self.routes(&view.routes)?;
        let Palette { dim, plain, .. } = self.palette;
        let text = &mut self.text;
        writeln!(
            text,
            "\n{dim}COST: how long a good answer takes there now; where it is less, more is sent{plain}"
        )?;
        writeln!(text, "\n{dim}last verdict{plain}  {}", view.last)
    }

    fn head(&mut self, view: &View) -> fmt::Result {
        let Palette {
            bold, dim, plain, ..
        } = self.palette;
        let text = &mut self.text;
        let (proxy, admin) = (view.proxy, view.admin);
        writeln!(
            text,
            "{bold}buttress{plain}  proxy http://{proxy}  admin http://{admin}"
        )?;
        match view.traffic {
            Some((good, bad)) => write!(text, "{dim}own traffic{plain}  {good} good, {bad} bad")?,
            None => write!(text, "{dim}traffic is yours{plain}  curl -i http://{proxy}")?,
        }
        let how = if view.ending {
            "waits for what is in flight; Ctrl-C ends"
        } else {
            "Ctrl-C ends"
        };
        writeln!(text, "   {dim}{how}{plain}\n")
    }

    fn endpoints(&mut self, rows: &[EndpointRow]) -> fmt::Result {
        let (Palette { dim, plain, .. }, names) = (self.palette, self.names);
        writeln!(
            self.text,
            "{dim}{:<names$} {:<12} {:<BAR$} {:>4} {:>4}{:>TIME$}{:>TIME$}{:>TIME$}{plain}",
            "ENDPOINT", "STATE", "SHARE", "", "GOOD", "COST", "P50", "P99"
        )?;
        for row in rows {
            self.endpoint(row)?;
        }
        Ok(())
    }

    fn endpoint(&mut self, row: &EndpointRow) -> fmt::Result {
        let (palette, names) = (self.palette, self.names);
        let (p50, p99) = row.quantiles;
        let mut state = row.state.to_owned();
        if let Some(wait) = row.retry_after {
            write!(state, " {:.0} s", wait.as_secs_f64().ceil())?;
        }
        writeln!(
            self.text,
            "{:<names$} {}{state:<12}{} {} {:>4} {:>4}{:>TIME$}{:>TIME$}{:>TIME$}",
            row.name,
            palette.of_state(row.state),
            palette.plain,
            bar(row.share, palette),
            percent(Some(row.share)),
            percent(row.success),
            time(row.cost),
            time(p50),
            time(p99),
        )
    }

    fn routes(&mut self, rows: &[RouteRow]) -> fmt::Result {
        let (palette, names) = (self.palette, self.names);
        writeln!(
            self.text,
            "\n{}{:<names$} {:<12} {:>7} {:>9}{:>TIME$}{:>TIME$}{:>TIME$}{}",
            palette.dim, "ROUTE", "BREAKER", "REQ/S", "REJECTED", "", "P50", "P99", palette.plain
        )?;
        for row in rows {
            let (p50, p99) = row.quantiles;
            writeln!(
                self.text,
                "{:<names$} {}{:<12}{} {:>7.1} {:>9}{:>TIME$}{:>TIME$}{:>TIME$}",
                row.name,
                palette.of_state(row.breaker),
                row.breaker,
                palette.plain,
                row.rate,
                row.rejected,
                "",
                time(p50),
                time(p99),
            )?;
        }
        Ok(())
    }
}

fn bar(share: f64, palette: Palette) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 8 * BAR"
    )]
    let eighths = (share.clamp(0.0, 1.0) * (8 * BAR) as f64).round() as usize;
    let part = (eighths % 8).checked_sub(1).and_then(|it| EIGHTHS.get(it));
    let filled = eighths / 8 + usize::from(part.is_some());
    format!(
        "{}{}{}{}{}",
        "█".repeat(eighths / 8),
        part.unwrap_or(&""),
        palette.dim,
        "·".repeat(BAR.saturating_sub(filled)),
        palette.plain,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::view::tests::view;

    fn shown(view: &View) -> Vec<String> {
        let frame = draw(view, Palette::NONE);
        let text = frame.strip_prefix(BEGIN).unwrap();
        let text = text.strip_suffix(END).unwrap();
        text.split(END_OF_LINE).map(str::to_owned).collect()
    }

    #[test]
    fn a_frame_is_a_table_of_eighty_columns() {
        let table = [
            "buttress  proxy http://127.0.0.1:8080  admin http://127.0.0.1:8081",
            "own traffic  1169 good, 1 bad   Ctrl-C ends",
            "",
            "ENDPOINT                   STATE        SHARE        GOOD   COST    P50    P99",
            "steady 127.0.0.1:9001      active       ██████▊  97% 100% 6.9 ms 3.1 ms 9.0 ms",
            "turns-slow 127.0.0.1:9002  active       ·······   0%    – 311 ms      –      –",
            "turns-flaky 127.0.0.1:9003 ejected 2 s  ▎······   3%  20%      –      –      –",
            "",
            "ROUTE                      BREAKER        REQ/S  REJECTED           P50    P99",
            "demo                       closed          60.0         0        4.2 ms      –",
            "",
            "COST: how long a good answer takes there now; where it is less, more is sent",
            "",
            "last verdict  turns-flaky 127.0.0.1:9003 is out for 2.0 s: it failed a probe",
            "",
        ];
        let lines = shown(&view());
        assert_eq!(lines, table, "\n{}", lines.join("\n"));
        let port = |name: &str| format!("{name} 127.0.0.1:65535");
        let mut view = view();
        for row in &mut view.endpoints {
            row.name = port("turns-flaky");
        }
        for line in shown(&view) {
            assert!(line.chars().count() < 80, "{line}");
        }
    }

    #[test]
    fn a_frame_is_drawn_over_the_one_before_and_clears_what_is_left_of_it() {
        let frame = draw(&view(), Palette::chosen(None));
        assert!(frame.starts_with(BEGIN) && frame.ends_with(END));
        assert!(
            frame
                .lines()
                .all(|line| line.ends_with("\x1b[K") || line == END)
        );
    }

    #[test]
    fn colours_say_nothing_that_words_do_not_and_may_be_refused() {
        let no_color = |said: &str| draw(&view(), Palette::chosen(Some(said.as_ref())));
        assert!(!no_color("1").contains("\x1b[3") && !no_color("1").contains("\x1b[1m"));
        assert!(no_color("").contains("\x1b[32mactive"));
        let plain = Palette::chosen(None);
        assert_ne!(plain.of_state("ejected"), plain.of_state("doubted"));
    }

    #[test]
    fn who_waits_for_the_end_is_told_what_is_waited_for() {
        let ending = View {
            ending: true,
            traffic: None,
            ..view()
        };
        assert_eq!(
            shown(&ending)[1],
            "traffic is yours  curl -i http://127.0.0.1:8080   waits for what is in flight; Ctrl-C ends"
        );
    }
}
