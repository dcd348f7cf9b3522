//! What an engine is to attest of the images that it builds: their SBOM, and where they come from.
//!
//! Owns the words for it, which are those of `docker build`: `true`, `false`, or parameters
//! `NAME=VALUE,…`. The parameters themselves are BuildKit's (its `docs/attestations`), and are passed
//! on as they are, but for a mode that does not exist.

use std::fmt;

/// What is attested; nothing by default. A parameter is as BuildKit takes it; an empty text means its
/// own defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attestations {
    /// The parameters of the SBOM (`generator=IMAGE`), where there is to be one.
    pub sbom: Option<String>,
    /// The parameters of the provenance (`mode=max`), likewise.
    pub provenance: Option<String>,
}

/// What can be attested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A list of what is in the image.
    Sbom,
    /// What the image was built of, and how.
    Provenance,
}

/// What was said of one kind: to attest it with these parameters, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said(pub Option<String>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_deref() {
            None => "false",
            Some("") => "true",
            Some(parameters) => parameters,
        })
    }
}

impl Kind {
    /// Reads what is said of it.
    ///
    /// # Errors
    /// Where that is neither `true` nor `false` nor parameters.
    pub fn read(self, text: &str) -> Result<Said, String> {
        match text {
            "true" => return Ok(Said(Some(String::new()))),
            "false" => return Ok(Said(None)),
            _ => {}
        }
        for part in text.split(',') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if name.is_empty() || value.is_empty() {
                let example = self.example();
                return Err(format!("write `true`, `false`, or parameters such as `{example}`"));
            }
            if self == Kind::Provenance && name == "mode" && !matches!(value, "min" | "max") {
                return Err(format!("there are the modes `min` and `max`, and no `{value}`"));
            }
        }
        Ok(Said(Some(text.to_owned())))
    }

    fn example(self) -> &'static str {
        match self {
            Kind::Sbom => "generator=docker/buildkit-syft-scanner",
            Kind::Provenance => "mode=max",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Sbom => "sbom",
            Kind::Provenance => "provenance",
        })
    }
}

impl Attestations {
    /// The kinds that are attested, with their parameters.
    pub fn wanted(&self) -> impl Iterator<Item = (Kind, &str)> {
        let all = [(Kind::Sbom, &self.sbom), (Kind::Provenance, &self.provenance)];
        all.into_iter().filter_map(|(kind, parameters)| Some((kind, parameters.as_deref()?)))
    }

    /// Whether nothing is attested.
    pub fn is_empty(&self) -> bool {
        self.wanted().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read_as_docker_build_reads_it() {
        let check = |kind: Kind, text, expected: Result<Option<&str>, &str>| {
            let read = kind.read(text).map(|said| said.0);
            assert_eq!(read.as_ref().map(Option::as_deref).map_err(String::as_str), expected);
        };
        check(Kind::Sbom, "true", Ok(Some("")));
        check(Kind::Sbom, "false", Ok(None));
        check(Kind::Sbom, "generator=a/b:1", Ok(Some("generator=a/b:1")));
        check(Kind::Provenance, "mode=max,version=v1", Ok(Some("mode=max,version=v1")));
        let example = "write `true`, `false`, or parameters such as `mode=max`";
        check(Kind::Provenance, "", Err(example));
        check(Kind::Provenance, "max", Err(example));
        check(Kind::Provenance, "mode=min,", Err(example));
        check(
            Kind::Provenance,
            "mode=full",
            Err("there are the modes `min` and `max`, and no `full`"),
        );
        let both = Attestations { sbom: Some(String::new()), provenance: Some("mode=min".into()) };
        let wanted: Vec<_> = both.wanted().map(|(kind, it)| format!("{kind} {it}")).collect();
        assert_eq!(wanted, ["sbom ", "provenance mode=min"]);
        assert!(Attestations::default().is_empty() && !both.is_empty());
    }
}
