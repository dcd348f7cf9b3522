//! The difference between two keys, as data.
//!
//! Owns what may differ between the inputs of an image now and those that it was built from. The
//! order is that in which a person wants to know: what they wrote, then files, then what lies
//! below. Sentences are `report/`'s affair.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::files::{FileInputs, FileList};
use super::gather::Own;
use super::key::{Inputs, NeedInputs};
use crate::base::{Place, Platform, UnitId};
use crate::graph::Dependency;
use crate::graph::reference::Reference;

/// One thing that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    /// A file has other content, or is another kind of thing.
    FileChanged {
        /// Its path below the repository's root.
        path: String,
    },
    /// A file is new.
    FileAdded {
        /// Its path.
        path: String,
    },
    /// A file is gone, or not read any more.
    FileRemoved {
        /// Its path.
        path: String,
    },
    /// A file or folder has other permissions.
    ModeChanged {
        /// Its path.
        path: String,
        /// The bits now, in octal.
        now: String,
        /// The bits that they were.
        was: String,
    },
    /// An instruction says something else; it may be the one after those that are gone.
    Instruction {
        /// Where.
        at: Place,
    },
    /// The `ONBUILD` lines of a base differ.
    Triggers {
        /// The `FROM` upon which they run.
        at: Place,
    },
    /// A build argument, or an option of the builder, has another value.
    Argument {
        /// Its name.
        name: String,
        /// Its value; nothing where it has none.
        now: Option<String>,
        /// The value that it had.
        was: Option<String>,
    },
    /// It is built for another platform.
    Platform {
        /// The platform.
        now: Platform,
        /// The one before.
        was: Platform,
    },
    /// Another frontend reads the Dockerfile.
    Syntax,
    /// An external is another one than before.
    External {
        /// What it is called.
        reference: Reference,
        /// Whether the engine holds it now.
        held: bool,
    },
    /// An image of the repository is another one than before.
    Parent {
        /// Its name.
        image: String,
    },
}

/// What differs in a unit, given the inputs that it was built from. `name` says what units are
/// called.
pub fn changes(own: &Own, was: &Inputs, name: &dyn Fn(UnitId) -> String) -> Vec<Change> {
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
    changes.extend(changed_needs(own, was, name));
    changes
}

/// Whether anything but the identities of what is needed differs: then it is certain that the
/// image must be built, whatever becomes of its parents.
pub fn differs_by_itself(now: &Inputs, was: &Inputs) -> bool {
    let without = |inputs: &Inputs| {
        let mut inputs = inputs.clone();
        inputs.needs.iter_mut().for_each(|need| need.identify(None));
        inputs
    };
    without(now) != without(was)
}

/// The first place in each stage where the instructions part.
fn changed_instructions(own: &Own, was: &Inputs) -> Vec<Change> {
    let mut changes = Vec::new();
    let now = &own.inputs;
    for (number, (stage, places)) in now.stages.iter().zip(&own.places).enumerate() {
        let Some(old) = was.stages.get(number) else {
            changes.push(Change::Instruction { at: places.from.clone() });
            continue;
        };
        if (&stage.base, &stage.platform, &stage.name) != (&old.base, &old.platform, &old.name) {
            changes.push(Change::Instruction { at: places.from.clone() });
        }
        if stage.triggers != old.triggers {
            changes.push(Change::Triggers { at: places.from.clone() });
        }
        if stage.instructions != old.instructions {
            let pairs = stage.instructions.iter().zip(&old.instructions);
            let same = pairs.take_while(|(now, old)| now == old).count();
            let at = places.instructions.get(same).or(places.instructions.last());
            changes.push(Change::Instruction { at: at.unwrap_or(&places.from).clone() });
        }
    }
    let fewer = now.stages.len() < was.stages.len() || now.target != was.target;
    if let (true, true, Some(last)) = (changes.is_empty(), fewer, own.places.last()) {
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

/// The build arguments and options of the builder.
fn arguments_of(inputs: &Inputs) -> BTreeMap<&str, Option<&str>> {
    let declared = inputs.stages.iter().flat_map(|stage| &stage.arguments);
    let declared = declared.map(|argument| (argument.name.as_str(), argument.value.as_deref()));
    let settings = inputs.settings.iter();
    declared.chain(settings.map(|(name, value)| (name.as_str(), Some(value.as_str())))).collect()
}

fn changed_files(own: &Own, was: &Inputs) -> Vec<Change> {
    if own.inputs.files == was.files {
        return Vec::new();
    }
    let (now, mut gone) = (by_path(&own.inputs.files), by_path(&was.files));
    let whole = |path: &str| {
        own.context.join(path).map_or_else(|| path.to_owned(), |path| path.as_str().to_owned())
    };
    // A folder that comes or goes with the files in it is not worth naming first.
    let rank = |file: &FileInputs<'_>| if file.kind == "folder" { 2 } else { 1 };
    let reads_otherwise = own.inputs.whole_context != was.whole_context;
    let mut changes = Vec::new();
    for (path, file) in &now {
        let path_shown = whole(path);
        match gone.remove(path) {
            // Files that count only because nobody knows which are read did not change for that.
            None if reads_otherwise => {}
            None => changes.push((rank(file), Change::FileAdded { path: path_shown })),
            Some(old) if (&old.kind, &old.content) != (&file.kind, &file.content) => {
                changes.push((0, Change::FileChanged { path: path_shown }));
            }
            Some(old) if old.mode != file.mode => {
                let (now, was) = (file.mode.clone().into_owned(), old.mode.into_owned());
                let path = path_shown;
                changes.push((1, Change::ModeChanged { path, now, was }));
            }
            Some(_) => {}
        }
    }
    for (path, old) in gone.into_iter().filter(|_| !reads_otherwise) {
        changes.push((rank(&old), Change::FileRemoved { path: whole(&path) }));
    }
    changes.sort_by_key(|(rank, _)| *rank);
    changes.into_iter().map(|(_, change)| change).collect()
}

fn by_path(files: &FileList) -> BTreeMap<Cow<'_, str>, FileInputs<'_>> {
    files.read().into_iter().map(|file| (file.path.clone(), file)).collect()
}

fn changed_needs(own: &Own, was: &Inputs, name: &dyn Fn(UnitId) -> String) -> Vec<Change> {
    let mut changes = Vec::new();
    for (need, of) in own.needs() {
        let same = |old: &&NeedInputs| {
            (&old.reference, &old.kind, &old.platform)
                == (&need.reference, &need.kind, &need.platform)
        };
        // A need that is new is told by the instruction that brings it.
        let Some(old) = was.needs.iter().find(same).filter(|old| *old != need) else { continue };
        let change = match of {
            Dependency::Image(unit) => Change::Parent { image: name(unit) },
            Dependency::External(_) => {
                let (reference, held) = (old.reference.clone(), need.layers.is_some());
                Change::External { reference, held }
            }
        };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    changes
}
