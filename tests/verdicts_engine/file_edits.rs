//! Edits of files that images can read.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::common::dice::Dice;
use crate::edits::{Done, Effect};
use crate::tree;
use crate::world::World;

const NAMES: [&str; 10] =
    ["f1", "f2", "f3", "a b", "new", "dir/x", "dir/new", "dir/sub/z", "keep.log", "dir/sub/q"];
const TARGETS: [&str; 8] = ["f1", "f2", "dir", "../f1", "/dir/x", "nowhere", "sub", "link"];
const MODES: [u32; 8] = [0o644, 0o600, 0o755, 0o664, 0o700, 0o4755, 0o1777, 0o444];
const IGNORES: [&str; 10] = [
    "junk",
    "**/junk",
    "f2",
    "**/*.log",
    "!**/keep.log",
    "dir",
    "!dir/x",
    "**/dir/sub",
    "# nothing",
    "!junk",
];

fn any(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), effect: Effect::Any })
}

fn nothing(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), effect: Effect::Nothing })
}

/// Makes an edit. Returns `None` if it is not possible.
pub fn edit(world: &World, dice: &mut Dice, image: usize) -> Option<Done> {
    let own = world.own(image);
    let choices = tree::choices(&own);
    let selected = own.join(choose(world, dice, image, &choices));
    let is_file = fs::symlink_metadata(&selected).unwrap().is_file();
    let new = own.join(dice.word(&NAMES));
    match dice.below(20) {
        0 => write(&own.join("id"), &format!("{}\n", dice.below(6))),
        1 | 2 if is_file => write(&selected, &format!("{}\n", dice.below(6))),
        3 | 4 if is_file => change_in_secret(&selected),
        5 if is_file => {
            let content = [fs::read(&selected).unwrap(), b"more\n".to_vec()].concat();
            fs::write(&selected, content).unwrap();
            any(format!("append to {}", show(&selected)))
        }
        6 => {
            remove(&selected);
            any(format!("remove {}", show(&selected)))
        }
        7 => rename(&selected, &new),
        8 | 9 | 18 | 19 if !selected.is_symlink() => {
            let mode = *dice.pick(&MODES) | if is_file { 0 } else { 0o500 };
            tree::set_mode(&selected, mode);
            any(format!("chmod {mode:o} {}", show(&selected)))
        }
        10 => {
            let target = dice.word(&TARGETS);
            remove(&selected);
            symlink(target, &selected).unwrap();
            any(format!("link {} -> {target}", show(&selected)))
        }
        11 => swap(&selected, is_file),
        12 => write(&new, &format!("{}\n", dice.below(6))),
        13 if !new.exists() && !new.is_symlink() => {
            fs::create_dir_all(&new).ok()?;
            any(format!("make folder {}", show(&new)))
        }
        14 if is_file => {
            let other = own.join(dice.pick(&choices));
            if other == selected || !fs::symlink_metadata(&other).unwrap().is_file() {
                return None;
            }
            fs::remove_file(&selected).unwrap();
            fs::hard_link(&other, &selected).unwrap();
            any(format!("hard link {} to {}", show(&selected), show(&other)))
        }
        15 => {
            fs::write(own.join("t.tar"), tree::archive(dice)).ok()?;
            any("another archive")
        }
        _ => ignore(world, dice, image),
    }
}

/// Chooses an entry, usually one that an instruction of the image refers to, so that there is something to
/// detect.
fn choose(world: &World, dice: &mut Dice, image: usize, choices: &[PathBuf]) -> PathBuf {
    let text = world.text(image);
    let is_named = |path: &&PathBuf| {
        let first = path.iter().next().and_then(OsStr::to_str);
        first.is_some_and(|first| text.contains(first))
    };
    let named: Vec<PathBuf> = choices.iter().filter(is_named).cloned().collect();
    let all = named.is_empty() || dice.one_in(4);
    dice.pick(if all { choices } else { &named }).clone()
}

/// Makes an edit without an effect.
pub fn harmless(world: &World, dice: &mut Dice, image: usize) -> Option<Done> {
    let own = world.own(image);
    let selected = own.join(dice.pick(&tree::choices(&own)));
    let metadata = fs::symlink_metadata(&selected).unwrap();
    match dice.below(6) {
        0 if metadata.is_file() => {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(dice.number() % 2_000_000_000);
            tree::set_time(&selected, time);
            nothing(format!("touch {}", show(&selected)))
        }
        // This removes setuid.
        1 if metadata.mode() & 0o7000 == 0 && !metadata.is_symlink() => {
            chown(&selected, Some(1234), Some(4321)).ok()?;
            nothing(format!("chown {}", show(&selected)))
        }
        2 if metadata.is_file() => {
            let content = fs::read(&selected).unwrap();
            fs::remove_file(&selected).unwrap();
            fs::write(&selected, content).unwrap();
            tree::set_mode(&selected, metadata.mode() & 0o7777);
            nothing(format!("write {} again", show(&selected)))
        }
        3 => {
            fs::remove_dir_all(world.root.join(".layers")).ok()?;
            nothing("remove .layers")
        }
        4 => {
            fs::write(world.root.join(".layers/files"), "nonsense").ok()?;
            nothing("damage .layers/files")
        }
        _ if !world.reads_widely() => {
            let name = format!("unread-{}", dice.below(4));
            fs::write(own.join(&name), format!("{}", dice.below(5))).unwrap();
            nothing(format!("write {name}, which nobody reads"))
        }
        _ => None,
    }
}

fn show(path: &Path) -> String {
    let parts: Vec<_> =
        path.components().rev().take_while(|it| it.as_os_str() != "docker").collect();
    let path: PathBuf = parts.into_iter().rev().collect();
    path.to_string_lossy().escape_debug().to_string()
}

fn write(path: &Path, content: &str) -> Option<Done> {
    fs::write(path, content).ok()?;
    any(format!("write {} = {content:?}", show(path)))
}

/// Changes the content but keeps the size and the times.
fn change_in_secret(path: &Path) -> Option<Done> {
    let time = fs::metadata(path).unwrap().modified().unwrap();
    let mut content = fs::read(path).unwrap();
    *content.last_mut()? ^= 1;
    fs::write(path, content).unwrap();
    tree::set_time(path, time);
    any(format!("change {} in secret", show(path)))
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path).unwrap().is_dir() {
        true => fs::remove_dir_all(path).unwrap(),
        false => fs::remove_file(path).unwrap(),
    }
}

fn rename(from: &Path, to: &Path) -> Option<Done> {
    fs::rename(from, to).ok()?;
    any(format!("rename {} to {}", show(from), show(to)))
}

/// Replaces a file with a directory that contains it, and anything else with a file.
fn swap(path: &Path, is_file: bool) -> Option<Done> {
    remove(path);
    if is_file {
        fs::create_dir(path).unwrap();
        fs::write(path.join("x"), "inside").unwrap();
    } else {
        fs::write(path, "was a folder").unwrap();
    }
    any(format!("swap {}", show(path)))
}

/// Writes or removes one of the ignore files.
fn ignore(world: &World, dice: &mut Dice, image: usize) -> Option<Done> {
    let files = [
        world.context(image).join(".dockerignore"),
        world.own(image).join("Dockerfile.dockerignore"),
    ];
    let file = dice.pick(&files);
    if dice.one_in(3) {
        fs::remove_file(file).ok()?;
        return any(format!("remove {}", show(file)));
    }
    let lines: Vec<&str> = (0..dice.below(4)).map(|_| dice.word(&IGNORES)).collect();
    let text = lines.join("\n");
    fs::write(file, &text).unwrap();
    any(format!("write {}: {text:?}", show(file)))
}
