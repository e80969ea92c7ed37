//! Settings in which others have published what they reach.

use std::time::Duration;

use super::{Fault, Scenario, Step};
use crate::distribution::ServiceTime;
use crate::host::Condition;

/// The published settings.
pub fn named() -> Vec<Scenario> {
    vec![linkerd(), tower(), brpc(), healthy_brpc()]
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A pool whose hosts never make anybody wait for a worker.
fn roomy(name: &str, about: &'static str, capacities: Vec<f64>, service: ServiceTime) -> Scenario {
    let members: Vec<usize> = (0..capacities.len()).collect();
    Scenario {
        name: name.to_owned(),
        about,
        capacities,
        members,
        workers: 1_000_000,
        service,
        rate: 1_000.0,
        load: 0.0,
        network: Duration::from_micros(100),
        timeout: s(1),
        cancels: 0.0,
        patience: s(1),
        retries: 0,
        steps: Vec::new(),
        fault: Fault {
            hosts: Vec::new(),
            from: s(0),
            until: s(60),
        },
        length: s(60),
    }
}

/// Linkerd, 2016: eleven backends of 167 ms, a thousand requests a second, one backend at two
/// seconds for thirty, and who waits a second has failed.
fn linkerd() -> Scenario {
    let service = ServiceTime::Normal {
        mean: ms(167),
        deviation: ms(5),
    };
    let about = "Linkerd 2016: one of eleven takes 2 s";
    let mut scenario = roomy("linkerd-2016", about, vec![1.0; 11], service);
    scenario.steps = vec![
        (s(15), Step::Set(vec![0], Condition::slow(2.0 / 0.167))),
        (s(45), Step::Set(vec![0], Condition::HEALTHY)),
    ];
    scenario.fault = Fault {
        hosts: vec![0],
        from: s(15),
        until: s(45),
    };
    scenario
}

/// tower's example: ten endpoints, each with a greatest latency of its own, from 1 ms to 1 s.
fn tower() -> Scenario {
    let service = ServiceTime::Uniform { mean: ms(50) };
    let greatest = [
        1.0, 10.0, 10.0, 10.0, 10.0, 100.0, 100.0, 100.0, 100.0, 1_000.0,
    ];
    let capacities = greatest.iter().map(|millis| 100.0 / millis).collect();
    let about = "tower's example: greatest latencies of 1 ms to 1 s";
    let mut scenario = roomy("tower-demo", about, capacities, service);
    scenario.timeout = s(10);
    // Five hundred calls at a time, as there, would be as many a second.
    scenario.rate = 5_000.0;
    scenario.length = s(10);
    scenario.fault.until = s(10);
    scenario
}

/// brpc: four echo servers, two of which take five milliseconds more.
fn brpc() -> Scenario {
    let service = ServiceTime::Lognormal {
        mean: Duration::from_micros(250),
        sigma: 0.2,
    };
    let about = "brpc: two of four take 5 ms more";
    let mut scenario = roomy("brpc", about, vec![1.0; 4], service);
    scenario.rate = 4_000.0;
    scenario.steps = vec![(s(10), Step::Set(vec![0, 1], Condition::slow(21.0)))];
    scenario.fault = Fault {
        hosts: vec![0, 1],
        from: s(10),
        until: s(60),
    };
    scenario
}

/// The same four, all well.
fn healthy_brpc() -> Scenario {
    let mut scenario = brpc();
    "brpc-healthy".clone_into(&mut scenario.name);
    scenario.about = "brpc: four that are well";
    scenario.steps.clear();
    scenario.fault.hosts.clear();
    scenario
}
