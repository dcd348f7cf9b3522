//! The differences between two images that a container can see, except times.
//!
//! Owns the comparison for cases in which the engine's cache cannot show whether a step is the same: of files
//! with their modes and owners, of configurations, and of the commands that ran.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use layers::engine::StoredImage;

use crate::{docker, docker_output};

/// Returns the differences. Empty if the images are alike.
pub fn differ(one: &StoredImage, other: &StoredImage) -> Vec<String> {
    let mut differences = Vec::new();
    if one.config != other.config {
        differences.push(format!("configuration {} and {}", one.config, other.config));
    }
    if one.platform != other.platform {
        differences.push(format!("platforms {} and {}", one.platform, other.platform));
    }
    let commands = [one, other].map(|image| commands(&image.id));
    if commands[0] != commands[1] {
        differences.push(format!("commands {commands:?}"));
    }
    let [files, others] = [one, other].map(|image| files(&image.id));
    let paths: BTreeSet<_> = files.keys().chain(others.keys()).collect();
    let differ = paths.into_iter().filter(|path| files.get(*path) != others.get(*path));
    differences.extend(differ.map(|path| format!("file {path}")));
    differences
}

/// Returns the commands of its `RUN` steps as the engine's cache compares them.
fn commands(id: &str) -> Vec<String> {
    let format = "{{json .CreatedBy}}";
    let output = docker_output(&["image", "history", "--no-trunc", "--format", format, id]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<String>(line).unwrap());
    lines.filter(|line| line.starts_with("RUN ")).collect()
}

/// The properties of a file except its times.
#[derive(PartialEq, Eq)]
struct File {
    mode: u32,
    owner: (u64, u64),
    /// The type of its entry in an archive.
    kind: u8,
    /// The target of a link.
    target: String,
    content: Vec<u8>,
}

/// Returns its files by path.
fn files(id: &str) -> BTreeMap<String, File> {
    // An image without a command accepts any; it is never run.
    let created = docker_output(&["create", "--network=none", id, "/none"]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let container = String::from_utf8(created.stdout).unwrap().trim().to_owned();
    let exported = docker_output(&["export", &container]);
    docker(&["rm", "--force", "--volumes", &container]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(exported.stdout.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let target = entry.link_name_bytes();
        let target = target.map(|it| String::from_utf8_lossy(&it).into_owned()).unwrap_or_default();
        let header = entry.header();
        let mode = header.mode().unwrap();
        let owner = (header.uid().unwrap(), header.gid().unwrap());
        let kind = header.entry_type().as_byte();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        found.insert(path, File { mode, owner, kind, target, content });
    }
    found
}
