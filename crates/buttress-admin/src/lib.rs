//! buttress-admin
