//! The attestations of an image: its SBOM and its provenance.
//!
//! Owns the syntax of their options, which is that of `docker build`: `true`, `false`, or parameters
//! `NAME=VALUE,…`. The parameters are BuildKit's (its `docs/attestations`) and are passed on unchanged; only `mode`
//! is checked.

use std::fmt;

/// The attestations to create; none by default. Parameters are BuildKit's; an empty string selects its defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attestations {
    /// The parameters of the SBOM (`generator=IMAGE`); `None` creates no SBOM.
    pub sbom: Option<String>,
    /// The parameters of the provenance (`mode=max`); `None` creates no provenance.
    pub provenance: Option<String>,
}

/// A kind of attestation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttestationKind {
    /// The contents of the image.
    Sbom,
    /// What the image was built from, and how.
    Provenance,
}

/// The value of an option for one kind: its parameters, or `None` to leave the attestation out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttestationOption(pub Option<String>);

impl fmt::Display for AttestationOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_deref() {
            None => "false",
            Some("") => "true",
            Some(parameters) => parameters,
        })
    }
}

impl AttestationKind {
    /// Parses the value of this kind's option.
    ///
    /// # Errors
    /// Returns an error if the text is not `true`, `false`, or a list of parameters, or if `mode` is unknown.
    pub fn read(self, text: &str) -> Result<AttestationOption, String> {
        match text {
            "true" => return Ok(AttestationOption(Some(String::new()))),
            "false" => return Ok(AttestationOption(None)),
            _ => {}
        }
        for part in text.split(',') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if name.is_empty() || value.is_empty() {
                let example = self.example();
                return Err(format!("expected `true`, `false`, or parameters such as `{example}`"));
            }
            if self == AttestationKind::Provenance
                && name == "mode"
                && !matches!(value, "min" | "max")
            {
                return Err(format!("unknown mode `{value}`: expected `min` or `max`"));
            }
        }
        Ok(AttestationOption(Some(text.to_owned())))
    }

    fn example(self) -> &'static str {
        match self {
            AttestationKind::Sbom => "generator=docker/buildkit-syft-scanner",
            AttestationKind::Provenance => "mode=max",
        }
    }
}

impl fmt::Display for AttestationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AttestationKind::Sbom => "sbom",
            AttestationKind::Provenance => "provenance",
        })
    }
}

impl Attestations {
    /// Returns the kinds to attest, with their parameters.
    pub fn enabled(&self) -> impl Iterator<Item = (AttestationKind, &str)> {
        let all =
            [(AttestationKind::Sbom, &self.sbom), (AttestationKind::Provenance, &self.provenance)];
        all.into_iter().filter_map(|(kind, parameters)| Some((kind, parameters.as_deref()?)))
    }

    /// Returns whether there is nothing to attest.
    pub fn is_empty(&self) -> bool {
        self.enabled().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attestation_options_are_parsed_like_docker_build() {
        let check = |kind: AttestationKind, text, expected: Result<Option<&str>, &str>| {
            let read = kind.read(text).map(|option| option.0);
            assert_eq!(read.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
        };
        check(AttestationKind::Sbom, "true", Ok(Some("")));
        check(AttestationKind::Sbom, "false", Ok(None));
        check(AttestationKind::Sbom, "generator=a/b:1", Ok(Some("generator=a/b:1")));
        check(AttestationKind::Provenance, "mode=max,version=v1", Ok(Some("mode=max,version=v1")));
        let example = "expected `true`, `false`, or parameters such as `mode=max`";
        check(AttestationKind::Provenance, "", Err(example));
        check(AttestationKind::Provenance, "max", Err(example));
        check(AttestationKind::Provenance, "mode=min,", Err(example));
        check(
            AttestationKind::Provenance,
            "mode=full",
            Err("unknown mode `full`: expected `min` or `max`"),
        );
        let both = Attestations { sbom: Some(String::new()), provenance: Some("mode=min".into()) };
        let kinds: Vec<_> = both.enabled().map(|(kind, it)| format!("{kind} {it}")).collect();
        assert_eq!(kinds, ["sbom ", "provenance mode=min"]);
        assert!(Attestations::default().is_empty() && !both.is_empty());
    }
}
