//! A snapshot in about two bytes a bucket, for what is kept.

use crate::bucket::{BELOW, Slot};
use crate::snapshot::{Extremes, Snapshot};

/// For each slot that holds anything: how far it is from the one before and its count, each in as
/// many bytes as it takes, seven bits to a byte.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Box<[u8]>,
    sum: u64,
}

impl Packed {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let mut bytes = Vec::with_capacity(3 * snapshot.slots().len());
        let mut before = BELOW;
        for (slot, count) in snapshot.slots() {
            write(&mut bytes, u64::from(slot.0 - before.0));
            write(&mut bytes, *count);
            before = *slot;
        }
        Self {
            bytes: bytes.into_boxed_slice(),
            sum: snapshot.sum_nanos(),
        }
    }

    /// What was packed, but for the extremes that are known better than by their buckets.
    pub(super) fn unpack(&self) -> Snapshot {
        let mut snapshot = Snapshot::with_room_for(self.bytes.len() / 2);
        for (slot, count) in self.slots() {
            snapshot.push(slot, count);
        }
        snapshot.set_sum(self.sum);
        if !snapshot.is_empty() {
            snapshot.set_extremes(Extremes::UNKNOWN);
        }
        snapshot
    }

    pub(super) const fn sum_nanos(&self) -> u64 {
        self.sum
    }

    /// The slots with their counts, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = (Slot, u64)> + '_ {
        let mut bytes = self.bytes.iter();
        let mut slot = BELOW;
        std::iter::from_fn(move || {
            let gap = read(&mut bytes)?;
            slot = Slot(
                slot.0
                    .saturating_add(u16::try_from(gap).unwrap_or(u16::MAX)),
            );
            Some((slot, read(&mut bytes)?))
        })
    }
}

#[inline]
fn write(bytes: &mut Vec<u8>, mut number: u64) {
    // Two at once: most counts of a slice.
    if (0x80..0x4000).contains(&number) {
        bytes.extend_from_slice(&[(number & 0x7F) as u8 | 0x80, (number >> 7 & 0x7F) as u8]);
        return;
    }
    while number > 0x7F {
        bytes.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7F) as u8);
}

#[inline]
fn read<'a>(bytes: &mut impl Iterator<Item = &'a u8>) -> Option<u64> {
    let first = *bytes.next()?;
    let mut number = u64::from(first & 0x7F);
    if first & 0x80 == 0 {
        return Some(number);
    }
    let mut shift = 7;
    loop {
        let byte = *bytes.next()?;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::ABOVE;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_packed_is_unpacked(
            counts in proptest::collection::btree_map(0..=ABOVE.0, 1..=u64::MAX, 0..100),
        ) {
            let mut snapshot = Snapshot::default();
            for (slot, count) in &counts {
                snapshot.push(Slot(*slot), *count);
            }
            let unpacked: Vec<_> = Packed::of(&snapshot).slots().collect();
            prop_assert_eq!(&unpacked, snapshot.slots());
        }
    }

    #[test]
    fn a_bucket_of_a_slice_takes_two_bytes() {
        let mut snapshot = Snapshot::default();
        for slot in 100..600 {
            snapshot.push(Slot(slot), 100);
        }
        assert_eq!(Packed::of(&snapshot).bytes.len(), 1000);
    }
}
