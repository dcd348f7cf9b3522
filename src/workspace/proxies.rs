//! The proxies that builds get from the docker configuration.
//!
//! Owns which entry counts: that of the engine which the docker command would use.

use std::ffi::OsString;

use crate::base::error::usage;
use crate::credentials::BuildProxies;
use crate::engine::Attestations;
use crate::engine::attest::Kind;
use crate::engine::docker::endpoint::{self, Environment};

use super::Invocation;

/// What the environment says of Docker's engine.
pub fn docker_environment(at: &Invocation) -> Environment {
    Environment::read(|name| at.environment.var(name).map(OsString::from))
}

/// The proxies for the engine that the environment means.
///
/// # Errors
/// Where the docker configuration can't be read.
pub fn read(at: &Invocation) -> anyhow::Result<BuildProxies> {
    let environment = docker_environment(at);
    // Where there is no engine, whoever needs one says why.
    let address = endpoint::resolve(&environment).map(|found| found.address.to_string());
    BuildProxies::read(environment.config.as_deref(), &address.unwrap_or_default())
}

/// Refuses to publish the password of a proxy: a provenance of any mode but `min` holds all build
/// arguments (moby/buildkit, `docs/attestations/slsa-provenance.md`).
///
/// # Errors
/// Where a build would do so.
pub fn check(proxies: &BuildProxies, attestations: &Attestations) -> anyhow::Result<()> {
    let mut wanted = attestations.wanted();
    let is_open = wanted.any(|(kind, parameters)| {
        kind == Kind::Provenance && !parameters.split(',').any(|it| it == "mode=min")
    });
    if !is_open || proxies.secrets().is_empty() {
        return Ok(());
    }
    Err(usage("the provenance would publish the password of the proxy in Docker's configuration")
        .hint("use `--provenance=mode=min`, which leaves build arguments out")
        .into())
}
