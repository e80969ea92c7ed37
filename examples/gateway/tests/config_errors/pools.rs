//! Pools that make no sense.

use super::{POOL, ROUTE, problem};

#[test]
fn a_pool_is_checked_down_to_its_endpoints() {
    let table = [
        ("endpoints = []", 3, "pool.p.endpoints", "the pool is empty"),
        (
            "protocol = \"h2\"",
            1,
            "pool.p.endpoints",
            "the pool is empty",
        ),
        (
            "endpoints = [\"127.0.0.1\"]",
            3,
            "pool.p.endpoints[0]",
            "has no port",
        ),
        (
            "endpoints = [\"127.0.0.1:0\"]",
            3,
            "pool.p.endpoints[0]",
            "port 0",
        ),
        (
            "endpoints = [\"a.invalid:80\"]",
            3,
            "pool.p.endpoints[0]",
            "does not resolve",
        ),
        (
            "endpoints = [\n\"127.0.0.1:1\",\n\"127.0.0.1:1\"]",
            5,
            "pool.p.endpoints[1]",
            "already",
        ),
        (
            "endpoints = [{ address = \"127.0.0.1:1\", weight = -1 }]",
            3,
            "pool.p.endpoints[0]",
            "weight -1",
        ),
        (
            "endpoints = [{ adress = \"x\" }]",
            3,
            "pool.p.endpoints",
            "an endpoint is",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nprotocol = \"h3\"",
            4,
            "pool.p.protocol",
            "\"h2\"",
        ),
        (
            "endpoints = [{ address = \"127.0.0.1:1\", priority = 256 }]",
            3,
            "pool.p.endpoints[0]",
            "priority 256",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { overprovisioning = 0.5 }",
            4,
            "pool.p.health.overprovisioning",
            "use 1 to",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\npick = \"best\"",
            4,
            "pool.p.pick",
            "\"round_robin\"",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\npick = \"consistent_hash\"",
            4,
            "pool.p.pick",
            "needs a key",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\naffinity = \"path\"",
            4,
            "pool.p.affinity",
            "consistent_hash",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\npick = \"consistent_hash\"\naffinity = \"cookie:a b\"",
            5,
            "pool.p.affinity",
            "ties to nothing",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { failure_rate = { min_calls = 5000000000 } }",
            4,
            "pool.p.health.failure_rate.min_calls",
            "from 1 to 4294967295",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { slow_rate = { times = 1 } }",
            4,
            "pool.p.health.slow_rate.times",
            "more than 1",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { failure_rate = 0.5 }",
            4,
            "pool.p.health.failure_rate",
            "write a table such as { ratio = 0.5 }",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { failure_rate = { ratio = 0.0 } }",
            4,
            "pool.p.health.failure_rate.ratio",
            "more than 0",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { failure_rate = { above_peers = 3.0 } }",
            4,
            "pool.p.health.failure_rate.above_peers",
            "ratio",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth = { max_ejected = 2.0 }",
            4,
            "pool.p.health.max_ejected",
            "ratio",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\n[pool.health.failure_weights]\nconnect = 3\nbody = 101",
            6,
            "pool.p.health.failure_weights.body",
            "101 is out of range; use 0 to 100",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth.failure_weights = { panic = -1 }",
            4,
            "pool.p.health.failure_weights.panic",
            "-1 is not a weight; write a number",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth.failure_weights = { panic = 4294967296 }",
            4,
            "pool.p.health.failure_weights.panic",
            "4294967296 is not a weight",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\n[pool.health.failure_weights]\nconnect = 0\ntransport = 0\ndeadline = 0\n\
             answer = 0\noverloaded = 0\nbody = 0\npanic = 0",
            4,
            "pool.p.health.failure_weights",
            "all are 0",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nremember = 2020-01-01",
            4,
            "pool.p.remember",
            "is no time; write a number and its unit in quotes",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth.failure_weights = 3",
            4,
            "pool.p.health.failure_weights",
            "write a table such as { connect = 2 }",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nhealth.failure_weights = { timeout = 3 }",
            4,
            "pool.p.health.failure_weights.timeout",
            "there are: connect, transport, deadline, ",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nnoise_band = 10.5",
            4,
            "pool.p.noise_band",
            "use 0 to 10",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nnoise_band = nan",
            4,
            "pool.p.noise_band",
            "use 0 to 10",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nremember = \"25h\"",
            4,
            "pool.p.remember",
            "at most \"24h\"",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nremember = 0",
            4,
            "pool.p.remember",
            "is no time; write a number and its unit in quotes",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\nload_bound = 2",
            4,
            "pool.p.load_bound",
            "only pick = \"consistent_hash\"",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\npick = \"consistent_hash\"\naffinity = \"path\"\nload_bound = 0.9",
            6,
            "pool.p.load_bound",
            "use 1 or more",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { fall = 2 }",
            4,
            "pool.p.check.path",
            "kind = \"tcp\"",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { kind = \"tcp\", path = \"/\" }",
            4,
            "pool.p.check.path",
            "remove it",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { kind = \"tcp\", body_contains = \"ok\" }",
            4,
            "pool.p.check.body_contains",
            "remove it",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { kind = \"tcp\", statuses = [204] }",
            4,
            "pool.p.check.statuses",
            "remove it",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { path = \"healthz\" }",
            4,
            "pool.p.check.path",
            "begins with /",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\ncheck = { path = \"/\", statuses = [0] }",
            4,
            "pool.p.check.statuses",
            "100 to 599",
        ),
        (
            "endpoints = [\"127.0.0.1:1\"]\n[pool.check]\npath = \"/\"\ninterval = \"1ms\"",
            6,
            "pool.p.check.interval",
            "10ms",
        ),
    ];
    for (text, line, key, word) in table {
        let (at, of, message) = problem(&format!("[[pool]]\nname = \"p\"\n{text}\n{ROUTE}"));
        assert_eq!((at, of.as_str()), (Some(line), key), "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn two_pools_cannot_share_a_name() {
    let (line, key, message) = problem(&format!("{POOL}{POOL}{ROUTE}"));
    assert_eq!((line, key.as_str()), (Some(5), "pool[1].name"));
    assert!(message.contains("came before"));
}
