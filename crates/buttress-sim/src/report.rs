//! What is told of runs: a line for each, and one table of medians.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use crate::grid::Cell;
use crate::measure::Measure;
use crate::router::Policy;

/// One run. Times in the units that their names say; what there is none of is null.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scenario's name.
    pub scenario: String,
    /// Hosts in the pool at the start.
    pub n: usize,
    /// Routers.
    pub routers: usize,
    /// Arrivals as a share of what the pool can do; 0 in the published settings.
    pub load: f64,
    /// The policy's name.
    pub policy: &'static str,
    /// The seed.
    pub seed: u64,
    /// The share of clients served, of all who came since the fault began.
    pub success: f64,
    /// The same from the first second of the fault to its end.
    pub late_success: f64,
    /// Median wait.
    pub p50_ms: f64,
    /// 99 in 100 waited no longer.
    pub p99_ms: f64,
    /// 999 in 1,000 waited no longer.
    pub p999_ms: f64,
    /// Of those who came while the fault lasted, 99 in 100 waited no longer.
    pub fault_p99_ms: f64,
    /// Of those, 999 in 1,000 waited no longer.
    pub fault_p999_ms: f64,
    /// Until the faulty hosts had less than a quarter of their share.
    pub divert_s: Option<f64>,
    /// Until they had nine tenths of it again.
    pub recover_s: Option<f64>,
    /// The most that one of them got in a second then, in fair shares.
    pub peak_over_fair: Option<f64>,
    /// Hosts and routers that never work again.
    pub wedged: u64,
    /// How often a host was thrown out.
    pub ejections: u64,
    /// Attempts for each client.
    pub amplification: f64,
    /// Requests that nobody waited for, for each client's.
    pub copies: f64,
    /// Clients in these figures.
    pub clients: u64,
}

impl Row {
    pub(crate) fn of(cell: &Cell, seen: &Measure) -> Self {
        Self {
            scenario: cell.scenario.name.clone(),
            n: cell.scenario.members.len(),
            routers: cell.routers,
            load: cell.scenario.load,
            policy: cell.policy.name(),
            seed: cell.seed,
            success: seen.success(),
            late_success: seen.late_success(),
            p50_ms: seen.quantile_ms(0.5),
            p99_ms: seen.quantile_ms(0.99),
            p999_ms: seen.quantile_ms(0.999),
            fault_p99_ms: seen.quantile_meanwhile_ms(0.99),
            fault_p999_ms: seen.quantile_meanwhile_ms(0.999),
            divert_s: seen.divert(),
            recover_s: seen.recover(),
            peak_over_fair: seen.peak_over_fair(),
            wedged: seen.wedged(),
            ejections: seen.ejections(),
            amplification: seen.amplification(),
            copies: seen.copies(),
            clients: seen.clients(),
        }
    }

    /// The names of the columns of [`Row::csv`].
    pub const CSV_HEAD: &'static str = "scenario,n,routers,load,policy,seed,success,late_success,p50_ms,p99_ms,\
        p999_ms,fault_p99_ms,fault_p999_ms,divert_s,recover_s,peak_over_fair,wedged,ejections,amplification,copies,clients";

    /// The row as a line of comma-separated values; what there is none of is empty.
    pub fn csv(&self) -> String {
        let or_empty = |value: Option<f64>| value.map(|it| format!("{it:.3}")).unwrap_or_default();
        let Self {
            scenario,
            n,
            routers,
            load,
            policy,
            seed,
            success,
            late_success,
            ..
        } = self;
        let Self {
            p50_ms,
            p99_ms,
            p999_ms,
            fault_p99_ms,
            fault_p999_ms,
            wedged,
            ejections,
            amplification,
            copies,
            clients,
            ..
        } = self;
        let (divert, recover) = (or_empty(self.divert_s), or_empty(self.recover_s));
        let peak = or_empty(self.peak_over_fair);
        format!(
            "{scenario},{n},{routers},{load},{policy},{seed},{success:.6},{late_success:.6},\
             {p50_ms:.3},{p99_ms:.3},{p999_ms:.3},{fault_p99_ms:.3},{fault_p999_ms:.3},{divert},{recover},{peak},{wedged},{ejections},\
             {amplification:.4},{copies:.4},{clients}"
        )
    }
}

/// What the seeds of one cell have in common.
type Key<'a> = (&'a str, usize, u64, usize);

/// The medians over seeds, a block for each scenario.
pub fn table(rows: &[Row]) -> String {
    let mut blocks: BTreeMap<Key<'_>, BTreeMap<Policy, Vec<&Row>>> = BTreeMap::new();
    for row in rows {
        let Some(policy) = Policy::by_name(row.policy) else {
            continue;
        };
        let key = (
            row.scenario.as_str(),
            row.n,
            row.load.to_bits(),
            row.routers,
        );
        blocks
            .entry(key)
            .or_default()
            .entry(policy)
            .or_default()
            .push(row);
    }
    let mut keys: Vec<_> = blocks.keys().copied().collect();
    keys.sort_by_key(|key| (order(key.0), key.1, key.2, key.3));
    let mut text = String::new();
    for key in keys {
        if let Some(policies) = blocks.get(&key) {
            block(&mut text, key, policies);
        }
    }
    text
}

fn block(
    text: &mut String,
    (name, n, load, routers): Key<'_>,
    policies: &BTreeMap<Policy, Vec<&Row>>,
) {
    let load = f64::from_bits(load) * 100.0;
    let _ = writeln!(
        text,
        "\n{name}: {n} hosts, {load:.0} % load, {routers} router(s)"
    );
    let _ = writeln!(
        text,
        "  {:<20} {:>9} {:>9} {:>8} {:>8} {:>9} {:>8} {:>9} {:>6} {:>6} {:>6} {:>7}",
        "policy",
        "success%",
        "late%",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "divert s",
        "recover s",
        "peak",
        "wedged",
        "eject",
        "copies%"
    );
    for (policy, rows) in policies {
        let of = |value: fn(&Row) -> f64| median(rows.iter().map(|row| value(row)).collect());
        let maybe = |value: fn(&Row) -> Option<f64>| {
            let known: Vec<f64> = rows.iter().filter_map(|row| value(row)).collect();
            // A median with more unknown than known is unknown.
            if known.len() * 2 > rows.len() {
                format!("{:.2}", median(known))
            } else {
                "-".to_owned()
            }
        };
        let _ = writeln!(
            text,
            "  {:<20} {:>9.4} {:>9.4} {:>8.1} {:>8.1} {:>9.1} {:>8} {:>9} {:>6} {:>6.0} {:>6.0} {:>7.2}",
            policy.name(),
            of(|row| row.success * 100.0),
            of(|row| row.late_success * 100.0),
            of(|row| row.p50_ms),
            of(|row| row.p99_ms),
            of(|row| row.p999_ms),
            maybe(|row| row.divert_s),
            maybe(|row| row.recover_s),
            maybe(|row| row.peak_over_fair),
            rows.iter().map(|row| row.wedged as f64).fold(0.0, f64::max),
            of(|row| row.ejections as f64),
            of(|row| row.copies * 100.0),
        );
    }
}

/// `S2` comes before `S10`.
pub(crate) fn order(name: &str) -> (u32, &str) {
    let digits: String = name
        .trim_start_matches('S')
        .chars()
        .take_while(char::is_ascii_digit)
        .collect();
    (digits.parse().unwrap_or(u32::MAX), name)
}

/// The middle one, or the upper of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_are_told_in_the_order_of_their_numbers() {
        let mut names = ["S10", "brpc", "S2b", "S0", "S2a"];
        names.sort_by_key(|name| order(name));
        assert_eq!(names, ["S0", "S2a", "S2b", "S10", "brpc"]);
    }
}
