//! The values of a template's placeholders for one Dockerfile.
//!
//! Owns the parts of a Dockerfile's path and the default name of an image.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::RelPath;
use crate::graph::naming::{LATEST, NamePart, NamingSettings};
use crate::scan::config::{OF_GIT, PlaceholderError};

/// The values of one image.
#[derive(Clone)]
pub(super) struct Values<'a> {
    pub(super) path: &'a RelPath,
    /// The captures of its group's pattern.
    pub(super) captures: &'a BTreeMap<String, String>,
    /// The stage to build, if it is set.
    pub(super) target: Option<&'a str>,
    /// The name of the image, once it is known.
    pub(super) name: Option<&'a str>,
    pub(super) naming: &'a NamingSettings,
    /// The value of `{version}`. `None` means the first version.
    pub(super) version: Option<&'a str>,
    /// Whether to leave `{namespace}` and `{app}` unfilled, so that they can be inferred.
    pub(super) leaves_names_open: bool,
    /// Whether the template is for a name, in which the `/` of a path becomes `-`.
    pub(super) is_name: bool,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        path: &'a RelPath,
        captures: &'a BTreeMap<String, String>,
        target: Option<&'a str>,
        naming: &'a NamingSettings,
    ) -> Values<'a> {
        let (name, version, leaves_names_open, is_name) = (None, None, false, false);
        Values { path, captures, target, name, naming, version, leaves_names_open, is_name }
    }

    /// Returns the value of a placeholder, or `None` if the placeholder does not exist.
    pub(super) fn find(&self, name: &str) -> Option<Result<String, PlaceholderError>> {
        let setting = |part: &'a Option<NamePart>, hint: &str| match part {
            _ if self.leaves_names_open => Ok(Cow::from(format!("{{{name}}}"))),
            Some(part) => Ok(part.value.as_str().into()),
            None => Err(PlaceholderError::unset(name, hint)),
        };
        let value = match name {
            "dir" => Ok(self.directory().into()),
            "parent" => Ok(self.above(2).into()),
            "path" => Ok(self.whole_directory()),
            "stem" => Ok(self.stem().unwrap_or(self.directory()).into()),
            "usual" => Ok(self.usual_name().into()),
            "target" => Ok(self.target.unwrap_or_default().into()),
            "name" => match self.name {
                Some(name) => Ok(name.into()),
                None => {
                    Err(PlaceholderError::unset(name, "use `{dir}`, the name of the directory"))
                }
            },
            "version" => {
                let first = self.naming.versions.first().map(|version| version.value.as_str());
                Ok(self.version.or(first).unwrap_or(LATEST).into())
            }
            "namespace" => {
                setting(&self.naming.namespace, "set `namespace` in `layers.toml`, or REPO_NS")
            }
            "app" => setting(&self.naming.app, "set `app` in `layers.toml`, or APP_NAME"),
            _ if OF_GIT.contains(&name) => Err(PlaceholderError::new(
                format!("`{{{name}}}` is only supported in tags"),
                "use it in `version`, and `{version}` in a `reference`",
            )),
            _ => return None,
        };
        Some(value.map(Cow::into_owned))
    }

    /// Returns the default name: the directory of a plain Dockerfile, the directory and the
    /// extension of `Dockerfile.dev`, or the stem of `app.Dockerfile`. A Dockerfile in the root
    /// directory needs no directory in its name.
    pub(super) fn usual_name(&self) -> String {
        match (self.stem(), self.extension()) {
            (Some(extension), true) if !self.path.parent().is_root() => {
                format!("{}-{extension}", self.directory())
            }
            (stem, _) => stem.unwrap_or(self.directory()).to_owned(),
        }
    }

    fn directory(&self) -> &'a str {
        self.above(1)
    }

    /// Returns the name of the directory this many levels above the Dockerfile.
    fn above(&self, steps: usize) -> &'a str {
        self.path.parts().rev().nth(steps).unwrap_or(&self.naming.directory)
    }

    fn whole_directory(&self) -> Cow<'a, str> {
        match self.path.as_str().rsplit_once('/') {
            Some((directory, _)) if self.is_name => directory.replace('/', "-").into(),
            Some((directory, _)) => directory.into(),
            None if self.is_name => self.naming.directory.as_str().into(),
            None => ".".into(),
        }
    }

    /// Returns the part of the file name other than `Dockerfile`, or `None` for a plain Dockerfile.
    fn stem(&self) -> Option<&'a str> {
        let file = self.path.file_name().unwrap_or_default();
        let stem = match (plain_word(file), self.extension()) {
            (Some(word), true) => &file[word..],
            (Some(_), false) => return None,
            (None, _) => file.rsplit_once('.').map_or(file, |(stem, _)| stem),
        };
        Some(stem.trim_matches(['.', '-', '_'])).filter(|stem| !stem.is_empty())
    }

    /// Returns whether the file name is `Dockerfile` followed by more.
    fn extension(&self) -> bool {
        let file = self.path.file_name().unwrap_or_default();
        plain_word(file).is_some_and(|word| file.len() > word)
    }
}

/// Returns the length of the word `Dockerfile` (or `Containerfile`) at the start of a file name.
fn plain_word(file: &str) -> Option<usize> {
    ["dockerfile", "containerfile"].into_iter().map(str::len).find(|length| {
        file.get(..*length).is_some_and(|word| {
            word.eq_ignore_ascii_case("dockerfile") || word.eq_ignore_ascii_case("containerfile")
        })
    })
}
