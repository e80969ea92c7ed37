//! Why telemetry could not be set up.

use std::fmt;

/// Telemetry could not be set up. Nothing has been installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitError {
    /// The filter's directives make no sense.
    Filter(String),
    /// The name of a format of lines means none.
    Format(String),
    /// The collector's address makes no sense, or cannot be reached by what was built in.
    Endpoint(String),
    /// Whoever runs this process has installed a subscriber already.
    AlreadySet,
    /// The exporter's own threads could not be started.
    Thread(String),
}

impl fmt::Display for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter(problem) => {
                write!(
                    f,
                    "log filter: {problem}, expected the form info,hyper=warn"
                )
            }
            Self::Format(name) => {
                write!(f, "log format: {name:?} is none, expected human or json")
            }
            Self::Endpoint(problem) => write!(f, "otlp endpoint: {problem}"),
            Self::AlreadySet => f.write_str("a global tracing subscriber is set already"),
            Self::Thread(problem) => write!(f, "the exporter cannot start: {problem}"),
        }
    }
}

impl std::error::Error for InitError {}
