//! Pipelines that are made from the graph, the action that they call, and those that the guide shows:
//! each is what its system takes, and says of the graph what the graph is.

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
