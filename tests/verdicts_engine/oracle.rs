//! The engine's results: builds of the same files on the disk, and the identities of its images.
//!
//! Owns the comparison. It sends the whole context after the ignore file, read and archived here, so that it
//! does not depend on what the program selects or has stored. The engine takes a step from its cache
//! according to the contents that the step reads. If all steps of an image are cached and the image is the
//! same, `fresh` was correct.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

use layers::base::{RelPath, Source};
use layers::engine::docker::Docker;
use layers::engine::{
    BuildOutcome, BuildRequest, BuildUpdate, Builder, Cancel, Frontend, ImageStore, StoredImage,
    TimedUpdate,
};
use layers::inputs::Identity;
use layers::scan::ignore_file::IgnoreFile;

use crate::common::disk_files::DiskFiles;
use crate::content;
use crate::dockerfile::NAMES;
use crate::tree;
use crate::world::World;

/// The labels that the program adds to an image.
const OURS: [&str; 2] = ["dev.layers.key", "dev.layers.proof"];

/// Returns the files of a directory after its ignore file.
fn files_of(root: PathBuf, ignore: &IgnoreFile) -> DiskFiles {
    let mut matcher = ignore.matcher();
    let (mut paths, mut waiting) = (Vec::new(), vec![PathBuf::new()]);
    // Excluded directories, until something in them is included.
    let mut hidden: BTreeSet<PathBuf> = BTreeSet::new();
    while let Some(directory) = waiting.pop() {
        let entries = fs::read_dir(root.join(&directory)).unwrap().map(Result::unwrap);
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names.into_iter().filter(|name| name != ".layers") {
            let path = directory.join(&name);
            let ignored = matcher.ignored(path.as_os_str().as_bytes());
            let is_directory = fs::symlink_metadata(root.join(&path)).unwrap().is_dir();
            if is_directory {
                waiting.push(path.clone());
            }
            if ignored {
                if is_directory {
                    hidden.insert(path);
                }
                continue;
            }
            paths.extend(path.ancestors().skip(1).filter_map(|above| hidden.take(above)));
            paths.push(path);
        }
    }
    DiskFiles::new(root, paths)
}

/// Returns a build request for an image, from the current files on the disk.
fn request(world: &World, image: usize, held: &StoredImage) -> BuildRequest {
    let (own, context) = (world.own(image), world.context(image));
    let text = fs::read_to_string(own.join("Dockerfile")).unwrap();
    let beside = fs::read_to_string(own.join("Dockerfile.dockerignore"));
    let lines = beside.or_else(|_| fs::read_to_string(context.join(".dockerignore")));
    let source = Source::new(RelPath::new("ignore").unwrap(), lines.unwrap_or_default());
    let (ignore, problems) = IgnoreFile::parse(&source);
    assert!(problems.is_empty(), "{problems:?}");
    let described = &world.model.images[image];
    let ours = held.labels.clone().into_iter().filter(|it| OURS.contains(&it.0.as_str()));
    BuildRequest {
        dockerfile: text,
        target: described.target.clone(),
        labels: described.labels.clone().into_iter().chain(ours).collect(),
        sandbox: described.sandbox.clone(),
        build_args: world.args(image),
        context: Arc::new(files_of(context, &ignore)),
        ..BuildRequest::default()
    }
}

/// Whether the engine's own frontend supports triggers with `--from`.
pub fn is_modern() -> bool {
    let docker = crate::common::engine_or_skip().unwrap();
    docker.info().unwrap().frontend.is_none_or(|version| version >= Frontend::new(1, 11))
}

/// Returns everything that the engine's result for an image depends on, given the IDs of the names.
pub fn facts(world: &World, image: usize, ids: &[Option<String>]) -> String {
    let described = &world.model.images[image];
    let text = world.text(image);
    let siblings =
        NAMES.iter().zip(ids).enumerate().filter(|(other, (name, _))| {
            *other == image || text.contains(&format!("/shop-{name}"))
        });
    let siblings: Vec<_> = siblings.map(|(_, (_, id))| id).collect();
    let files = tree::read(&if described.wide { world.root.clone() } else { world.own(image) });
    let externals = (&world.model.externals, world.model.pointers);
    let externals = text.contains("/ext").then_some(externals);
    let options = (&described.target, world.args(image), &described.labels, &described.sandbox);
    format!("{siblings:?} {externals:?} {files:?} {options:?}")
}

/// Builds an image from the disk. Returns the differences from the image that has its name, or that image's
/// identity if there are none.
pub fn compare(docker: &Docker, world: &World, image: usize) -> Result<Identity, String> {
    let reference = world.reference(image);
    let Some(held) = docker.inspect(&reference).unwrap() else {
        return Err("there is no image".to_owned());
    };
    let (mut ran, mut replaces_modes) = (Vec::new(), false);
    let mut sink = |updates: Vec<TimedUpdate>| {
        for update in updates {
            let BuildUpdate::StepFinished { step, cached, .. } = update.update else { continue };
            replaces_modes |= step.text.contains(" --chmod=");
            if !cached && step.number > 0 && !step.text.starts_with("FROM ") {
                ran.push(step.text);
            }
        }
    };
    let request = request(world, image, &held);
    let outcome = docker.build(&request, &mut sink, &Cancel::default()).unwrap();
    let BuildOutcome::Built { image_id } = outcome else {
        return Err(format!("it can't be built: {outcome:?}"));
    };
    let built = docker.inspect(&image_id).unwrap().unwrap();
    let mut differences = Vec::new();
    if !ran.is_empty() {
        differences.push(format!("steps that ran: {ran:?}"));
    }
    differences.extend(differ(&held, &built));
    // The cache of containerd's store misses steps that it has: BuildKit identifies a base there first by its
    // manifest and then by its layers (`source/containerimage/pull.go`, `CacheKey`). A record under one
    // manifest is not found with the manifest of a base that was rebuilt with the same result. The files that
    // such a step creates again have other times. From then on the cache has two results for the step, and which
    // one a build gets depends on the manifest of its base at that time, so images can also differ without a step
    // that ran.
    //
    // On both stores, BuildKit compares the modes that `--chmod` replaces. The program sends them all alike, this
    // function as they are, so the cache can have two results for such a step: the same, except for the times of
    // directories that it and later steps create.
    if !differences.is_empty() && (replaces_modes || docker.features().unwrap().attestations) {
        differences = content::differ(&held, &built);
    }
    if differences.is_empty() { Ok(Identity::of(&held)) } else { Err(differences.join("; ")) }
}

/// Returns the differences between two images. Their histories can differ: they contain the text of
/// instructions as written, which no child can see.
fn differ(held: &StoredImage, built: &StoredImage) -> Vec<String> {
    let mut differences = Vec::new();
    if held.diff_ids != built.diff_ids {
        differences.push(format!("layers {:?} and {:?}", held.diff_ids, built.diff_ids));
    }
    if held.config != built.config {
        differences.push(format!("configuration {} and {}", held.config, built.config));
    }
    if held.platform != built.platform {
        differences.push(format!("platforms {} and {}", held.platform, built.platform));
    }
    differences
}

/// Builds an image without knowledge of the program. Returns whether that is possible (the triggers of a base
/// can need missing files).
pub fn build_by_hand(text: &str, reference: &str, labels: &[(&str, &str)]) -> bool {
    let docker = crate::common::engine_or_skip().unwrap();
    let mut files = crate::common::Files::with_busybox();
    for number in 0..3 {
        files = files.and(&format!("ext{number}"), format!("external {number}\n"));
    }
    let request = BuildRequest {
        dockerfile: text.to_owned(),
        references: vec![reference.to_owned()],
        labels: labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        context: Arc::new(files),
        ..BuildRequest::default()
    };
    let outcome = docker.build(&request, &mut |_| {}, &Cancel::default()).unwrap();
    matches!(outcome, BuildOutcome::Built { .. })
}
