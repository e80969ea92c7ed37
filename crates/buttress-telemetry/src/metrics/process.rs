//! What the kernel says of this process.

use buttress_core::metric::{Collect, Family};

/// The `process_*` metrics that Prometheus' own clients have: time on processors, memory, descriptors,
/// threads, and when the process began. On other systems than Linux there are none.
///
/// Each scrape reads four small files of the kernel, some tens of microseconds.
///
/// ```
/// use std::sync::Arc;
/// use buttress_telemetry::metrics::{Metrics, ProcessMetrics};
///
/// let metrics = Metrics::new();
/// metrics.register(Arc::new(ProcessMetrics::new()));
/// if cfg!(target_os = "linux") {
///     assert!(metrics.render().contains("process_cpu_seconds_total "));
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessMetrics(());

impl ProcessMetrics {
    /// Of the process that this is called in.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Collect for ProcessMetrics {
    fn collect(&self, into: &mut Vec<Family>) {
        #[cfg(target_os = "linux")]
        into.extend(linux::families());
        #[cfg(not(target_os = "linux"))]
        let _ = into;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::time::Duration;

    use buttress_core::metric::{Family, Kind, Value};
    use procfs::process::{LimitValue, Limits, Process, Stat};
    use procfs::{ProcResult, WithCurrentSystemInfo};

    /// None if the kernel shows nothing, as where `/proc` is not mounted.
    pub(super) fn families() -> Vec<Family> {
        let Ok(process) = Process::myself() else {
            return Vec::new();
        };
        let stat = process.stat().ok();
        let limits = process.limits().ok();
        let descriptors = process.fd_count().ok();
        let of_stat = stat.iter().flat_map(of_stat);
        let limited = limits.iter().flat_map(of_limits);
        let open = descriptors.map(|count| {
            let help = "Open file descriptors, sockets among them.";
            gauge("process_open_fds", help, count as f64)
        });
        of_stat.chain(open).chain(limited).collect()
    }

    fn of_stat(stat: &Stat) -> Vec<Family> {
        let mut families = vec![
            processors(stat),
            gauge(
                "process_resident_memory_bytes",
                "Memory of the process that is held in RAM.",
                stat.rss_bytes().get() as f64,
            ),
            gauge(
                "process_virtual_memory_bytes",
                "Addresses that the process has reserved.",
                stat.vsize as f64,
            ),
            gauge(
                "process_threads",
                "Threads of the process.",
                stat.num_threads as f64,
            ),
        ];
        families.extend(began(stat).ok().map(|seconds| {
            let help = "When the process began, in seconds since the Unix epoch.";
            gauge("process_start_time_seconds", help, seconds)
        }));
        families
    }

    fn processors(stat: &Stat) -> Family {
        let help = "Time on processors, in user space and in the kernel.";
        let seconds = in_seconds(stat.utime.saturating_add(stat.stime));
        let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Family::new("process_cpu_seconds", Kind::Counter, help).with(vec![], Value::Time(time))
    }

    fn began(stat: &Stat) -> ProcResult<f64> {
        Ok(procfs::boot_time_secs()? as f64 + in_seconds(stat.starttime))
    }

    fn in_seconds(ticks: u64) -> f64 {
        ticks as f64 / procfs::ticks_per_second().max(1) as f64
    }

    fn of_limits(limits: &Limits) -> Vec<Family> {
        let limit = |name, help, limit| match limit {
            LimitValue::Value(value) => Some(gauge(name, help, value as f64)),
            LimitValue::Unlimited => None,
        };
        let families = [
            limit(
                "process_max_fds",
                "File descriptors that the process may have open. Absent where there is no limit.",
                limits.max_open_files.soft_limit,
            ),
            limit(
                "process_virtual_memory_max_bytes",
                "Addresses that the process may reserve. Absent where there is no limit.",
                limits.max_address_space.soft_limit,
            ),
        ];
        families.into_iter().flatten().collect()
    }

    fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
        Family::new(name, Kind::Gauge, help).with(vec![], Value::Gauge(value))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn value(name: &str) -> f64 {
            let families = families();
            let family = families.iter().find(|family| family.name == name);
            match family.unwrap().points[0].value {
                Value::Gauge(value) => value,
                Value::Time(time) => time.as_secs_f64(),
                ref other => panic!("{other:?}"),
            }
        }

        #[test]
        fn what_is_opened_is_seen() {
            let before = value("process_open_fds");
            let files: Vec<_> = (0..100)
                .map(|_| std::fs::File::open("/proc/self/stat").unwrap())
                .collect();
            // Others of this process may close some meanwhile, though hardly half as many.
            assert!(value("process_open_fds") > before + 50.0);
            assert!(value("process_max_fds") > files.len() as f64);
        }

        #[test]
        fn memory_is_in_bytes_and_the_beginning_is_in_the_past() {
            let block = vec![1_u8; 64 << 20];
            assert!(value("process_resident_memory_bytes") > block.len() as f64);
            assert!(value("process_virtual_memory_bytes") > block.len() as f64);
            assert!(value("process_threads") >= 1.0);
            assert!(value("process_cpu_seconds") >= 0.0);
            let now = buttress_core::clock::Clock::default().since_1970();
            let age = now.as_secs_f64() - value("process_start_time_seconds");
            assert!((-2.0..86_400.0).contains(&age), "{age}");
        }
    }
}
