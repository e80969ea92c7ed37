//! buttress-health
