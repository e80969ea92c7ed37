//! How many descriptors the process may open, and how many of them connections may take.
//!
//! Each request in flight needs a socket towards an upstream as well. A server that gives all to
//! its clients accepts them, and then can serve none.

use std::num::NonZeroUsize;

/// Kept for listeners, logs, the admin side and exporters, where there are enough.
const OTHERS: usize = 128;

/// `wanted`, or as many connections as leave at least half of the descriptors for upstreams.
///
/// Warns where that is less than was `asked` for; nobody asked for a default.
pub(super) fn cap(wanted: NonZeroUsize, asked: bool) -> NonZeroUsize {
    let Some(descriptors) = soft_limit() else {
        return wanted;
    };
    let held = wanted.min(share(descriptors));
    if held == wanted {
        return held;
    }
    if asked {
        tracing::warn!(
            max_connections = wanted,
            held,
            descriptors,
            "holding fewer connections than configured, for each may need a descriptor for its \
             upstream; raise the limit of open files (ulimit -n, LimitNOFILE=) to more than twice \
             listen.max_connections, or lower that"
        );
    } else {
        tracing::debug!(
            held,
            descriptors,
            "holding as many connections as descriptors allow"
        );
    }
    held
}

/// Connections that a limit of descriptors has room for.
fn share(descriptors: usize) -> NonZeroUsize {
    let others = OTHERS.min(descriptors / 4);
    let half = descriptors.saturating_sub(others) / 2;
    NonZeroUsize::new(half).unwrap_or(NonZeroUsize::MIN)
}

/// The soft limit of this process; `None` where there is none, or none can be read.
fn soft_limit() -> Option<usize> {
    parse(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// Reads the soft limit of open files from a table as Linux gives it: name, soft, hard, unit.
fn parse(limits: &str) -> Option<usize> {
    let values = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    // "unlimited" is no number, and no limit.
    values.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(soft: &str) -> String {
        format!(
            "Limit                     Soft Limit           Hard Limit           Units     \n\
             Max processes             96365                96365                processes \n\
             Max open files            {soft:<20} 524288               files     \n\
             Max locked memory         8388608              8388608              bytes     \n"
        )
    }

    #[test]
    fn the_soft_limit_is_read() {
        assert_eq!(parse(&table("1024")), Some(1024));
        assert_eq!(parse(&table("1073741816")), Some(1_073_741_816));
    }

    #[test]
    fn what_is_no_limit_is_none() {
        for limits in ["", "Max open files", "Max processes 1 2 processes"] {
            assert_eq!(parse(limits), None, "{limits:?}");
        }
        assert_eq!(parse(&table("unlimited")), None);
        assert_eq!(parse(&table("-1")), None);
    }

    #[test]
    fn at_least_half_is_left_however_few_there_are() {
        for descriptors in 0..5000 {
            let share = share(descriptors).get();
            assert!(
                share <= (descriptors / 2).max(1),
                "{share} of {descriptors}"
            );
        }
        assert_eq!(share(1024).get(), 448);
        assert_eq!(share(65_536).get(), 32_704);
    }

    #[test]
    fn what_fits_is_not_changed() {
        assert_eq!(cap(NonZeroUsize::MIN, true), NonZeroUsize::MIN);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_process_itself_can_be_asked() {
        let most = cap(NonZeroUsize::MAX, true);
        assert_eq!(soft_limit().map(share), Some(most));
    }
}
