//! `layers` builds the container images of one repository in dependency order.
//!
//! The pipeline, from left to right, one room after another:
//!
//! ```text
//! options → sources → Dockerfiles + diagnostics → graph → inputs → plan → events → tally → exit code
//!           scan      parse                       graph   inputs   plan   schedule         exit
//! ```
//!
//! [`scan`] finds Dockerfiles and reads them; [`parse`] turns each into a tree with spans and
//! never fails; [`graph`] evaluates them with their arguments, gives images their names, and
//! links what they need into an acyclic graph; [`inputs`] says what each image is made of; [`plan`]
//! compares that with what an [`engine`] holds and says what a run has to do; [`schedule`] does it,
//! and tells it as [`event`]s;
//! [`report`] says those events to people. [`workspace`] is a repository as read, and [`session`] an
//! operation on it. [`command`] has a verb per file, each a prefix of this
//! pipeline. [`base`] holds the small types that all rooms speak in.
//!
//! ARCHITECTURE.md says which room may import which, and why.

// The file, line and reason of a failure must reach the user. Tests may unwrap.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]
// Printing is report's affair; a stray print would break the standard output for scripts.
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
