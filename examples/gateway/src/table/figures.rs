//! Figures as the table and the lines show them: short, and a dash where nothing is known.

use std::time::Duration;

const UNKNOWN: &str = "–";

/// In seven characters at most, for what a person waits for.
pub(super) fn time(duration: Option<Duration>) -> String {
    let Some(duration) = duration else {
        return UNKNOWN.to_owned();
    };
    let millis = duration.as_secs_f64() * 1e3;
    match millis {
        ..9.95 => format!("{millis:.1} ms"),
        ..999.5 => format!("{millis:.0} ms"),
        ..99_950.0 => format!("{:.1} s", millis / 1e3),
        _ => format!("{:.0} s", millis / 1e3),
    }
}

/// Of 0 to 1.
pub(super) fn percent(ratio: Option<f64>) -> String {
    ratio.map_or_else(
        || UNKNOWN.to_owned(),
        |ratio| format!("{:.0}%", ratio * 100.0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_has_as_many_digits_as_matter_and_what_is_not_known_is_a_dash() {
        let time = |micros| time(Some(Duration::from_micros(micros)));
        assert_eq!(time(4_240), "4.2 ms");
        assert_eq!(time(9_960), "10 ms");
        assert_eq!(time(999_400), "999 ms");
        assert_eq!(time(999_600), "1.0 s");
        assert_eq!(time(250_000_000), "250 s");
        assert_eq!(super::time(None), "–");
        assert_eq!(percent(Some(0.995)), "100%");
        assert_eq!(percent(None), "–");
    }
}
