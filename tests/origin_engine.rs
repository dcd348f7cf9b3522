//! Which image counts for a key, on the real engine: those that `layers` built, and none that was built on one
//! of them, whatever name it gets.
//!
//! Needs an engine and Debian's busybox-static; `LAYERS_TEST_NO_ENGINE=1` says that there is none.

#![expect(clippy::disallowed_methods, reason = "tests drive programs")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]

mod common;
#[path = "origin_engine/externals.rs"]
mod externals;
#[path = "origin_engine/foreign.rs"]
mod foreign;
#[path = "origin_engine/own.rs"]
mod own;
#[path = "origin_engine/tree.rs"]
mod tree;
