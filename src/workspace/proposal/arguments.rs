//! Build arguments that the FROM lines of a repository need and that no Dockerfile gives a value.
//!
//! Owns which arguments are missing, and values for them: what the repository's files pass, what another Dockerfile has
//! as default, or else a value that fits where the argument is used.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rayon::prelude::*;

use crate::base::RelPath;

use crate::graph::naming::LATEST;
use crate::graph::reference::Reference;
use crate::parse::expand::{Variables, expand};
use crate::parse::{Dockerfile, InstructionKind, parse};
use crate::scan::dockerfiles;

/// The arguments of all Dockerfiles of a repository.
pub(super) struct RepositoryArguments {
    files: Vec<(RelPath, Dockerfile, FileArguments)>,
}

impl RepositoryArguments {
    pub(super) fn read(root: &Path, paths: &[RelPath]) -> RepositoryArguments {
        let read = |path: &RelPath| {
            let text = dockerfiles::read(root, path).ok()?;
            let file = parse(&text.source);
            let arguments = FileArguments::of(&file, &BTreeMap::new());
            Some((path.clone(), file, arguments))
        };
        RepositoryArguments { files: paths.par_iter().filter_map(read).collect() }
    }

    /// Returns the names of all stages.
    pub(super) fn stages(&self) -> BTreeSet<String> {
        let stages = self.files.iter().flat_map(|(_, file, _)| &file.stages);
        stages.filter_map(|stage| stage.name.as_ref().map(|name| name.value.clone())).collect()
    }

    /// Returns the names of the arguments that the FROM lines of a Dockerfile use.
    pub(super) fn used(&self, path: &RelPath) -> BTreeSet<String> {
        self.of(path).map_or(BTreeSet::new(), |(.., arguments)| arguments.used.clone())
    }

    /// Returns whether all Dockerfiles whose FROM lines use an argument have this value as its default.
    pub(super) fn is_default(&self, name: &str, value: &str) -> bool {
        let mut users = self.files.iter().filter(|(.., it)| it.used.contains(name));
        users.all(|(.., it)| it.defaults.get(name).is_some_and(|default| default == value))
    }

    /// Returns the name of the last stage of a Dockerfile.
    pub(super) fn last_stage(&self, path: &RelPath) -> Option<&str> {
        let name = self.of(path)?.1.stages.last()?.name.as_ref()?;
        Some(&name.value)
    }

    fn of(&self, path: &RelPath) -> Option<&(RelPath, Dockerfile, FileArguments)> {
        self.files.binary_search_by(|(it, ..)| it.cmp(path)).ok().map(|at| &self.files[at])
    }

    /// Returns values for the arguments that are missing with the values `given` per Dockerfile. `namespace` is one that
    /// fits. The arguments of a Dockerfile get values only if all of its FROM lines are valid with them.
    pub(super) fn values_of_missing(
        &self,
        given: &BTreeMap<RelPath, BTreeMap<String, String>>,
        namespace: &str,
    ) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        for (path, file, arguments) in &self.files {
            let own = given.get(path).cloned().unwrap_or_default();
            let mut trial = values.clone();
            for (name, role) in
                arguments.missing.iter().filter(|(name, _)| !own.contains_key(*name))
            {
                let value = self.default_of(name).map(str::to_owned).or_else(|| match role {
                    ArgumentRole::Namespace => Some(namespace.to_owned()),
                    ArgumentRole::Tag => Some(LATEST.to_owned()),
                    ArgumentRole::Whole => {
                        self.namesake(name, path).map(|it| format!("{namespace}/{it}"))
                    }
                    ArgumentRole::Name => None,
                });
                trial.extend(value.map(|value| (name.clone(), value)));
            }
            let mut all = trial.clone();
            all.extend(own);
            if FileArguments::of(file, &all).is_valid {
                values = trial;
            }
        }
        values
    }

    /// Returns the most frequent default of an argument.
    fn default_of(&self, name: &str) -> Option<&str> {
        most_frequent(self.files.iter().filter_map(|(.., it)| it.defaults.get(name)))
    }

    /// Returns the name of the only directory with another Dockerfile that is named like an argument: `base` for
    /// `BASE_IMAGE`.
    fn namesake(&self, argument: &str, by: &RelPath) -> Option<String> {
        let argument = argument.to_lowercase();
        let name = argument.strip_suffix("_image").unwrap_or(&argument).replace('_', "-");
        let is_named = |path: &&RelPath| path.parent().file_name() == Some(name.as_str());
        let mut found = self.files.iter().map(|(path, ..)| path).filter(is_named);
        let only = found.next().filter(|path| *path != by)?;
        (found.next().is_none() && only != by).then_some(name)
    }
}

/// Where in a reference an argument is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ArgumentRole {
    /// Before the last `/`: a registry or a namespace.
    Namespace,
    /// After the last `:`.
    Tag,
    /// Everything.
    Whole,
    /// Part of the name.
    Name,
}

/// The arguments that a Dockerfile has.
#[derive(Debug, Default)]
struct FileArguments {
    /// The defaults, expanded, of those that have one.
    defaults: BTreeMap<String, String>,
    /// Those without which a FROM line has no valid reference.
    missing: BTreeMap<String, ArgumentRole>,
    /// Those that FROM lines use.
    used: BTreeSet<String>,
    /// Whether each FROM line has a valid reference.
    is_valid: bool,
}

/// The global arguments of a file, with a record of those that were used and are not set.
struct Globals<'a> {
    values: BTreeMap<String, String>,
    given: &'a BTreeMap<String, String>,
    used: RefCell<BTreeSet<String>>,
    unset: RefCell<BTreeSet<String>>,
}

impl Variables for Globals<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        self.used.borrow_mut().insert(name.to_owned());
        let value = self.given.get(name).or_else(|| self.values.get(name));
        if value.is_none_or(String::is_empty) {
            self.unset.borrow_mut().insert(name.to_owned());
        }
        value.map(String::as_str)
    }
}

impl FileArguments {
    /// Reads the arguments of a Dockerfile that is built with the arguments `given`.
    fn of(file: &Dockerfile, given: &BTreeMap<String, String>) -> FileArguments {
        let escape = file.directives.escape;
        let none = || RefCell::new(BTreeSet::new());
        let mut globals = Globals { values: predefined(), given, used: none(), unset: none() };
        let mut defaults = BTreeMap::new();
        for instruction in &file.globals {
            let InstructionKind::Arg(declarations) = &instruction.kind else { continue };
            for declaration in declarations {
                let Some(value) = &declaration.default else { continue };
                let Ok(value) = expand(&value.value, escape, &globals) else { continue };
                let value = value.into_owned();
                if !value.is_empty() {
                    defaults.insert(declaration.name.value.clone(), value.clone());
                }
                globals.values.insert(declaration.name.value.clone(), value);
            }
        }
        let mut missing = BTreeMap::new();
        let mut is_valid = true;
        for stage in &file.stages {
            globals.unset.borrow_mut().clear();
            let base = expand(&stage.base.value, escape, &globals).unwrap_or_default();
            if Reference::parse(&base).is_ok() {
                continue;
            }
            is_valid = false;
            for name in globals.unset.borrow().iter() {
                missing.insert(name.clone(), role_in(&stage.base.value, name));
            }
        }
        let used = globals.used.take();
        FileArguments { defaults, missing, used, is_valid }
    }
}

/// Returns values of the arguments that are always set, for the purpose of reading FROM lines.
fn predefined() -> BTreeMap<String, String> {
    let values = ["TARGET", "BUILD"].into_iter().flat_map(|kind| {
        [("PLATFORM", "linux/amd64"), ("OS", "linux"), ("ARCH", "amd64")]
            .map(|(part, value)| (format!("{kind}{part}"), value.to_owned()))
    });
    values.collect()
}

fn role_in(base: &str, name: &str) -> ArgumentRole {
    let braced = base.find(&format!("${{{name}"));
    let Some(at) = braced.or_else(|| base.find(&format!("${name}"))) else {
        return ArgumentRole::Name;
    };
    if base.trim_start_matches(['$', '{']).trim_end_matches('}') == name {
        return ArgumentRole::Whole;
    }
    match (base[at..].contains('/'), base[..at].rfind(':')) {
        (true, _) => ArgumentRole::Namespace,
        (false, Some(_)) => ArgumentRole::Tag,
        (false, None) => ArgumentRole::Name,
    }
}

fn most_frequent<'a>(values: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    counts
        .into_iter()
        .max_by_key(|(value, count)| (*count, std::cmp::Reverse(*value)))
        .map(|it| it.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Source;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, ArgumentRole)]) {
        let file = parse(&Source::new(RelPath::new("Dockerfile").unwrap(), text));
        let missing = FileArguments::of(&file, &BTreeMap::new()).missing;
        let missing: Vec<(&str, ArgumentRole)> =
            missing.iter().map(|(name, role)| (name.as_str(), *role)).collect();
        assert_eq!(missing, expected);
    }

    #[test]
    fn arguments_without_a_value_are_missing_where_the_reference_is_not_valid() {
        use ArgumentRole::{Name, Namespace, Tag, Whole};
        check("ARG BASE\nFROM $BASE\n", &[("BASE", Whole)]);
        check("FROM ${BASE:-debian}\n", &[]);
        check(
            "ARG NS\nARG VERSION\nFROM ${NS}/base:${VERSION}\n",
            &[("NS", Namespace), ("VERSION", Tag)],
        );
        check("ARG NS=acme\nARG VERSION\nFROM ${NS}/base:${VERSION}\n", &[("VERSION", Tag)]);
        check("ARG PREFIX\nFROM ${PREFIX}debian\n", &[]);
        check("ARG A\nARG B=$A\nFROM x:$B\n", &[("B", Tag)]);
        check("FROM debian:$TARGETARCH\n", &[]);
        check("FROM x-$A-\n", &[("A", Name)]);
    }

    #[test]
    fn a_value_is_a_default_elsewhere_or_fits_the_place() {
        let root = tempfile::tempdir().unwrap();
        let files = [
            ("a/Dockerfile", "ARG NS\nARG V\nFROM $NS/b:$V\n"),
            ("b/Dockerfile", "ARG V=2\nARG W\nFROM $W:$V\n"),
            ("base/Dockerfile", "FROM debian\n"),
            ("c/Dockerfile", "ARG BASE_IMAGE\nFROM $BASE_IMAGE\n"),
        ];
        let paths = files.map(|(path, text)| {
            let path = RelPath::new(path).unwrap();
            std::fs::create_dir_all(path.parent().under(root.path())).unwrap();
            std::fs::write(path.under(root.path()), text).unwrap();
            path
        });
        let arguments = RepositoryArguments::read(root.path(), &paths);
        let values = arguments.values_of_missing(&BTreeMap::new(), "acme");
        let values: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(values, [("BASE_IMAGE", "acme/base"), ("NS", "acme"), ("V", "2")]);
    }
}
