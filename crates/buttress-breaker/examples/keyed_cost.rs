//! What a breaker for each key costs: bytes for a key, and nanoseconds for a look-up among many.
//!
//! ```sh
//! cargo run --release -p buttress-breaker --example keyed_cost
//! ```
//!
//! Memory is what the resident set grows by (Linux); time is the least and the median of interleaved
//! rounds, keys in a random order, the choice and the making of the key included in `baseline`.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::hint::black_box;

use buttress_breaker::keyed::Host;
use buttress_breaker::{KeyedBreaker, KeyedConfig, Limits};
use buttress_core::clock::Clock;
use buttress_core::rng::Rng;

const KEYS: usize = 100_000;
const ROUNDS: usize = 60;
const CALLS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = KeyedConfig::default().limits(Limits::default().cap(KEYS));
    let breakers = KeyedBreaker::<Host>::new("tenants", config)?;
    let hosts: Vec<Host> = (0..KEYS)
        .map(|n| Host::new(format!("tenant-{n:06}.example.test").as_bytes()))
        .collect();
    let before = resident();
    for host in &hosts {
        drop(breakers.get(host.clone()));
    }
    let grown = resident().saturating_sub(before);
    println!(
        "keys {KEYS}, {} MiB, {} bytes a key",
        grown >> 20,
        grown / KEYS
    );

    let mut rows = [
        ("baseline: a key by chance", Vec::new()),
        ("look-up, any of all keys", Vec::new()),
        ("look-up, one of 1,000 among them", Vec::new()),
        ("look-up, one of 100 among them", Vec::new()),
    ];
    for _ in 0..ROUNDS {
        let times = [
            time(KEYS, &hosts, |host| drop(black_box(host))),
            time(KEYS, &hosts, |host| drop(black_box(breakers.get(host)))),
            time(1_000, &hosts, |host| drop(black_box(breakers.get(host)))),
            time(100, &hosts, |host| drop(black_box(breakers.get(host)))),
        ];
        for ((_, all), took) in rows.iter_mut().zip(times) {
            all.push(took);
        }
    }
    for (name, mut all) in rows {
        all.sort_by(f64::total_cmp);
        let median = all.get(ROUNDS / 2).copied().unwrap_or_default();
        println!(
            "{name}: min {:.1} ns, median {median:.1} ns",
            all.first().unwrap_or(&0.0)
        );
    }
    Ok(())
}

fn time(among: usize, hosts: &[Host], mut each: impl FnMut(Host)) -> f64 {
    let (clock, rng) = (Clock::monotonic(), Rng::default());
    let start = clock.now();
    for _ in 0..CALLS {
        if let Some(host) = hosts.get(rng.below(among)) {
            each(host.clone());
        }
    }
    clock.now().saturating_since(start).as_nanos() as f64 / CALLS as f64
}

/// Bytes in memory, by the kernel's account; 0 where there is none.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse::<usize>().ok());
    pages.unwrap_or(0) * 4096
}
