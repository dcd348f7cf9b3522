//! Which attestations are requested.
//!
//! Owns that the command line takes precedence over `layers.toml`.

use crate::base::{Diagnostic, Rule};
use crate::cli::GlobalArgs;
use crate::engine::Attestations;
use crate::engine::attest::{AttestationKind, AttestationOption};
use crate::scan::config::{ArgumentValue, ConfigFile};

/// Returns the requested attestations: those of the command line, or else those of `layers.toml`. A value there that is
/// not valid becomes a diagnostic.
pub fn resolve(global: &GlobalArgs, file: &ConfigFile) -> (Attestations, Vec<Diagnostic>) {
    let mut problems = Vec::new();
    let mut choose = |kind: AttestationKind,
                      option: &Option<AttestationOption>,
                      setting: &Option<toml::Spanned<ArgumentValue>>| {
        if let Some(AttestationOption(parameters)) = option {
            return parameters.clone();
        }
        let setting = setting.as_ref()?;
        match kind.read(&setting.get_ref().to_string()) {
            Ok(AttestationOption(parameters)) => parameters,
            Err(message) => {
                let span = ConfigFile::span(setting);
                let text = format!("`{kind}` is not valid: {message}");
                problems.push(Diagnostic::new(Rule::Config, text).at(&file.source, span, ""));
                None
            }
        }
    };
    let config = &file.config;
    let sbom = choose(AttestationKind::Sbom, &global.sbom, &config.sbom);
    let provenance = choose(AttestationKind::Provenance, &global.provenance, &config.provenance);
    (Attestations { sbom, provenance }, problems)
}
