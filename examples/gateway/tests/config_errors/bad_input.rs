//! Values that no careful operator writes, and the others do.

use buttress_gateway::config::Config;

use super::{POOL, ROUTE, problem};

/// What stands above a good pool and route; the line; the key; a word of the message.
type Row = (&'static str, usize, &'static str, &'static str);

const ABOVE: [Row; 33] = [
    (
        "[listen]\nmax_connections = \"10\"\n",
        2,
        "listen.max_connections",
        "write a whole number",
    ),
    (
        "[listen]\nmax_connections = -1\n",
        2,
        "listen.max_connections",
        "from 1 to",
    ),
    (
        "[listen]\nmax_connections = 1.5\n",
        2,
        "listen.max_connections",
        "write a whole number",
    ),
    (
        "[listen]\nmax_connections = 99999999999999999999\n",
        2,
        "listen.max_connections",
        "write a smaller number",
    ),
    (
        "[trace]\nsample_ratio = nan\n",
        2,
        "trace.sample_ratio",
        "from 0 to 1",
    ),
    (
        "[trace]\nsample_ratio = inf\n",
        2,
        "trace.sample_ratio",
        "from 0 to 1",
    ),
    (
        "[trace]\nsample_ratio = \"all\"\n",
        2,
        "trace.sample_ratio",
        "write a number",
    ),
    (
        "[listen]\nidle_timeout = \"\"\n",
        2,
        "listen.idle_timeout",
        "a number and a unit",
    ),
    (
        "[listen]\nidle_timeout = \"-1s\"\n",
        2,
        "listen.idle_timeout",
        "a number and a unit",
    ),
    (
        "[listen]\nidle_timeout = \"25h\"\n",
        2,
        "listen.idle_timeout",
        "at most \"24h\"",
    ),
    (
        "[listen]\nidle_timeout = \"999999999999999999999s\"\n",
        2,
        "listen.idle_timeout",
        "a number and a unit",
    ),
    (
        "[listen]\nmax_request_body = \"10MB\"\n",
        2,
        "listen.max_request_body",
        "\"10MiB\"",
    ),
    (
        "[listen]\nmax_request_body = true\n",
        2,
        "listen.max_request_body",
        "\"10MiB\"",
    ),
    (
        "[listen]\nidle_timeout = \"1s\"\nidle_timeout = \"2s\"\n",
        3,
        "listen.idle_timeout",
        "write it once",
    ),
    ("[listen]\n[log]\n[listen]\n", 3, "listen", "write it once"),
    (
        "[[listen]]\naddress = \"127.0.0.1:1\"\n",
        1,
        "listen",
        "write one table",
    ),
    ("listen = 1\n", 1, "listen", "write a table"),
    ("lisen = 1\n", 1, "lisen", "did you mean listen?"),
    ("[listen\n", 1, "listen", "expected `]`"),
    (
        "[listen]\naddress = \"127\n",
        2,
        "listen.address",
        "expected `\"`",
    ),
    ("[listen]\n\0\n", 2, "listen", "key = value"),
    (
        "[listen]\naddress = 127.0.0.1:8080\n",
        2,
        "listen.address",
        "write text in quotes",
    ),
    (
        "[listen]\naddress = localhost:8080\n",
        2,
        "listen.address",
        "write text in quotes",
    ),
    (
        "[listen]\nidle_timeout = 1.5s\n",
        2,
        "listen.idle_timeout",
        "write text in quotes",
    ),
    (
        "[listen]\naddress = [::]:80\n",
        2,
        "listen.address",
        "write text in quotes",
    ),
    (
        "[log]\naccess_log = True\n",
        2,
        "log.access_log",
        "true nor false",
    ),
    ("listen:\n  address: 127.0.0.1:8080\n", 1, "", "key = value"),
    ("{\"listen\": {}}\n", 1, "", "is not TOML"),
    (
        "[log]\nshow_headers = [1]\n",
        2,
        "log.show_headers[0]",
        "write text in quotes",
    ),
    ("[audit]\npath = \"\"\n", 2, "audit.path", "is no file"),
    (
        "[audit]\npath = \"no/such/place/a\"\n",
        2,
        "audit.path",
        "no directory no/such/place",
    ),
    (
        "[listen]\naddress = \"0.0.0.0:8081\"\n",
        2,
        "listen.address",
        "another port",
    ),
    (
        "[admin]\naddress = \"[::]:8080\"\n",
        2,
        "admin.address",
        "another port",
    ),
];

/// What stands in the table of the route, after a pool.
const IN_THE_ROUTE: [Row; 13] = [
    ("host = \"\"", 7, "route.r.host", "leave host out"),
    ("host = 7", 7, "route.r.host", "write text in quotes"),
    (
        "path_prefix = \"\"",
        7,
        "route.r.path_prefix",
        "\"/orders\"",
    ),
    ("mirror = \"p\"", 7, "route.r.mirror", "write a table"),
    (
        "mirror = { pool = \"p\" }",
        7,
        "route.r.mirror.pool",
        "another pool",
    ),
    (
        "mirror = { pool = \"q\" }",
        7,
        "route.r.mirror.pool",
        "there are: \"p\"",
    ),
    (
        "upgrade = \"websocket\"",
        7,
        "route.r.upgrade",
        "write a list",
    ),
    ("breaker = []", 7, "route.r.breaker", "write one table"),
    (
        "[route.breaker]\nconsecutive_failures = true",
        8,
        "route.r.breaker.consecutive_failures",
        "whole number",
    ),
    (
        "[route.breaker]\nprobes = 4294967295",
        8,
        "route.r.breaker.probes",
        "at most 1024",
    ),
    (
        "[route.breaker]\nfailure_rate = 0.5",
        8,
        "route.r.breaker.failure_rate",
        "write a table",
    ),
    ("a.b.c = 1", 7, "route.r.a", "is no key here"),
    (
        "[route.split]\ncanary = \"p\"",
        8,
        "route.r.split.canary",
        "another pool",
    ),
];

#[test]
fn whatever_is_wrong_is_told_where_it_stands_and_what_would_be_right() {
    let above = ABOVE.map(|row| (format!("{}{POOL}{ROUTE}", row.0), row));
    let within = IN_THE_ROUTE.map(|row| (format!("{POOL}{ROUTE}{}\n", row.0), row));
    for (text, (_, line, key, word)) in above.into_iter().chain(within) {
        let (at, of, message) = problem(&text);
        assert_eq!((at, of.as_str()), (Some(line), key), "{text}{message}");
        assert!(message.contains(word), "{text}{message}");
    }
}

#[test]
fn of_several_pools_the_one_that_is_meant_is_named() {
    let second = POOL.replace("\"p\"", "\"q\"");
    for (keys, line, key) in [
        (
            "[pool.health]\nmax_ejected = \"x\"",
            8,
            "pool.q.health.max_ejected",
        ),
        (
            "[pool.health]\nopen_for = \"1s\"\ndecay = \"1ms\"",
            9,
            "pool.q.health.decay",
        ),
        ("[pool.health]\nfoo = 1", 8, "pool.q.health.foo"),
        (
            "[pool.failover]\nattempts = 9",
            8,
            "pool.q.failover.attempts",
        ),
        ("pick = 1", 7, "pool.q.pick"),
        (
            "check = { path = \"/\", statuses = [\"200\"] }",
            7,
            "pool.q.check.statuses[0]",
        ),
    ] {
        let (at, of, message) = problem(&format!("{POOL}{second}{keys}\n{ROUTE}"));
        let at_a_key = (at, of.as_str()) == (Some(line), key);
        assert!(at_a_key, "{keys}: {at:?} {of} {message}");
    }
}

#[test]
fn tables_for_lists_and_nothing_at_all_are_refused() {
    for (text, key) in [
        ("[pool]\nname = \"p\"\n", "pool"),
        ("route = \"x\"\n", "route"),
    ] {
        let error = Config::parse("g.toml", text).unwrap_err();
        // What it was meant for is missed, and not what was meant.
        let of = error.problems().iter().map(|it| &*it.key);
        assert!(
            of.eq([key, if key == "pool" { "route" } else { "pool" }]),
            "{error}"
        );
        let message = &error.problems()[0].message;
        assert!(message.contains("[[pool]], [[route]]"), "{message}");
    }
    let error = Config::parse("g.toml", "").unwrap_err();
    assert_eq!(error.problems().len(), 2, "{error}");
}

#[test]
fn what_nests_without_end_is_refused() {
    let list = format!("a = {}{}\n", "[".repeat(5000), "]".repeat(5000));
    let table = format!("[{}a]\n", "a.".repeat(5000));
    for text in [list, table] {
        let (_, _, message) = problem(&format!("{text}{POOL}{ROUTE}"));
        assert!(message.contains("too deep"), "{message}");
    }
}
