//! Proof that what is measured does its work: the layers are in the path, and the metrics count.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Error;

const WAIT: Duration = Duration::from_secs(10);

/// One answer through the gateway carries a correlation ID.
pub(super) async fn carries_an_id(gateway: SocketAddr) -> Result<(), Error> {
    let answer = get(gateway, "/compare").await?;
    let has_id = answer
        .split("\r\n")
        .take_while(|line| !line.is_empty())
        .any(|line| line.to_ascii_lowercase().starts_with("x-correlation-id:"));
    if !has_id {
        return Err("the gateway's answer has no x-correlation-id: its layers are off".into());
    }
    Ok(())
}

/// The gateway's own metrics count at least `sent` requests, and its breaker and pool are there.
pub(super) async fn metrics_count(admin: SocketAddr, sent: u64) -> Result<(), Error> {
    let page = get(admin, "/metrics").await?;
    for family in ["buttress_breaker_state", "buttress_endpoint_picks_total"] {
        if !page.contains(family) {
            return Err(format!("the gateway's metrics have no {family}: a layer is off").into());
        }
    }
    let counted = counted(&page);
    if counted < sent as f64 {
        return Err(format!("the gateway counts {counted} requests of {sent} sent").into());
    }
    Ok(())
}

/// The sum of the request histogram's counts over all series of a Prometheus page.
fn counted(page: &str) -> f64 {
    page.lines()
        .filter(|line| line.starts_with("http_server_request_duration_seconds_count"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

async fn get(address: SocketAddr, path: &str) -> Result<String, Error> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    timeout(WAIT, exchange)
        .await
        .map_err(|_| format!("{address} does not answer {path}"))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_series() {
        let page = "# TYPE http_server_request_duration_seconds histogram\n\
            http_server_request_duration_seconds_count{route=\"a\"} 3\n\
            http_server_request_duration_seconds_sum{route=\"a\"} 9.5\n\
            http_server_request_duration_seconds_count{route=\"b\"} 4\n";
        assert!((counted(page) - 7.0).abs() < f64::EPSILON);
    }
}
