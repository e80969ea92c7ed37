//! Any, by weight or not.

use super::draw;
use crate::alias::AliasTable;
use crate::view::View;

/// How often is drawn anew because the one drawn is out, before all are looked at.
pub(super) const DRAWS: usize = 8;

pub(super) fn uniform(view: &View<'_>) -> Option<usize> {
    drawn(view, None).or_else(|| view.any())
}

pub(super) fn by_weight(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    drawn(view, draws).or_else(|| view.any_by_weight())
}

/// One that takes traffic, if a few draws find one.
#[inline]
pub(super) fn drawn(view: &View<'_>, draws: Option<&AliasTable>) -> Option<usize> {
    let mut drawn = (0..DRAWS).map(|_| draw(view, draws));
    drawn.find(|&index| view.get(index).is_some())
}
