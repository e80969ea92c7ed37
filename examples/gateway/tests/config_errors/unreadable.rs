//! Keys that there are not and values of the wrong type hide nothing else, and nothing that they cause is told beside them.

use buttress_gateway::config::Config;

use crate::{POOL, ROUTE, problem};

/// Wrong in one key or value each, of all kinds.
const MUCH: &str = r#"[listen]
adress = "127.0.0.1:0"
max_connections = "many"
idle_timeout = 60
[log]
format = "xml"
[[admin]]
changes = true
[metric]
push_every = "1s"
[[pool]]
name = "p"
endpoints = ["127.0.0.1:99999"]
max-ejected = 0.3
failover = { attempts = 99 }
[pool.health]
failure_weights = { timeout = 3 }
max_ejected = 1.5
[[route]]
name = "r"
pool = "q"
breaker = { probes = true, ramp = "yes" }
split = { canary = "z", steps = [0.5, 0.1] }
"#;

#[test]
fn what_cannot_be_read_hides_nothing_else() {
    let error = Config::parse("g.toml", MUCH).unwrap_err();
    let told: Vec<_> = error
        .problems()
        .iter()
        .map(|it| (it.line.unwrap(), &*it.key))
        .collect();
    let expected = [
        (2, "listen.adress"),
        (3, "listen.max_connections"),
        (4, "listen.idle_timeout"),
        (6, "log.format"),
        (7, "admin"),
        (9, "metric"),
        (13, "pool.p.endpoints[0]"),
        (14, "pool.p.max-ejected"),
        (15, "pool.p.failover.attempts"),
        (17, "pool.p.health.failure_weights.timeout"),
        (18, "pool.p.health.max_ejected"),
        (21, "route.r.pool"),
        (22, "route.r.breaker.probes"),
        (22, "route.r.breaker.ramp"),
        (23, "route.r.split.canary"),
        (23, "route.r.split.steps"),
    ];
    assert_eq!(told, expected, "{error}");
    let said = error.to_string();
    for meant in ["address?", "metrics?"] {
        assert!(said.contains(&format!("did you mean {meant}")), "{said}");
    }
}

#[test]
fn what_is_missed_because_it_was_written_wrongly_is_not_told_as_well() {
    // What is written instead of what, and the key that is told.
    for (right, wrong, key) in [
        ("endpoints", "endpoint", "pool.p.endpoint"),
        (
            "endpoints = [\"127.0.0.1:9001\"]",
            "endpoints = 9001",
            "pool.p.endpoints",
        ),
        (
            "\"127.0.0.1:9001\"",
            "{ adress = \"127.0.0.1:9001\" }",
            "pool.p.endpoints",
        ),
        ("\"127.0.0.1:9001\"", "9001", "pool.p.endpoints"),
        ("name = \"p\"", "nam = \"p\"", "pool[0].nam"),
        ("name = \"p\"", "name = 1", "pool[0].name"),
        ("[[pool]]", "[[pools]]", "pools"),
        ("[[route]]", "[[routes]]", "routes"),
        ("pool = \"p\"", "pol = \"p\"", "route.r.pol"),
        ("pool = \"p\"", "pool = [\"p\"]", "route.r.pool"),
    ] {
        let text = format!("{POOL}{ROUTE}").replacen(right, wrong, 1);
        let (_, told, message) = problem(&text);
        assert_eq!(told, key, "{text}{message}");
    }
}

#[test]
fn what_has_no_name_is_called_by_its_place() {
    let route = ROUTE.replace("name = \"r\"", "breaker = { probes = 2000 }");
    let error = Config::parse("g.toml", &format!("{POOL}{route}")).unwrap_err();
    let told: Vec<_> = error.problems().iter().map(|it| &*it.key).collect();
    assert_eq!(told, ["route[0].name", "route[0].breaker.probes"]);
}

#[test]
fn of_more_than_anybody_mends_at_once_the_first_are_told() {
    let many = |count| {
        let keys: Vec<_> = (0..count).map(|nth| format!("key{nth} = 1\n")).collect();
        keys.concat()
    };
    let problems = |count| {
        let error = Config::parse("g.toml", &format!("{}{POOL}{ROUTE}", many(count))).unwrap_err();
        error.problems().to_vec()
    };
    assert_eq!(problems(99).len(), 99);
    let told = problems(5_000);
    assert_eq!(told.len(), 101);
    assert!(
        told[100].message.starts_with("there is more"),
        "{:?}",
        told[100]
    );
}
