//! Proof of origin on a real engine: images that `layers` built count for a key. An image that was built on
//! one of them does not, whatever its name.
//!
//! Needs an engine and Debian's busybox-static. Set `LAYERS_TEST_NO_ENGINE=1` if there is none.

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
