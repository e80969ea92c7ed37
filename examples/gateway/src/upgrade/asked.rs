//! A handshake on its way: what its client asked for, and what becomes of the answer.

use std::sync::Arc;
use std::time::Duration;

use buttress::correlation::InCurrentScope as _;
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::rules::{Allowed, is_same, only};
use super::tunnel::Tunnel;
use crate::body::ResponseBody;
use crate::headers::strip_response;
use crate::server::{Afterwards, StreamPlace};
use crate::timed::HeadTimes;

/// What a client asked its connection to become. In the extensions of its request, down to whoever sends it.
#[derive(Clone, Debug)]
pub(crate) struct Asked(Arc<Handshake>);

#[derive(Debug)]
struct Handshake {
    client: OnUpgrade,
    /// Over HTTP/2.
    stream: Option<StreamPlace>,
    protocol: HeaderValue,
    allowed: Arc<Allowed>,
}

impl Asked {
    /// By `client`, which is a connection or a `stream` of one, to become `protocol`.
    pub(super) fn new(
        client: OnUpgrade,
        stream: Option<StreamPlace>,
        protocol: HeaderValue,
        allowed: Arc<Allowed>,
    ) -> Self {
        Self(Arc::new(Handshake {
            client,
            stream,
            protocol,
            allowed,
        }))
    }

    /// Asks in the gateway's own words. The client's are gone by then, and with them all that they nominated.
    pub(crate) fn of<B>(self, request: &mut Request<B>) {
        self.say(request.headers_mut());
        request.extensions_mut().insert(self);
    }

    /// Whether it is a stream for which there is no place among the connections.
    pub(crate) fn lacks_a_place(&self) -> bool {
        self.0.stream.as_ref().is_some_and(StreamPlace::is_lacking)
    }

    /// Whether its client takes an answer of this `status` for an agreement: over HTTP/2 each success is one (RFC 9110 §9.3.6).
    pub(crate) fn is_agreed_to_by(&self, status: StatusCode) -> bool {
        self.0.stream.is_some() && status.is_success()
    }

    /// Passes on a `101` of `endpoint`, which may take nothing for as long as `stuck`, and what its connection goes on
    /// with. `None` if it is not what was asked for, or no `101`; there is none before HTTP/1.1 (RFC 9110 §7.8).
    pub(crate) fn answered(
        self,
        mut response: Response<Incoming>,
        endpoint: &HeadTimes,
        stuck: Duration,
    ) -> Option<Response<ResponseBody>> {
        let Handshake {
            client,
            stream,
            protocol,
            allowed,
        } = &*self.0;
        let is_switch = response.status() == StatusCode::SWITCHING_PROTOCOLS
            && response.version() == Version::HTTP_11;
        let named = only(response.headers()).filter(|_| is_switch);
        named.filter(|named| is_same(protocol, named.as_bytes()))?;
        let upstream = hyper::upgrade::on(&mut response);
        strip_response(response.headers_mut());
        // There is none in what has no body (RFC 9110 §8.6).
        response.headers_mut().remove(CONTENT_LENGTH);
        self.say(response.headers_mut());
        let tunnel = Tunnel::new(
            (client.clone(), upstream),
            allowed.limits(stuck),
            allowed.tunnels.open(),
            endpoint.tunnel(),
        );
        // What it says at its end it says under the ID of the request that opened it.
        let carried = tunnel.carry().in_current_scope();
        let place = stream.clone();
        response
            .extensions_mut()
            .insert(Afterwards::new(async move {
                carried.await;
                drop(place);
            }));
        Some(response.map(|_| ResponseBody::empty()))
    }

    fn say(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.0.protocol.clone());
    }
}
