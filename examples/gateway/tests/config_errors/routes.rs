//! Routes that make no sense.

use std::time::Duration;

use buttress_gateway::config::Config;

use super::{POOL, ROUTE, problem};

#[test]
fn a_route_leads_somewhere_and_differs_from_the_others() {
    let table = [
        ("name = \"s\"", 8, "route.s.pool", "needs a pool"),
        (
            "name = \"s\"\npool = \"q\"",
            10,
            "route.s.pool",
            "there are: \"p\"",
        ),
        (
            "name = \"S\"\npool = \"p\"",
            9,
            "route[1].name",
            "not a name",
        ),
        ("pool = \"p\"", 8, "route[1].name", "needs a name"),
        (
            "name = \"r\"\npool = \"p\"",
            9,
            "route[1].name",
            "came before",
        ),
        (
            "name = \"s\"\npool = \"p\"\npath_prefix = \"s\"",
            11,
            "route.s.path_prefix",
            "\"/orders\"",
        ),
        (
            "name = \"s\"\npool = \"p\"\nhost = \"http://a\"",
            11,
            "route.s.host",
            "without scheme",
        ),
        (
            "name = \"s\"\npool = \"p\"\nhost = \"a..\"",
            11,
            "route.s.host",
            "without scheme",
        ),
        (
            "name = \"s\"\npool = \"p\"\npath_prefix = \"/r/\"",
            11,
            "route[1].path_prefix",
            "same host",
        ),
        (
            "name = \"s\"\npool = \"p\"\nbreaker.failure_rate = { ratio = 0.0 }",
            11,
            "route.s.breaker.failure_rate.ratio",
            "above 0",
        ),
        (
            "name = \"s\"\npool = \"p\"\nmirror = {}",
            11,
            "route.s.mirror.pool",
            "needs a pool",
        ),
        (
            "name = \"s\"\npool = \"p\"\nmirror = { pool = \"p\" }",
            11,
            "route.s.mirror.pool",
            "another pool",
        ),
        (
            "name = \"s\"\npool = \"p\"\nmirror = { pool = \"q\" }",
            11,
            "route.s.mirror.pool",
            "no pool \"q\"",
        ),
        (
            "name = \"s\"\npool = \"p\"\nsplit = { steps = [1.0] }",
            11,
            "route.s.split.canary",
            "needs a pool",
        ),
        (
            "name = \"s\"\npool = \"p\"\nsplit = { canary = \"p\" }",
            11,
            "route.s.split.canary",
            "another pool",
        ),
        (
            "name = \"s\"\npool = \"p\"\n[route.split]\ncanary = \"q\"",
            12,
            "route.s.split.canary",
            "no pool \"q\"",
        ),
    ];
    for (text, line, key, word) in table {
        let text = format!("{POOL}{ROUTE}path_prefix = \"/r\"\n[[route]]\n{text}\n");
        let (at, of, message) = problem(&text);
        assert_eq!((at, of.as_str()), (Some(line), key), "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn a_split_that_makes_no_sense_is_refused_by_its_key() {
    let second = POOL.replace("\"p\"", "\"q\"");
    for (keys, key, word) in [
        ("steps = [0.5, 0.1]", "steps", "rise"),
        ("steps = []", "steps", "shares"),
        ("steps = [1.5]", "steps", "shares"),
        ("key = \"session\"", "key", "cookie:NAME"),
        ("step_for = \"soon\"", "step_for", "duration"),
        ("min_calls = 0", "min_calls", "count"),
        ("window = \"5ms\"", "window", "1s or more"),
        ("significance = 1.0", "significance", "2"),
        ("above = 1.5", "above", "ratio"),
        ("min_failures = 0", "min_failures", "count"),
        ("late_after = \"0s\"", "late_after", "zero"),
        ("until = 3", "until", "is no key here"),
    ] {
        let text = format!("{POOL}{second}{ROUTE}[route.split]\ncanary = \"q\"\n{keys}\n");
        let (line, of, message) = problem(&text);
        assert!(of.ends_with(&format!("split.{key}")), "{of}: {message}");
        assert!(line.is_some() && message.contains(word), "{of}: {message}");
    }
}

#[test]
fn an_upgrade_that_makes_no_sense_or_would_smuggle_requests_is_refused() {
    let second = POOL.replace("\"p\"", "\"q\"");
    let http2 = format!("{POOL}protocol = \"h2\"\n");
    let canary = format!("{POOL}{second}protocol = \"h2\"\n");
    for (pools, keys, key, word) in [
        (POOL, "upgrade = [\"web socket\"]", "upgrade", "websocket"),
        (POOL, "upgrade = [\"\"]", "upgrade", "websocket"),
        (POOL, "upgrade = [\"chat/\"]", "upgrade", "websocket"),
        (POOL, "upgrade = [\"a, b\"]", "upgrade", "websocket"),
        (
            POOL,
            "upgrade = [\"WebSocket\"]",
            "upgrade",
            "\"websocket\"",
        ),
        (POOL, "upgrade = [\"h2c\"]", "upgrade", "past the gateway's"),
        (
            POOL,
            "upgrade = [\"h2c-14\"]",
            "upgrade",
            "past the gateway's",
        ),
        (
            POOL,
            "upgrade = [\"https\"]",
            "upgrade",
            "past the gateway's",
        ),
        (POOL, "upgrade = [\"*\"]", "upgrade", "is not a protocol"),
        (
            POOL,
            "upgrade = [\"websocket\", \"websocket\"]",
            "upgrade",
            "named twice",
        ),
        (
            POOL,
            "upgrade = [\"tls/1.0\"]",
            "upgrade",
            "past the gateway's",
        ),
        (
            POOL,
            "upgrade = [\"http/2.0\"]",
            "upgrade",
            "past the gateway's",
        ),
        (
            &http2,
            "upgrade = [\"websocket\"]",
            "upgrade",
            "\"p\" speaks h2",
        ),
        (
            &canary,
            "upgrade = [\"websocket\"]\nsplit = { canary = \"q\" }",
            "upgrade",
            "\"q\" speaks h2",
        ),
        (
            POOL,
            "upgrade = [\"websocket\"]\nupgrade_idle = \"0s\"",
            "upgrade_idle",
            "is zero",
        ),
        (
            POOL,
            "upgrade_idle = \"5m\"",
            "upgrade_idle",
            "nothing is let pass",
        ),
        (
            POOL,
            "upgrade = []\nupgrade_idle = \"5m\"",
            "upgrade_idle",
            "nothing is let pass",
        ),
    ] {
        let (line, of, message) = problem(&format!("{pools}{ROUTE}{keys}\n"));
        assert_eq!(of, format!("route.r.{key}"), "{keys}: {message}");
        assert!(
            line.is_some() && message.contains(word),
            "{keys}: {message}"
        );
    }
}

#[test]
fn upgrades_pass_where_a_route_names_them_and_for_an_hour_of_silence() {
    let parsed = |keys: &str| {
        let config = Config::parse("g.toml", &format!("{POOL}{ROUTE}{keys}\n")).unwrap();
        config.routes[0].upgrade.clone()
    };
    assert_eq!(parsed(""), None);
    assert_eq!(parsed("upgrade = []"), None);
    let hour = Duration::from_secs(3600);
    for (keys, protocols, idle) in [
        ("upgrade = [\"websocket\"]", vec!["websocket"], hour),
        (
            "upgrade = [\"websocket\", \"spdy/3.1\"]\nupgrade_idle = \"24h\"",
            vec!["websocket", "spdy/3.1"],
            hour * 24,
        ),
    ] {
        let upgrade = parsed(keys).unwrap();
        assert_eq!(
            (upgrade.protocols, upgrade.idle),
            (protocols.iter().map(ToString::to_string).collect(), idle)
        );
    }
}

#[test]
fn a_host_is_the_same_in_each_of_its_spellings() {
    for (one, other) in [("a.example", "A.example."), ("[::1]", "[0:0::1]")] {
        let text = format!(
            "{POOL}{ROUTE}host = \"{one}\"\n[[route]]\nname = \"s\"\npool = \"p\"\nhost = \"{other}\"\n"
        );
        let (_, _, message) = problem(&text);
        assert!(message.contains("same host"), "{message}");
    }
}
