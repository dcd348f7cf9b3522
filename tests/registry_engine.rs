//! Images that are shared through a registry: real engines with separate stores, and a real registry.
//!
//! Each machine is a Docker daemon of the test. A proxy in front of the registry counts requests, and breaks
//! responses as a test requires.

#![expect(clippy::unwrap_used, reason = "a test that can't go on says where it stopped")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

#[path = "registry_engine/affected.rs"]
mod affected;
#[path = "common/expect.rs"]
mod expect;
#[path = "registry_engine/faulty.rs"]
mod faulty;
#[path = "registry_engine/foreign.rs"]
mod foreign;
#[path = "registry_engine/identities.rs"]
mod identities;
#[path = "registry_engine/killed.rs"]
mod killed;
#[path = "registry_engine/logins.rs"]
mod logins;
#[path = "registry_engine/misbehavior.rs"]
mod misbehavior;
#[path = "registry_engine/pipeline.rs"]
mod pipeline;
#[path = "registry_engine/releases.rs"]
mod releases;
#[path = "registry_engine/shared.rs"]
mod shared;
#[path = "registry_engine/uploads.rs"]
mod uploads;
#[path = "registry_engine/vanishing.rs"]
mod vanishing;
#[path = "registry_engine/world.rs"]
mod world;

mod common;
