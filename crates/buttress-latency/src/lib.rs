//! buttress-latency
