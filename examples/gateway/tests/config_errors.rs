//! What is wrong with a configuration is told with its line and key, and what would be right.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::too_many_lines)]

#[path = "config_errors/bad_input.rs"]
mod bad_input;
#[path = "config_errors/pools.rs"]
mod pools;
#[path = "config_errors/routes.rs"]
mod routes;
#[path = "config_errors/unreadable.rs"]
mod unreadable;

use buttress_gateway::config::Config;

const POOL: &str = "[[pool]]\nname = \"p\"\nendpoints = [\"127.0.0.1:9001\"]\n";
const ROUTE: &str = "[[route]]\nname = \"r\"\npool = \"p\"\n";

/// The only problem of a text: its line, its key and its message.
fn problem(text: &str) -> (Option<usize>, String, String) {
    let error = Config::parse("g.toml", text).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    let problem = error.problems()[0].clone();
    (problem.line, problem.key, problem.message)
}

#[test]
fn each_mistake_is_told_with_its_line_and_key() {
    // What stands above a good pool and route; the line; the key; a word of the message.
    let table = [
        (
            "[correlation]\ntrust = { networks = [\"10.0.0.0/33\"] }\n",
            2,
            "correlation.trust",
            "is not a network",
        ),
        (
            "[correlation]\ntrust = { networks = [] }\n",
            2,
            "correlation.trust",
            "10.0.0.0/8",
        ),
        (
            "[listen]\naddress = \"127.0.0.1\"\n",
            2,
            "listen.address",
            "has no port",
        ),
        (
            "[listen]\naddress = \"127.0.0.1:99999\"\n",
            2,
            "listen.address",
            "not a port",
        ),
        (
            "[listen]\naddress = \"no.such.host.invalid:80\"\n",
            2,
            "listen.address",
            "not resolve",
        ),
        (
            "[listen]\nport = 80\n",
            2,
            "listen.port",
            "is no key here; there are: address, ",
        ),
        (
            "[listen]\nidle_timeout = \"0s\"\n",
            2,
            "listen.idle_timeout",
            "is zero",
        ),
        (
            "[listen]\nidle_timeout = \"60\"\n",
            2,
            "listen.idle_timeout",
            "a number and a unit",
        ),
        (
            "[listen]\nidle_timeout = 60\n",
            2,
            "listen.idle_timeout",
            "write a number and its unit in quotes",
        ),
        (
            "[listen]\nmax_connections = 0\n",
            2,
            "listen.max_connections",
            "from 1 to",
        ),
        (
            "[listen]\nmax_request_body = 0\n",
            2,
            "listen.max_request_body",
            "\"unlimited\"",
        ),
        (
            "\n[admin]\naddress = \"127.0.0.1:8080\"\n",
            3,
            "admin.address",
            "another port",
        ),
        (
            "[log]\nformat = \"xml\"\n",
            2,
            "log.format",
            "\"human\" or \"json\"",
        ),
        (
            "[log]\naccess_log = \"yes\"\n",
            2,
            "log.access_log",
            "write true or false",
        ),
        (
            "[log]\nredact = [\"card\", \"cards\"]\n",
            2,
            "log.redact",
            "bearer, key, card or email",
        ),
        (
            "[log]\nshow_headers = [\"user agent\"]\n",
            2,
            "log.show_headers",
            "\"user agent\" is wrong",
        ),
        (
            "[audit]\nmax_size = 0\n",
            2,
            "audit.max_size",
            "\"unlimited\"",
        ),
        ("[audit]\nkeep = 1001\n", 2, "audit.keep", "from 0 to 1000"),
        (
            "[correlation]\nhosts = [\"a:80\"]\n",
            2,
            "correlation.hosts",
            "means no host",
        ),
        (
            "[trace]\notlp_endpoint = \"collector\"\n",
            2,
            "trace.otlp_endpoint",
            "4317",
        ),
        (
            "[trace]\nsample_ratio = 1.5\n",
            2,
            "trace.sample_ratio",
            "from 0 to 1",
        ),
        (
            "[metrics]\notlp_endpoint = \"https://collector:4317\"\n",
            2,
            "metrics.otlp_endpoint",
            "4317",
        ),
        (
            "[metrics]\npush_every = \"0s\"\n",
            2,
            "metrics.push_every",
            "is zero",
        ),
        (
            "[forwarded]\nhost = \"client\"\n",
            2,
            "forwarded.host",
            "\"preserve\" or \"upstream\"",
        ),
        (
            "[correlation]\ntrust = \"all\"\n",
            2,
            "correlation.trust",
            "\"edge\", \"internal\" or {",
        ),
        (
            "[listen]\naddress = \n",
            2,
            "listen.address",
            "write text in quotes",
        ),
    ];
    for (text, line, key, word) in table {
        let (at, of, message) = problem(&format!("{text}{POOL}{ROUTE}"));
        assert_eq!((at, of.as_str()), (Some(line), key), "{text}{message}");
        assert!(message.contains(word), "{text}{message}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text =
        "[listen]\nidle_timeout = \"x\"\nbody_timeout = \"y\"\n[trace]\nsample_ratio = -1.0\n";
    let error = Config::parse("g.toml", text).unwrap_err();
    let keys: Vec<&str> = error
        .problems()
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    let expected = [
        "listen.idle_timeout",
        "listen.body_timeout",
        "trace.sample_ratio",
        "pool",
        "route",
    ];
    assert_eq!(keys, expected);
}

#[test]
fn what_is_left_out_has_a_default() {
    let config = Config::parse("g.toml", &format!("{POOL}{ROUTE}")).unwrap();
    assert_eq!(config.listen, buttress_gateway::config::Listen::default());
    assert_eq!(config.routes[0].path_prefix, "/");
    assert!(config.routes[0].breaker.failure_rate.is_some());
}

#[test]
fn the_file_that_ships_shows_the_defaults() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml");
    let shipped = Config::load(path.as_ref()).unwrap();
    let bare = Config::parse("g.toml", &format!("{POOL}{ROUTE}")).unwrap();
    assert_eq!(shipped.listen, bare.listen);
    assert_eq!(shipped.admin, bare.admin);
    assert_eq!(shipped.log, bare.log);
    assert_eq!(shipped.trace, bare.trace);
    assert_eq!(shipped.forwarded, bare.forwarded);
    assert_eq!(shipped.correlation, bare.correlation);
    assert_eq!(shipped.pools[0].health, bare.pools[0].health);
    assert_eq!(shipped.pools[0].failover, bare.pools[0].failover);
    let [shipped_pool, bare_pool] = [&shipped.pools[0], &bare.pools[0]];
    assert_eq!(shipped_pool.head_timeout, bare_pool.head_timeout);
    assert_eq!(shipped_pool.remember, bare_pool.remember);
    assert_eq!(
        shipped_pool.noise_band.to_bits(),
        bare_pool.noise_band.to_bits()
    );
    assert_eq!(shipped.routes[0].breaker, bare.routes[0].breaker);
}

#[test]
fn what_starting_would_refuse_is_refused_here() {
    let (line, key, message) = problem(&format!("{POOL}[pool.health]\ndecay = \"5ms\"\n{ROUTE}"));
    assert_eq!(
        (line, key.as_str()),
        (Some(5), "pool.p.health.decay"),
        "{message}"
    );
    for (line, key) in [
        ("attempts = 9", "pool.p.failover.attempts"),
        ("attempts = 0", "pool.p.failover.attempts"),
        ("within = \"soon\"", "pool.p.failover.within"),
        ("statuses = [503, 404]", "pool.p.failover.statuses"),
        ("max_body = \"big\"", "pool.p.failover.max_body"),
        ("budget = 1.5", "pool.p.failover.budget"),
    ] {
        let (_, found, message) = problem(&format!("{POOL}[pool.failover]\n{line}\n{ROUTE}"));
        assert_eq!(found, key, "{message}");
    }
    for host in ["[zz z]", "a..b", ".", "[::1"] {
        let (_, key, message) = problem(&format!("{POOL}{ROUTE}host = \"{host}\"\n"));
        assert_eq!(key, "route.r.host", "{host}: {message}");
    }
    for prefix in ["/a/../b", "/./a", "/%2e%2e/a"] {
        let (_, key, message) = problem(&format!("{POOL}{ROUTE}path_prefix = \"{prefix}\"\n"));
        assert_eq!(key, "route.r.path_prefix", "{prefix}: {message}");
    }
    for endpoint in [
        "http://:99",
        "http://user:pw@h:4317",
        "http://h:4317/x?y",
        "https://h:4317",
    ] {
        let (_, key, _) = problem(&format!(
            "[trace]\notlp_endpoint = \"{endpoint}\"\n{POOL}{ROUTE}"
        ));
        assert_eq!(key, "trace.otlp_endpoint", "{endpoint}");
    }
    let well = format!("{POOL}{ROUTE}host = \"[::1]\"\npath_prefix = \"/a..b/c\"\n");
    assert!(Config::parse("g.toml", &well).is_ok());
}
