//! The difference between two keys, as data.
//!
//! Owns what may differ between the current inputs of an image and those that it was built from. Changes are
//! ordered by interest to the reader: the instructions first, then files, then dependencies. `report` turns them
//! into sentences.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use serde::{Deserialize, Serialize};

use super::files::{FileInputs, FileList};
use super::gather::OwnInputs;
use super::key::{DependencyInputs, Inputs};
use crate::base::{Location, Platform, UnitId};
use crate::graph::Dependency;
use crate::graph::context_directory::ContextDirectory;
use crate::graph::reference::Reference;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A file has different content, or is of a different type.
    FileChanged {
        /// The path relative to the repository's root, or `NAME:PATH` in a named context outside of it.
        path: String,
    },
    /// A file was added.
    FileAdded {
        /// The path.
        path: String,
    },
    /// A file was removed, or is no longer read.
    FileRemoved {
        /// The path.
        path: String,
    },
    /// A file or directory has different permissions.
    ModeChanged {
        /// The path.
        path: String,
        /// The current permission bits, in octal.
        now: String,
        /// The former permission bits.
        was: String,
    },
    /// An instruction differs, or is the one after removed instructions.
    Instruction {
        /// The location.
        at: Location,
    },
    /// The `ONBUILD` triggers of a base differ.
    Triggers {
        /// The `FROM` that runs them.
        at: Location,
    },
    /// A build argument, a label, or another option of the build has a different value.
    Argument {
        /// The name.
        name: String,
        /// The current value; `None` if it has none.
        now: Option<String>,
        /// The former value.
        was: Option<String>,
    },
    /// The platform differs.
    Platform {
        /// The current platform.
        now: Platform,
        /// The former platform.
        was: Platform,
    },
    /// The frontend of the Dockerfile differs.
    Syntax,
    /// An external image differs.
    External {
        /// Its reference.
        reference: Reference,
        /// Whether the engine has it now.
        #[serde(rename = "held")]
        in_engine: bool,
    },
    /// A parent differs.
    Parent {
        /// Its name.
        image: String,
    },
}

/// Returns the differences between a unit and the inputs that it was built from. `name` returns the name of a unit.
pub fn changes(own: &OwnInputs, was: &Inputs, name: &dyn Fn(UnitId) -> String) -> Vec<Change> {
    let now = &own.inputs;
    let mut changes = Vec::new();
    if (&now.syntax, now.escape) != (&was.syntax, was.escape) {
        changes.push(Change::Syntax);
    }
    if now.platform != was.platform {
        let (now, was) = (now.platform.clone(), was.platform.clone());
        changes.push(Change::Platform { now, was });
    }
    changes.extend(changed_instructions(own, was));
    changes.extend(changed_arguments(now, was));
    changes.extend(changed_files(own, was));
    changes.extend(changed_dependencies(own, was, name));
    changes
}

/// Returns whether anything differs apart from the identities of dependencies. If so, the image is stale, whatever
/// its parents turn out to be.
pub fn differs_by_itself(now: &Inputs, was: &Inputs) -> bool {
    let without = |inputs: &Inputs| {
        let mut inputs = inputs.clone();
        inputs.dependencies.iter_mut().for_each(|dependency| dependency.identify(None));
        inputs
    };
    without(now) != without(was)
}

/// Returns the first differing location in each stage.
fn changed_instructions(own: &OwnInputs, was: &Inputs) -> Vec<Change> {
    let mut changes = Vec::new();
    let now = &own.inputs;
    for (number, (stage, locations)) in now.stages.iter().zip(&own.stage_locations).enumerate() {
        let Some(old) = was.stages.get(number) else {
            changes.push(Change::Instruction { at: locations.from.clone() });
            continue;
        };
        if (&stage.base, &stage.platform, &stage.name) != (&old.base, &old.platform, &old.name) {
            changes.push(Change::Instruction { at: locations.from.clone() });
        }
        if stage.triggers != old.triggers {
            changes.push(Change::Triggers { at: locations.from.clone() });
        }
        if stage.instructions != old.instructions {
            let pairs = stage.instructions.iter().zip(&old.instructions);
            let same = pairs.take_while(|(now, old)| now == old).count();
            let at = locations.instructions.get(same).or(locations.instructions.last());
            changes.push(Change::Instruction { at: at.unwrap_or(&locations.from).clone() });
        }
    }
    let fewer = now.stages.len() < was.stages.len() || now.target != was.target;
    if let (true, true, Some(last)) = (changes.is_empty(), fewer, own.stage_locations.last()) {
        changes.push(Change::Instruction { at: last.from.clone() });
    }
    changes
}

fn changed_arguments(now: &Inputs, was: &Inputs) -> Vec<Change> {
    let (now, was) = (arguments_of(now), arguments_of(was));
    let names: BTreeSet<&str> = now.keys().chain(was.keys()).copied().collect();
    let value = |of: &BTreeMap<&str, Option<&str>>, name| Some((*of.get(name)?)?.to_owned());
    names
        .into_iter()
        .filter(|name| now.get(name) != was.get(name))
        .map(|name| {
            let (now, was) = (value(&now, name), value(&was, name));
            Change::Argument { name: name.to_owned(), now, was }
        })
        .collect()
}

/// Returns the build arguments and builder options.
fn arguments_of(inputs: &Inputs) -> BTreeMap<&str, Option<&str>> {
    let declared = inputs.stages.iter().flat_map(|stage| &stage.arguments);
    let declared = declared.map(|argument| (argument.name.as_str(), argument.value.as_deref()));
    let settings = inputs.settings.iter();
    declared.chain(settings.map(|(name, value)| (name.as_str(), Some(value.as_str())))).collect()
}

fn changed_files(own: &OwnInputs, was: &Inputs) -> Vec<Change> {
    let now = &own.inputs;
    let own_context = ContextDirectory::Inside(own.context.clone());
    let main = ComparedContext {
        place: (None, &own_context),
        now: (&now.files, now.whole_context),
        was: (&was.files, was.whole_context),
    };
    // A directory that is read only now, or no longer, is reported as an instruction.
    let named = now.directories.iter().zip(&own.directories).filter_map(|(now, place)| {
        let was = was.directories.iter().find(|was| was.name == now.name)?;
        Some(ComparedContext {
            place: (Some(now.name.as_str()), &place.directory),
            now: (&now.files, now.whole_context),
            was: (&was.files, was.whole_context),
        })
    });
    let mut changes: Vec<(u8, Change)> =
        iter::once(main).chain(named).flat_map(|context| context.changes()).collect();
    changes.sort_by_key(|(rank, _)| *rank);
    let mut distinct = Vec::new();
    for (_, change) in changes {
        // A directory can be below the context.
        if own.directories.is_empty() || !distinct.contains(&change) {
            distinct.push(change);
        }
    }
    distinct
}

/// The files of a context that an image reads, and whether everything counts: now, and before.
struct ComparedContext<'a> {
    /// The name of a named context, and the directory.
    place: (Option<&'a str>, &'a ContextDirectory),
    now: (&'a FileList, bool),
    was: (&'a FileList, bool),
}

impl ComparedContext<'_> {
    /// Returns the path of a file from the root of the repository, or else with the name of its context.
    fn full_path(&self, path: &str) -> String {
        match self.place {
            (_, ContextDirectory::Inside(directory)) => {
                directory.join(path).map_or_else(|| path.to_owned(), |it| it.as_str().to_owned())
            }
            (name, ContextDirectory::Outside(_)) => {
                format!("{}:{path}", name.unwrap_or_default())
            }
        }
    }

    /// Returns the changes with their ranks.
    fn changes(&self) -> Vec<(u8, Change)> {
        if self.now.0 == self.was.0 {
            return Vec::new();
        }
        let (now, mut old_files) = (by_path(self.now.0), by_path(self.was.0));
        // A directory that was added or removed along with its files is less interesting than the files.
        let rank = |file: &FileInputs<'_>| if file.kind == "directory" { 2 } else { 1 };
        let reads_otherwise = self.now.1 != self.was.1;
        let mut changes = Vec::new();
        for (path, file) in &now {
            let path_shown = self.full_path(path);
            match old_files.remove(path) {
                // Files that count only because it is unknown which files are read are not changes.
                None if reads_otherwise => {}
                None => changes.push((rank(file), Change::FileAdded { path: path_shown })),
                Some(old) if (&old.kind, &old.content) != (&file.kind, &file.content) => {
                    changes.push((0, Change::FileChanged { path: path_shown }));
                }
                Some(old) if old.mode != file.mode => {
                    // If a mode begins or ends to count, the instruction has changed.
                    let (Some(now), Some(was)) = (file.mode.clone(), old.mode) else { continue };
                    let (path, now, was) = (path_shown, now.into_owned(), was.into_owned());
                    changes.push((1, Change::ModeChanged { path, now, was }));
                }
                Some(_) => {}
            }
        }
        for (path, old) in old_files.into_iter().filter(|_| !reads_otherwise) {
            changes.push((rank(&old), Change::FileRemoved { path: self.full_path(&path) }));
        }
        changes
    }
}

fn by_path(files: &FileList) -> BTreeMap<Cow<'_, str>, FileInputs<'_>> {
    files.read().into_iter().map(|file| (file.path.clone(), file)).collect()
}

fn changed_dependencies(
    own: &OwnInputs,
    was: &Inputs,
    name: &dyn Fn(UnitId) -> String,
) -> Vec<Change> {
    let mut changes = Vec::new();
    for (dependency, named) in own.named_dependencies() {
        let same = |old: &&DependencyInputs| {
            (&old.name, &old.kind, &old.platform)
                == (&dependency.name, &dependency.kind, &dependency.platform)
        };
        // A new dependency is reported as the instruction that adds it.
        if was.dependencies.iter().find(same).is_none_or(|old| old == dependency) {
            continue;
        }
        let change = match named.of {
            Dependency::Image(unit) => Change::Parent { image: name(unit) },
            Dependency::External(_) => {
                let reference = named.reference.clone();
                Change::External { reference, in_engine: dependency.layers.is_some() }
            }
        };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes
}
