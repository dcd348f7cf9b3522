//! The binary on small trees, with its whole output compared.

mod build;
mod completions;
mod config;
mod engine;
mod errors;
mod fresh;
mod graph;
mod graph_build_files;
mod graph_svg;
mod graph_view;
mod harness;
mod holes;
mod init;
mod interrupt;
mod log;
mod log_broken;
mod man;
mod names;
mod pipes;
mod pull;
mod report;
mod rules;
mod run;
mod secrets;
mod since;
mod terminal;
