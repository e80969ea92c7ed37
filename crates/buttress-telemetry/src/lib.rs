//! buttress-telemetry
