//! Drawing by weight in constant time: Walker's alias method, built by Vose's algorithm.

use buttress_core::rng::Bits;

/// Each place is drawn alike, and passes some of its draws on to its alias.
#[derive(Debug)]
pub(crate) struct AliasTable(Box<[Place]>);

#[derive(Clone, Copy, Debug)]
struct Place {
    /// The share of its draws that the place keeps.
    keeps: f64,
    alias: usize,
}

impl AliasTable {
    /// A table that draws each index by its weight.
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut places: Vec<Place> = weights
            .enumerate()
            .map(|(alias, keeps)| Place { keeps, alias })
            .collect();
        let mean = places.iter().map(|it| it.keeps).sum::<f64>() / places.len().max(1) as f64;
        for place in &mut places {
            place.keeps /= mean;
        }
        share_out(&mut places);
        Self(places.into_boxed_slice())
    }

    /// The index that these bits draw: by the place that they fall on and where in it, that one or its alias.
    #[inline]
    pub(crate) fn draw(&self, bits: Bits) -> usize {
        let (index, at) = bits.within(self.0.len());
        match self.0.get(index) {
            Some(place) if at >= place.keeps => place.alias,
            _ => index,
        }
    }
}

/// Fills each place that has less than its fill from one that has more.
fn share_out(places: &mut [Place]) {
    let (mut small, mut large): (Vec<usize>, Vec<usize>) = (0..places.len())
        .partition(|&index| places.get(index).is_some_and(|place| place.keeps < 1.0));
    while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
        let Some(place) = places.get_mut(poor) else {
            return;
        };
        place.alias = rich;
        let missing = 1.0 - place.keeps;
        let Some(place) = places.get_mut(rich) else {
            return;
        };
        place.keeps -= missing;
        if place.keeps < 1.0 {
            large.pop();
            small.push(rich);
        }
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::rng::Rng;

    use super::*;

    #[test]
    fn each_index_is_drawn_by_its_weight() {
        let weights = [1.0, 2.0, 3.0, 4.0, 10.0, 0.5];
        let table = AliasTable::new(weights.into_iter());
        let rng = Rng::seeded(3);
        let mut counts = [0_u32; 6];
        for _ in 0..205_000 {
            counts[table.draw(rng.bits())] += 1;
        }
        for (count, weight) in counts.into_iter().zip(weights) {
            let expected = weight * 10_000.0;
            assert!(
                (f64::from(count) - expected).abs() < expected * 0.06,
                "{counts:?}"
            );
        }
    }
}
