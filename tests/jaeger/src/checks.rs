//! What has to hold of the trace.

use serde_json::Value;

use crate::CLAIMED;

/// A span as Jaeger tells it, with the name of its service.
struct Span<'a> {
    service: &'a str,
    all: &'a Value,
}

/// Fails unless `trace` is that of the request `id` through gateway, orders and stock, which the one of
/// the `replicas` answered that was asked second.
pub(crate) fn hold(trace: &Value, id: &str, replicas: &[String]) {
    let spans = spans(trace);
    // Server spans are called by their route, those of clients by the method alone.
    let one = |service: &str, name: &str, status: &str| {
        let called = |span: &&Span<'_>| {
            let is = span.service == service && span.all["operationName"] == name;
            is && span.tag("http.response.status_code") == status
        };
        let mut found = spans.iter().filter(called);
        let one = found.next();
        assert!(found.next().is_none(), "{trace:#}");
        one.unwrap_or_else(|| panic!("{service} has no {name:?} with {status}: {trace:#}"))
    };
    let edge = one("buttress-gateway", "GET orders", "200");
    let first = one("buttress-gateway", "GET", "503");
    let refused = one("orders", "GET /orders/{id}", "503");
    let second = one("buttress-gateway", "GET", "200");
    let order = one("orders", "GET /orders/{id}", "200");
    let asks = one("orders", "GET", "200");
    let stock = one("stock", "GET /stock/{item}", "200");

    for (parent, child) in [
        (edge, first),
        (first, refused),
        (edge, second),
        (second, order),
        (order, asks),
        (asks, stock),
    ] {
        let its = child.reference("CHILD_OF");
        assert_eq!(its, Some(parent.id()), "{trace:#}");
    }
    assert_eq!(
        edge.reference("CHILD_OF"),
        None,
        "a trace starts at the edge"
    );
    let link = edge.reference("FOLLOWS_FROM");
    assert_eq!(link, Some(CLAIMED), "it is linked to the client's own");
    assert_ne!(edge.id().0, CLAIMED.0);

    for span in &spans {
        span.has("correlation_id", id);
    }
    for span in [edge, second, order, asks, stock] {
        span.has("buttress.outcome", "success");
        span.has("error.type", "");
    }
    for span in [first, refused] {
        span.has("error.type", "503");
        span.has("buttress.outcome", "failure");
    }
    decisions(edge, first, second, replicas);
    order.has("http.route", "/orders/{id}");
    stock.has("network.protocol.version", "1.1");
    assert!(!trace.to_string().contains("canary"), "{trace:#}");
}

/// What breaker and router decided.
fn decisions(edge: &Span<'_>, first: &Span<'_>, second: &Span<'_>, replicas: &[String]) {
    edge.has("http.route", "orders");
    edge.has("url.path", "/orders/42");
    edge.has("buttress.breaker", "orders");
    edge.has("buttress.admission", "ordinary");
    edge.has("http.request.resend_count", "");
    first.has("http.request.resend_count", "");
    second.has("http.request.resend_count", "1");
    for span in [edge, first, second] {
        span.has("buttress.pool", "orders");
    }
    let mut asked = [first, second].map(|attempt| {
        let endpoint = attempt.tag("buttress.endpoint");
        let (host, port) = endpoint.rsplit_once(':').unwrap();
        attempt.has("server.address", host);
        attempt.has("server.port", port);
        attempt.has("url.full", &format!("http://{endpoint}/orders/42"));
        endpoint
    });
    edge.has("buttress.endpoint", &asked[1]);
    let mut replicas = replicas.to_vec();
    replicas.sort();
    asked.sort();
    assert_eq!(asked[..], replicas[..], "another endpoint was asked");
}

fn spans(trace: &Value) -> Vec<Span<'_>> {
    let spans = trace["spans"].as_array().unwrap();
    let named = spans.iter().map(|span| {
        let process = span["processID"].as_str().unwrap();
        Span {
            service: trace["processes"][process]["serviceName"].as_str().unwrap(),
            all: span,
        }
    });
    named.collect()
}

impl Span<'_> {
    fn id(&self) -> (&str, &str) {
        let text = |key: &str| self.all[key].as_str().unwrap();
        (text("traceID"), text("spanID"))
    }

    /// What it refers to in this way.
    fn reference(&self, kind: &str) -> Option<(&str, &str)> {
        let all = self.all["references"].as_array()?;
        let mut found = all.iter().filter(|reference| reference["refType"] == kind);
        let one = found.next()?;
        assert!(found.next().is_none(), "{:#}", self.all);
        Some((one["traceID"].as_str()?, one["spanID"].as_str()?))
    }

    /// A tag as text; empty where there is none.
    fn tag(&self, key: &str) -> String {
        let tags = self.all["tags"].as_array().unwrap();
        let tag = tags.iter().find(|tag| tag["key"] == key);
        match tag.map(|tag| &tag["value"]) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }

    fn has(&self, key: &str, value: &str) {
        assert_eq!(self.tag(key), value, "{key} of {:#}", self.all);
    }
}
