//! buttress-route
