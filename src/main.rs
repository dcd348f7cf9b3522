//! Arguments → command → exit code.

use std::process::ExitCode;

/// glibc's allocator grows the memory of each further thread by a page at a time and asks the kernel
/// each time: for 10,000 images 30,000 times, which was a quarter of all the time they took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let answered = layers::workspace::completion::answer_shell();
    let run = || match layers::cli::parse(std::env::args_os()) {
        Ok(cli) => layers::command::run(cli),
        Err(error) => layers::command::refuse(&error),
    };
    answered.unwrap_or_else(run).into()
}
