//! Histograms of any shape through protobuf.

use std::time::Duration;

use buttress_core::metric::{Exemplar, Family, Histogram, Kind, Value};
use buttress_core::trace_context::TraceContext;
use buttress_telemetry::exposition::Format;

use super::bytes::Bytes;
use crate::read::{self, Read};

/// All of it comes back; native buckets that cannot be are left out, and the classic ones stay.
pub fn protobuf_roundtrip(data: &[u8]) {
    let histogram = histogram(&mut Bytes(data));
    let value = Value::Histogram(histogram.clone());
    let family = Family::new("m_seconds", Kind::Histogram, "M.").with(vec![], value);
    let page = Format::Protobuf.encode(&[family]);
    let families = read::protobuf::read(&page).unwrap();
    let [family] = families.as_slice() else {
        panic!("{families:?}");
    };
    let read = family.histograms.values().next().unwrap();
    let (native, zero) = native(&histogram).unwrap_or_default();
    let classic = histogram.classic.iter().copied();
    assert_eq!((read.count, read.sum), (histogram.count, histogram.sum));
    assert!(
        read.classic
            .iter()
            .copied()
            .eq(classic.chain([(f64::INFINITY, histogram.count)]))
    );
    assert_eq!(read.native, native);
    assert_eq!(read.zero, zero);
    exemplars_are_where_they_belong(&histogram, read);
}

/// The native part: its buckets, and what is below them.
type Native = (Vec<(i32, u64)>, (f64, u64));

/// What has to be read of it, if there is one.
fn native(histogram: &Histogram) -> Option<Native> {
    let (low, high) = histogram.octaves;
    let mut last = low * 64;
    let mut total = histogram.below.saturating_add(histogram.above);
    for (index, count) in &histogram.native {
        let fits = *index > last && *index <= high * 64;
        last = fits.then_some(*index)?;
        total = total.saturating_add(*count);
    }
    let above = (1024 * 64 + 1, histogram.above);
    let buckets = histogram.native.iter().copied().chain([above]);
    let filled = buckets.filter(|(_, count)| *count > 0).collect();
    let zero = (f64::from(low).exp2(), histogram.below);
    (total == histogram.count).then_some((filled, zero))
}

fn exemplars_are_where_they_belong(histogram: &Histogram, read: &Read) {
    assert!(read.exemplars.len() <= histogram.exemplars.len());
    assert_eq!(read.exemplars.is_empty(), histogram.exemplars.is_empty());
    for (id, value, at) in &read.exemplars {
        let same = |each: &&Exemplar| {
            format!("{:032x}", each.trace_id) == *id
                && each.value.to_bits() == value.to_bits()
                && each.at.as_millis() == u128::from(*at)
        };
        assert!(histogram.exemplars.iter().any(|each| same(&each)));
    }
}

fn histogram(bytes: &mut Bytes<'_>) -> Histogram {
    let mut histogram = Histogram::default();
    let shape = bytes.u8();
    (histogram.below, histogram.above) = (u64::from(bytes.u8()), u64::from(bytes.u8()));
    let mut index = i32::from(bytes.u16().cast_signed() >> 4);
    for _ in 0..bytes.u8() % 64 {
        let count = u64::from(bytes.u16());
        histogram.native.push((index, count << (shape & 0x1f)));
        // Now and then not ascending.
        index += i32::from(bytes.u8() % 70) - i32::from(shape >= 0xf0);
    }
    let native = histogram.native.iter().map(|(_, count)| *count);
    let all = native.chain([histogram.below, histogram.above]);
    let lost = u64::from(shape >= 0xe0);
    histogram.count = all.fold(0, u64::saturating_add).saturating_sub(lost);
    histogram.sum = f64::from(bytes.u16());
    let mut at_or_below = 0;
    for nth in 0..bytes.u8() % 16 {
        at_or_below += u64::from(bytes.u8());
        histogram.classic.push((f64::from(nth) / 4.0, at_or_below));
    }
    for nth in 0..u64::from(bytes.u8() % 8) {
        let trace = TraceContext::new(u128::from(nth) + 1, 1 + bytes.u64() / 2, true).unwrap();
        let value = f64::from(bytes.u16()) / 10_000.0;
        let at = Duration::from_millis(u64::from(bytes.u16()) << 24);
        histogram.exemplars.push(Exemplar::new(&trace, value, at));
    }
    histogram
}
