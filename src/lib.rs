//! `layers` builds the container images of one repository in dependency order.

pub mod base;
pub mod engine;
pub mod graph;
pub mod inputs;
pub mod parse;
pub mod process;
pub mod scan;
