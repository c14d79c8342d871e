//! The program `weir`: parses the command line and hands it to a verb.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

/// Small batches come and go all the time; the system's allocator costs half as much again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Cli::parse())
}
