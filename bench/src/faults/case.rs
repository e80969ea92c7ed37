//! The cases: what the origin suffers from, and what the gateway may do about it.

use std::time::Duration;

/// What an origin does to a request, or to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Answers well, but so much later
    Slow(Duration),
    /// Answers 500 at once
    Fails,
    /// Answers 500 to one request in so many, and well to the others
    Grey(u32),
    /// Resets every connection, new ones at once and others with their next request
    Resets,
    /// Accepts every connection and answers nothing
    Hangs,
    /// Listens no longer, and resets what is connected
    Refuses,
    /// Answers half of what it says, and then nothing more
    Stalls,
    /// Answers half of what it says, and resets the connection
    Breaks,
    /// Answers 500 for so long, well for as long, and so on
    Flaps(Duration),
}

/// A fault, and the gateway's settings for failover.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) fault: Fault,
    /// The lines of the pool's `[pool.failover]`
    pub(super) failover: &'static str,
}

const OFF: &str = "enabled = false";
const AS_IT_COMES: &str = "enabled = true";
const OF_500_TOO: &str = "statuses = [500, 502, 503, 504]";

/// Every case, in the order of its row.
pub(super) fn all() -> impl Iterator<Item = Case> {
    let slow = |millis| Fault::Slow(Duration::from_millis(millis));
    [
        ("slow", slow(200), OFF),
        ("slower", slow(25), OFF),
        ("500", Fault::Fails, OFF),
        ("500-failover", Fault::Fails, OF_500_TOO),
        ("grey", Fault::Grey(10), OFF),
        ("half", Fault::Grey(2), OFF),
        ("flaps", Fault::Flaps(Duration::from_secs(3)), OFF),
        ("resets", Fault::Resets, OFF),
        ("resets-failover", Fault::Resets, AS_IT_COMES),
        ("hangs", Fault::Hangs, OFF),
        ("hangs-failover", Fault::Hangs, AS_IT_COMES),
        ("refuses", Fault::Refuses, OFF),
        ("refuses-failover", Fault::Refuses, AS_IT_COMES),
        ("stalls", Fault::Stalls, OFF),
        ("breaks", Fault::Breaks, OFF),
    ]
    .into_iter()
    .map(|(name, fault, failover)| Case {
        name,
        fault,
        failover,
    })
}
