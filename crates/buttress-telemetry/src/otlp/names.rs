//! What a metric and its labels are called by OpenTelemetry.

use crate::exposition::Merged;

/// How a metric is called there.
pub(super) struct Called {
    pub(super) name: &'static str,
    /// In UCUM.
    pub(super) unit: &'static str,
}

/// The metrics of the HTTP conventions: the page's name, theirs, the unit.
const CONVENTIONS: [(&str, &str, &str); 7] = [
    (
        "http_server_request_duration_seconds",
        "http.server.request.duration",
        "s",
    ),
    (
        "http_client_request_duration_seconds",
        "http.client.request.duration",
        "s",
    ),
    (
        "http_server_active_requests",
        "http.server.active_requests",
        "{request}",
    ),
    (
        "http_server_request_body_size_bytes",
        "http.server.request.body.size",
        "By",
    ),
    (
        "http_server_response_body_size_bytes",
        "http.server.response.body.size",
        "By",
    ),
    (
        "http_client_request_body_size_bytes",
        "http.client.request.body.size",
        "By",
    ),
    (
        "http_client_response_body_size_bytes",
        "http.client.response.body.size",
        "By",
    ),
];

/// The units that end a name, as they are written there.
const UNITS: [(&str, &str); 3] = [("_seconds", "s"), ("_bytes", "By"), ("_ratio", "1")];

/// The attributes of the conventions by the page's label, and whether they are integers.
const ATTRIBUTES: [(&str, &str, bool); 8] = [
    ("http_request_method", "http.request.method", false),
    (
        "http_response_status_code",
        "http.response.status_code",
        true,
    ),
    ("http_route", "http.route", false),
    ("url_scheme", "url.scheme", false),
    ("error_type", "error.type", false),
    ("server_address", "server.address", false),
    ("server_port", "server.port", true),
    (
        "network_protocol_version",
        "network.protocol.version",
        false,
    ),
];

pub(super) fn of(family: &Merged<'_>) -> Called {
    let known = CONVENTIONS.iter().find(|(page, _, _)| *page == family.name);
    if let Some(&(_, name, unit)) = known {
        return Called { name, unit };
    }
    let with_unit = UNITS.iter().find_map(|&(suffix, unit)| {
        let name = family.name.strip_suffix(suffix)?;
        Some((name, unit))
    });
    let (name, unit) = with_unit.unwrap_or((family.name, ""));
    Called { name, unit }
}

/// An attribute's name, and whether its value is an integer.
pub(super) fn attribute(label: &'static str) -> (&'static str, bool) {
    let known = ATTRIBUTES.iter().find(|(page, _, _)| *page == label);
    known.map_or((label, false), |&(_, name, integer)| (name, integer))
}
