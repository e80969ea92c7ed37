//! How much less an endpoint is given for what it reports.

/// Beside so much the difference between two idle endpoints says nothing.
const BASE: f64 = 0.1;
/// Who is that busy can be no busier.
const BUSIEST: f64 = 2.0;
/// So much is always left: who is asked nothing reports nothing.
const LEAST: f64 = 0.25;
/// Less than so much of a relief is noise.
const NOTICED: f64 = 0.9;
/// The share of an endpoint that is not relieved.
pub(crate) const NONE: f64 = 1.0;

/// The share of its requests that an endpoint is given which reports this utilisation, among peers that report
/// the other in the middle. 1, [`NONE`], where it is not busier than they are.
pub(crate) fn relief(own: f64, peers: f64) -> f64 {
    let (own, peers) = (own.min(BUSIEST) + BASE, peers.min(BUSIEST) + BASE);
    let share = 2.0 * peers / (peers + own);
    if share > NOTICED {
        NONE
    } else {
        share.max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_busier_is_given_less_and_who_is_not_is_given_no_more() {
        let near = |own, peers, share: f64| (relief(own, peers) - share).abs() < 1e-9;
        assert!(near(0.9, 0.4, 2.0 / 3.0));
        assert!(near(0.5, 0.5, 1.0) && near(0.0, 0.5, 1.0));
        assert!(near(0.03, 0.01, 1.0), "both are idle");
        assert!(near(2.0, 0.0, LEAST) && near(100.0, 0.0, LEAST));
        assert!(near(100.0, 50.0, 1.0), "both are beyond measure");
    }
}
