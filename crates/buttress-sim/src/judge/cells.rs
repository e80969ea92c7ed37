//! Runs by what they are runs of.

use std::collections::BTreeMap;

use crate::report::{Row, median};
use crate::router::Policy;
use crate::scenario::{self, Scenario};

/// A pool under a load, and how many routers it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) n: usize,
    /// The bits of a positive number, which are in its order.
    load: u64,
    pub(super) routers: usize,
}

impl At {
    pub(super) const fn load(self) -> f64 {
        f64::from_bits(self.load)
    }

    /// The scenario of this name here.
    pub(super) fn scenario(self, name: &str) -> Option<Scenario> {
        let mut suite = scenario::suite(self.n, self.load()).into_iter();
        suite.find(|it| it.name == name)
    }
}

/// The runs of each cell, by scenario, place and policy.
pub(super) struct Cells<'a>(BTreeMap<(&'a str, At, Policy), Vec<&'a Row>>);

impl<'a> Cells<'a> {
    pub(super) fn of(rows: &'a [Row]) -> Self {
        let mut cells: BTreeMap<_, Vec<&Row>> = BTreeMap::new();
        for row in rows {
            let at = At {
                n: row.n,
                load: row.load.to_bits(),
                routers: row.routers,
            };
            if let Some(policy) = Policy::by_name(row.policy) {
                let key = (row.scenario.as_str(), at, policy);
                cells.entry(key).or_default().push(row);
            }
        }
        Self(cells)
    }

    /// Where the router was run in this scenario.
    pub(super) fn places(&self, scenario: &str) -> Vec<At> {
        let ours = self.0.keys().filter(|it| it.2 == Policy::Buttress);
        ours.filter(|it| it.0 == scenario).map(|it| it.1).collect()
    }

    /// The median of a figure; `None` if there are no such runs.
    pub(super) fn median(
        &self,
        (scenario, at, policy): (&str, At, Policy),
        of: impl Fn(&Row) -> f64,
    ) -> Option<f64> {
        let rows = self.0.get(&(scenario, at, policy))?;
        Some(median(rows.iter().map(|row| of(row)).collect()))
    }

    /// The most of a figure.
    pub(super) fn most(
        &self,
        (scenario, at, policy): (&str, At, Policy),
        of: impl Fn(&Row) -> f64,
    ) -> Option<f64> {
        let rows = self.0.get(&(scenario, at, policy))?;
        Some(rows.iter().map(|row| of(row)).fold(0.0, f64::max))
    }
}
