//! Arguments → command → exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    layers::command::run(layers::cli::Cli::parse()).into()
}
