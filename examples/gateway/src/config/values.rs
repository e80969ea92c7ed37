//! Small parsers: what a person writes, into what the gateway uses.

use std::time::Duration;

use http::HeaderName;

use super::{PoolAffinity, Trust};
use crate::networks::Network;

/// Reads `10s`, `250ms`, `1m30s`; refuses zero and anything without a unit.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let total = duration_or_zero(text)?;
    if total.is_zero() {
        return Err(format!(
            "\"{text}\" is zero; it has to be longer, such as \"250ms\""
        ));
    }
    Ok(total)
}

/// As [`duration`], and `0s` is one as well.
pub(super) fn duration_or_zero(text: &str) -> Result<Duration, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a duration; write a number and a unit, such as \"10s\", \"250ms\" or \"1m30s\""
        )
    };
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let (digits, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        let count: u64 = digits.parse().map_err(|_| wrong())?;
        let part = match unit.trim() {
            "ms" => Duration::from_millis(count),
            "s" => Duration::from_secs(count),
            "m" => Duration::from_secs(count.saturating_mul(60)),
            "h" => Duration::from_secs(count.saturating_mul(3600)),
            _ => return Err(wrong()),
        };
        total = total.saturating_add(part);
        rest = after;
    }
    if total > MAX_DURATION {
        return Err(format!(
            "\"{text}\" is longer than a day; write at most \"24h\""
        ));
    }
    Ok(total)
}

/// Longer than any wait this gateway has a use for, and far from where clocks overflow.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

/// Reads whose IDs are believed: a word, or the networks that callers come from.
pub(super) fn trust(value: &toml::Value) -> Result<Trust, String> {
    let wrong = || {
        format!(
            "{value} is not known; write \"edge\", \"internal\" or {{ networks = [\"10.0.0.0/8\"] }}"
        )
    };
    match value {
        toml::Value::String(word) if word == "edge" => Ok(Trust::Edge),
        toml::Value::String(word) if word == "internal" => Ok(Trust::Internal),
        toml::Value::Table(table) if table.len() == 1 => {
            let networks = table.get("networks").and_then(toml::Value::as_array);
            let networks = networks.filter(|networks| !networks.is_empty());
            let read = networks.ok_or_else(wrong)?.iter().map(|network| {
                let text = network.as_str().ok_or_else(wrong)?;
                text.parse::<Network>()
            });
            read.collect::<Result<_, _>>().map(Trust::Networks)
        }
        _ => Err(wrong()),
    }
}

/// Reads `header:x-user`, `cookie:session` or `path`.
pub(super) fn affinity(text: &str) -> Result<PoolAffinity, String> {
    let problem = || {
        format!("\"{text}\" ties to nothing; write \"header:NAME\", \"cookie:NAME\" or \"path\"")
    };
    let is_token = |name: &str| name.parse::<HeaderName>().is_ok();
    match text.split_once(':') {
        None if text == "path" => Ok(PoolAffinity::Path),
        Some(("header", name)) => name
            .parse()
            .map(PoolAffinity::Header)
            .map_err(|_| problem()),
        // A cookie's name is a token, as that of a header is.
        Some(("cookie", name)) if is_token(name) => Ok(PoolAffinity::Cookie(name.to_owned())),
        _ => Err(problem()),
    }
}

/// Reads a number of bytes, alone or with `KiB`, `MiB`, `GiB`; `unlimited` is `None`.
pub(super) fn bytes(value: &toml::Value) -> Result<Option<u64>, String> {
    const RIGHT: &str = "write bytes (1048576), a size (\"10MiB\") or \"unlimited\"";
    let read = match value {
        toml::Value::Integer(count) => u64::try_from(*count).ok(),
        toml::Value::String(text) if text == "unlimited" => return Ok(None),
        toml::Value::String(text) => size(text),
        _ => None,
    };
    match read {
        Some(0) => Err("0 would refuse every body; write \"unlimited\" for no limit".to_owned()),
        Some(count) => Ok(Some(count)),
        None => Err(format!("{value} is not a size; {RIGHT}")),
    }
}

fn size(text: &str) -> Option<u64> {
    let (digits, unit) = split_where(text.trim(), |c| !c.is_ascii_digit());
    let scale: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(scale)
}

/// Names become metric labels, so they are short and plain.
pub(super) fn name(text: &str) -> Result<(), String> {
    let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_' || c == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(plain) {
        return Ok(());
    }
    Err(format!(
        "\"{text}\" is not a name; use 1 to 64 of a-z, 0-9, '_' and '-'"
    ))
}

/// Splits `host:port`, brackets around IPv6 kept; the port has to be there.
pub(super) fn host_port(text: &str) -> Result<(&str, u16), String> {
    let right = "write host:port, such as \"127.0.0.1:9001\"";
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| format!("\"{text}\" has no port; {right}"))?;
    let port = port
        .parse::<u16>()
        .map_err(|_| format!("\"{port}\" is not a port; a port is a number up to 65535"))?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    if host.is_empty() || !(bracketed || host.bytes().all(plain)) {
        return Err(format!("\"{text}\" is not an address; {right}"));
    }
    Ok((host, port))
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for wrong in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 parsecs",
            "0s",
            "99999999h",
            "10sx",
        ] {
            assert!(duration(wrong).is_err(), "{wrong:?} was read");
        }
        assert_eq!(duration_or_zero("0s"), Ok(Duration::ZERO));
        assert!(duration_or_zero("0").is_err());
    }

    #[test]
    fn sizes_are_bytes_or_units_and_unlimited_is_said_in_words() {
        let text = |s: &str| bytes(&toml::Value::String(s.to_owned()));
        assert_eq!(text("10MiB"), Ok(Some(10 << 20)));
        assert_eq!(text("unlimited"), Ok(None));
        assert_eq!(bytes(&toml::Value::Integer(7)), Ok(Some(7)));
        assert!(bytes(&toml::Value::Integer(0)).is_err());
        assert!(bytes(&toml::Value::Integer(-1)).is_err());
        assert!(text("99999999999999GiB").is_err());
        assert!(text("10MB").is_err());
    }

    #[test]
    fn names_are_fit_to_be_labels() {
        assert!(name("orders-v2_eu").is_ok());
        for wrong in ["", "Orders", "a b", "a\"b", &"a".repeat(65)] {
            assert!(name(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn addresses_need_a_host_and_a_port() {
        assert_eq!(host_port("[::1]:80"), Ok(("[::1]", 80)));
        assert_eq!(host_port("db.internal:5"), Ok(("db.internal", 5)));
        for wrong in [
            "127.0.0.1",
            ":80",
            "a:99999",
            "u@h:80",
            "http://h:80",
            "::1:80",
        ] {
            assert!(host_port(wrong).is_err(), "{wrong:?} was taken");
        }
    }
}
