//! buttress-testing
