//! Counts what single layers and their peers ask of the allocator.

use std::alloc::System;
use std::process::ExitCode;

use mockalloc::Mockalloc;

/// The allocator that a program has if it chooses none, and a count of what it is asked for.
#[global_allocator]
static ALLOCATOR: Mockalloc<System> = Mockalloc(System);

fn main() -> ExitCode {
    calls::counted()
}
