//! Users who ask whether they are answered or not, and what they see.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use buttress::core::clock::{Clock, Instant};
use http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use crate::world::Routed;

/// So often somebody asks.
const EVERY: Duration = Duration::from_millis(10);
/// Who leaves does so after this.
const PATIENCE: Duration = Duration::from_millis(100);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The host of this name answered.
    By(String),
    Failed,
    /// The user left.
    Left,
}

/// What one user saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When the request was sent, in milliseconds.
    pub asked: u64,
    /// How long it took, in milliseconds.
    pub took: u64,
    pub end: End,
}

pub struct Users {
    pub service: Routed,
    pub clock: Clock,
    pub leave: bool,
    pub answers: Arc<Mutex<Vec<Answer>>>,
}

impl Users {
    /// Sends requests in an open loop, and waits until all have ended.
    pub async fn ask_for(self, duration: Duration) {
        let begun = self.clock.now();
        let all = Arc::new(self);
        let mut asking = tokio::task::JoinSet::new();
        let mut times = tokio::time::interval(EVERY);
        for _ in 0..duration.as_millis() / EVERY.as_millis() {
            times.tick().await;
            let all = Arc::clone(&all);
            asking.spawn_local(async move { all.ask(begun).await });
        }
        while let Some(ended) = asking.join_next().await {
            ended.unwrap();
        }
    }

    async fn ask(&self, begun: Instant) {
        let asked = self.clock.now();
        let end = if self.leave {
            let asking = tokio::time::timeout(PATIENCE, self.exchange());
            asking.await.unwrap_or(End::Left)
        } else {
            self.exchange().await
        };
        self.answers.lock().unwrap().push(Answer {
            asked: millis(asked.saturating_since(begun)),
            took: millis(self.clock.now().saturating_since(asked)),
            end,
        });
    }

    async fn exchange(&self) -> End {
        let answered = self.service.clone().oneshot(Request::new(())).await;
        let Ok(response) = answered else {
            return End::Failed;
        };
        if !response.status().is_success() {
            return End::Failed;
        }
        match response.into_body().collect().await {
            Ok(body) => End::By(String::from_utf8_lossy(&body.to_bytes()).into_owned()),
            Err(_) => End::Failed,
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap()
}
