//! buttress-tests
