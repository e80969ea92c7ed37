//! buttress-correlation
