//! Measures single layers beside their peers, call by call.

use std::process::ExitCode;

fn main() -> ExitCode {
    calls::measured()
}
