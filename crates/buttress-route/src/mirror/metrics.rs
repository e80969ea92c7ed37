//! A mirror as metric families.

use std::borrow::Cow;

use buttress_core::metric::{Collect, Family, Kind, Value};

use super::handle::MirrorHandle;

impl Collect for MirrorHandle {
    fn collect(&self, into: &mut Vec<Family>) {
        let seen = self.snapshot();
        let mirror = || ("mirror", Cow::Owned(seen.mirror.to_string()));
        let help = "Copies of requests, by what became of them.";
        let mut copies = Family::new("buttress_mirror_copies", Kind::Counter, help);
        for &(result, count) in &seen.copies {
            let result = ("result", Cow::Borrowed(result));
            copies.push(vec![mirror(), result], Value::Counter(count));
        }
        into.push(copies);
        let help = "Copies of requests that are under way.";
        let in_flight = Family::new("buttress_mirror_in_flight", Kind::Gauge, help);
        let now = Value::Gauge(seen.in_flight as f64);
        into.push(in_flight.with(vec![mirror()], now));
    }
}
