//! Generated pipelines, the action that they call, and the pipelines in the guide: each is valid for its CI
//! system and describes the graph correctly.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]

mod action;
mod example;
#[path = "../common/expect.rs"]
mod expect;
mod graphs;
mod hostile;
mod limits;
mod pages;
#[path = "../common/program.rs"]
mod program;
mod random;
mod schema;
#[path = "../common/shown.rs"]
mod shown;
mod systems;
