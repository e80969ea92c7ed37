//! buttress-breaker
