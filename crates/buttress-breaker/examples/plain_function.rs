//! An async function behind a breaker, without any service: ask before, tell after.
//!
//! ```sh
//! cargo run -p buttress-breaker --example plain_function
//! ```
#![allow(clippy::print_stdout, reason = "it shows what happens")]

use buttress_breaker::{Breaker, Config, Rule, State};
use buttress_core::outcome::{FailureKind, Outcome};
use buttress_core::reject::Rejected;

/// What went wrong with a query.
enum QueryError {
    /// The database was not asked.
    Rejected(Rejected),
    /// It was, and could not be reached.
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

/// The same behind a breaker. If this future is dropped while it waits, so is the permit, and the call
/// is abandoned: neither a failure nor a success.
async fn guarded(breaker: &Breaker, sql: &str) -> Result<u64, QueryError> {
    let permit = breaker.try_acquire().map_err(QueryError::Rejected)?;
    let answer = query(sql).await;
    permit.record(match &answer {
        // What it says of the query, it has said: the database works.
        Ok(_) | Err(QueryError::Syntax) => Outcome::Success,
        Err(QueryError::Io(_)) => Outcome::Failure(FailureKind::Transport),
        Err(QueryError::Rejected(_)) => Outcome::Ignored,
    });
    answer
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rules = [Rule::ConsecutiveFailures(3)];
    let breaker = Breaker::new("database", Config::for_database().rules(rules))?;
    for sql in ["select 1", "selekt", "down", "down", "down", "select 1"] {
        let said = match guarded(&breaker, sql).await {
            Ok(answer) => answer.to_string(),
            Err(QueryError::Rejected(rejected)) => rejected.to_string(),
            Err(QueryError::Io(error)) => error.to_string(),
            Err(QueryError::Syntax) => "no such query".to_owned(),
        };
        println!("{sql}: {said}; {}", breaker.state());
    }
    assert_eq!(breaker.state(), State::Open);
    if let Some(verdict) = breaker.handle().snapshot().verdict {
        println!("{verdict}");
    }
    Ok(())
}
