//! The proxies that builds get from Docker's configuration.
//!
//! Owns which entry applies: that of the engine that the docker command would use.

use std::ffi::OsString;

use crate::base::error::usage;
use crate::credentials::BuildProxies;
use crate::engine::Attestations;
use crate::engine::attest::AttestationKind;
use crate::engine::docker::endpoint::{self, EndpointEnvironment};

use super::Invocation;

/// Returns the environment variables that select a Docker engine.
pub fn docker_environment(at: &Invocation) -> EndpointEnvironment {
    EndpointEnvironment::read(|name| at.environment.var(name).map(OsString::from))
}

/// Returns the proxies for the engine that the environment selects.
///
/// # Errors
/// Returns an error if Docker's configuration cannot be read.
pub fn read(at: &Invocation) -> anyhow::Result<BuildProxies> {
    let environment = docker_environment(at);
    // If there is no engine, the code that needs one reports why.
    let address = endpoint::resolve(&environment).map(|found| found.address.to_string());
    BuildProxies::read(environment.config.as_deref(), &address.unwrap_or_default())
}

/// Refuses to publish the password of a proxy: a provenance in any mode but `min` contains all build arguments
/// (moby/buildkit, `docs/attestations/slsa-provenance.md`).
///
/// # Errors
/// Returns an error if a build would publish one.
pub fn check(proxies: &BuildProxies, attestations: &Attestations) -> anyhow::Result<()> {
    let mut requests = attestations.enabled();
    let is_open = requests.any(|(kind, parameters)| {
        kind == AttestationKind::Provenance && !parameters.split(',').any(|it| it == "mode=min")
    });
    if !is_open || proxies.secrets().is_empty() {
        return Ok(());
    }
    Err(usage("the provenance would expose the password of the proxy in Docker's configuration")
        .hint("use `--provenance=mode=min`, which omits build arguments")
        .into())
}
