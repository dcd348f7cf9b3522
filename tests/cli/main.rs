//! The binary in small trees, with its complete output compared.

mod attest;
mod build;
mod ci;
mod completions;
mod config;
mod consent;
mod consent_answers;
mod consent_ci;
mod diff;
mod diff_limits;
mod docker_settings;
mod engine;
mod errors;
#[path = "../common/expect.rs"]
mod expect;
mod fresh;
mod git;
mod graph;
mod graph_build_files;
mod graph_svg;
mod graph_view;
mod harness;
mod holes;
mod hostile;
mod init;
mod interrupt;
mod lock;
mod log;
mod log_broken;
mod man;
mod names;
mod pipes;
#[path = "../common/program.rs"]
mod program;
mod pull;
mod report;
mod rules;
mod run;
mod secrets;
mod since;
mod since_conversions;
mod since_git;
mod since_modules;
mod state;
mod tags;
mod terminal;
