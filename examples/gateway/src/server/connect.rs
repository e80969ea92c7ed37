//! A `CONNECT` over HTTP/2 that is answered: what a `101` is there, and how the stream goes on after it.

use http::header::{CONNECTION, HeaderName, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{Response, StatusCode};

use super::activity::Exchange;
use super::afterwards::Afterwards;
use super::drain::Phase;

/// What a `101` says that has no meaning over HTTP/2.
static OF_A_SWITCH: [HeaderName; 3] = [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT];

/// Makes a `101` the `200` that says the same over HTTP/2 (RFC 8441 §5), and goes on with what it stands for, in a task of
/// its own: the connection carries other requests. To the connection the exchange lasts until then. Of such tasks
/// there are no more than places for connections, of which each holds one.
#[cold]
pub(super) fn answered<B>(response: &mut Response<B>, exchange: &mut Option<Exchange>) {
    let agreed = response.extensions_mut().remove::<Afterwards>();
    let Some(work) = agreed.as_ref().and_then(Afterwards::take) else {
        return;
    };
    *response.status_mut() = StatusCode::OK;
    for name in &OF_A_SWITCH {
        response.headers_mut().remove(name);
    }
    let Some(mut exchange) = exchange.take() else {
        return;
    };
    // Who takes nothing of it has a limit there.
    exchange.wait_for_service();
    let cut = exchange.drain().reached(Phase::Cut);
    tokio::spawn(async move {
        tokio::select! {
            () = work => {}
            () = cut => {}
        }
        drop(exchange);
    });
}
