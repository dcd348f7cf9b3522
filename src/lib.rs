//! `layers` builds the container images of a repository in dependency order.
//!
//! The pipeline, from left to right, one module after another:
//!
//! ```text
//! options → sources → Dockerfiles + diagnostics → graph → inputs → plan → events → tally → exit code
//!           scan      parse                       graph   inputs   plan   schedule         exit
//! ```
//!
//! - [`scan`] finds Dockerfiles and reads them.
//! - [`parse`] turns each of them into a tree with spans, and never fails.
//! - [`graph`] evaluates them with their build arguments, names the images, and links images and dependencies into an
//!   acyclic graph.
//! - [`inputs`] determines what each image is made of.
//! - [`plan`] compares that with what the store of an [`engine`] contains, and decides what a run has to do.
//! - [`schedule`] runs the plan and reports it as [`event`]s.
//! - [`report`] prints those events.
//! - [`workspace`] is the repository as read, and [`session`] is an operation on it.
//! - [`command`] has one file per verb. Each verb is a prefix of this pipeline.
//! - [`base`] has the small types that all modules use.
//!
//! ARCHITECTURE.md says which module may import which, and why.

// An unwrap would hide the file, line, and reason of a failure from the user. Tests may unwrap.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]
// Only `report` prints: a stray print would corrupt stdout for scripts.
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod base;
pub mod cli;
pub mod command;
pub mod credentials;
pub mod engine;
pub mod event;
pub mod exit;
pub mod export;
pub mod graph;
pub mod inputs;
pub mod lint;
pub mod parse;
pub mod plan;
pub mod process;
pub mod registry;
pub mod report;
pub mod scan;
pub mod schedule;
pub mod session;
pub mod state;
pub mod workspace;
