//! What the families are called, for servers, for clients and for calls to any service.

use buttress_core::metric::{Family, Kind};

/// The families of one side of a call.
pub(super) struct Names {
    durations: Name,
    heads: Name,
    streams: Name,
    waits: Name,
    quantiles: Name,
    request_bodies: Name,
    response_bodies: Name,
}

/// Name and help.
type Name = (&'static str, &'static str);

pub(super) const SERVER: Names = Names {
    durations: (
        "http_server_request_duration_seconds",
        "How long HTTP exchanges took, from the call of the service to the end of the response's body \
         or until they were abandoned.",
    ),
    heads: (
        "buttress_http_server_request_head_duration_seconds",
        "How long it took to the heads of HTTP responses, from the call of the service. An answer \
         that begins well is here as a success, whatever becomes of its body.",
    ),
    streams: (
        "buttress_http_server_stream_duration_seconds",
        "How long HTTP exchanges lasted whose answers are long-lived streams: event streams, switched \
         protocols, routes that say so. They are in no other duration but the heads'.",
    ),
    waits: (
        "buttress_http_server_request_waiting_duration_seconds",
        "How long callers waited for the service to be ready before they could call it: of those that \
         had to, all others waited for nothing.",
    ),
    quantiles: (
        "buttress_http_request_duration_quantile_seconds",
        "Quantiles of the duration of HTTP exchanges over rolling windows, right to 0.55 %. Absent \
         where there are too few samples. Not to be added up or averaged.",
    ),
    request_bodies: (
        "http_server_request_body_size_bytes",
        "How many bytes of the bodies of HTTP requests passed.",
    ),
    response_bodies: (
        "http_server_response_body_size_bytes",
        "How many bytes of the bodies of HTTP responses passed.",
    ),
};

pub(super) const CLIENT: Names = Names {
    durations: (
        "http_client_request_duration_seconds",
        "How long HTTP requests to an endpoint took, from their being sent to the end of the \
         response's body or until they were abandoned.",
    ),
    heads: (
        "buttress_http_client_request_head_duration_seconds",
        "How long it took an endpoint to the heads of its HTTP responses. An answer that begins well \
         is here as a success, whatever becomes of its body.",
    ),
    streams: (
        "buttress_http_client_stream_duration_seconds",
        "How long HTTP requests to an endpoint lasted whose answers are long-lived streams: event \
         streams, switched protocols. They are in no other duration but the heads'.",
    ),
    waits: (
        "buttress_http_client_request_waiting_duration_seconds",
        "How long HTTP requests waited for an endpoint's client to be ready: of those that had to, all \
         others waited for nothing.",
    ),
    quantiles: (
        "buttress_http_client_request_duration_quantile_seconds",
        "Quantiles of the duration of HTTP requests to an endpoint over rolling windows, right to \
         0.55 %. Absent where there are too few samples. Not to be added up or averaged.",
    ),
    request_bodies: (
        "http_client_request_body_size_bytes",
        "How many bytes of the bodies of HTTP requests to an endpoint passed.",
    ),
    response_bodies: (
        "http_client_response_body_size_bytes",
        "How many bytes of the bodies of HTTP an endpoint's responses passed.",
    ),
};

pub(super) const CALLS: Names = Names {
    durations: (
        "buttress_call_duration_seconds",
        "How long calls to services took, until they returned or were abandoned.",
    ),
    // A call has neither head nor body, and no points of these.
    heads: ("buttress_call_head_duration_seconds", ""),
    streams: ("buttress_call_stream_duration_seconds", ""),
    waits: (
        "buttress_call_waiting_duration_seconds",
        "How long callers waited for a service to be ready before they could call it: of those that \
         had to, all others waited for nothing.",
    ),
    quantiles: (
        "buttress_call_duration_quantile_seconds",
        "Quantiles of the duration of calls to services over rolling windows, right to 0.55 %. Absent \
         where there are too few samples. Not to be added up or averaged.",
    ),
    request_bodies: ("buttress_call_request_body_size_bytes", ""),
    response_bodies: ("buttress_call_response_body_size_bytes", ""),
};

impl Names {
    pub(super) const fn durations(&self) -> Family {
        histogram(self.durations)
    }

    pub(super) const fn heads(&self) -> Family {
        histogram(self.heads)
    }

    pub(super) const fn streams(&self) -> Family {
        histogram(self.streams)
    }

    pub(super) const fn waits(&self) -> Family {
        histogram(self.waits)
    }

    pub(super) const fn request_bodies(&self) -> Family {
        histogram(self.request_bodies)
    }

    pub(super) const fn response_bodies(&self) -> Family {
        histogram(self.response_bodies)
    }

    pub(super) const fn quantiles(&self) -> Family {
        let (name, help) = self.quantiles;
        Family::new(name, Kind::Gauge, help)
    }
}

const fn histogram((name, help): Name) -> Family {
    Family::new(name, Kind::Histogram, help)
}
