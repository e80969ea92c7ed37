//! An async function behind a breaker, without any service.
//!
//! ```sh
//! cargo run -p buttress-breaker --example plain_function
//! ```
#![allow(clippy::print_stdout, reason = "it shows what happens")]

use buttress_breaker::{Breaker, BreakerError, Config, Rule, State};
use buttress_core::outcome::{FailureKind, Outcome};

/// What went wrong with a query.
enum QueryError {
    /// The database could not be reached.
    Io(std::io::Error),
    /// It answered that the query makes no sense.
    Syntax,
}

/// The function that can fail.
async fn query(sql: &str) -> Result<u64, QueryError> {
    tokio::task::yield_now().await;
    match sql {
        "select 1" => Ok(1),
        "down" => Err(QueryError::Io(std::io::ErrorKind::ConnectionRefused.into())),
        _ => Err(QueryError::Syntax),
    }
}

/// What an answer says of the database.
const fn judge(answer: Result<&u64, &QueryError>) -> Outcome {
    match answer {
        // What it says of the query, it has said: the database works.
        Ok(_) | Err(QueryError::Syntax) => Outcome::Success,
        Err(QueryError::Io(_)) => Outcome::Failure(FailureKind::Transport),
    }
}

/// The same behind a breaker. If this future is dropped while it waits the call is abandoned: neither a
/// failure nor a success.
async fn guarded(breaker: &Breaker, sql: &str) -> Result<u64, BreakerError<QueryError>> {
    breaker.call_classified(judge, || query(sql)).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = [Rule::ConsecutiveFailures(3)];
    let breaker = Breaker::new("database", Config::for_database().rules(rules))?;
    for sql in ["select 1", "selekt", "down", "down", "down", "select 1"] {
        let said = match guarded(&breaker, sql).await {
            Ok(answer) => answer.to_string(),
            Err(BreakerError::Inner(QueryError::Io(error))) => error.to_string(),
            Err(BreakerError::Inner(QueryError::Syntax)) => "no such query".to_owned(),
            Err(rejected) => rejected
                .rejected()
                .map_or_else(String::new, ToString::to_string),
        };
        println!("{sql}: {said}; {}", breaker.state());
    }
    assert_eq!(breaker.state(), State::Open);
    if let Some(verdict) = breaker.handle().snapshot().verdict {
        println!("{verdict}");
    }
    Ok(())
}
