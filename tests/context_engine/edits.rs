//! Random edits that preserve what tools compare: paths, sizes, and times.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::checkout::Checkout;
use crate::common::dice::Dice;

/// The names of files; some are directories at times.
const NAMES: [&str; 8] = ["a", "b", "d/a", "d/b", "d/e/a", "e", "d.x", "f"];

/// Contents, most of one size.
const CONTENTS: [&str; 6] = ["one", "two", "six", "ten", "three", ""];

/// Seconds since 1970. There are few, so that files often have the same time.
const TIMES: [u64; 3] = [1_000_000_000, 1_700_000_000, 1];

/// Edits of a checkout.
pub struct Edits<'a> {
    checkout: &'a Checkout,
    root: PathBuf,
    history: String,
}

impl<'a> Edits<'a> {
    /// Creates some files.
    pub fn new(checkout: &'a Checkout) -> Edits<'a> {
        let mut edits = Edits { checkout, root: checkout.context(), history: String::new() };
        let mut dice = Dice::new(7);
        for _ in 0..10 {
            edits.make(&mut dice);
        }
        edits
    }

    /// Returns all edits so far.
    pub fn history(&self) -> &str {
        &self.history
    }

    /// Makes an edit.
    pub fn make(&mut self, dice: &mut Dice) {
        let (name, other) = (dice.word(&NAMES), dice.word(&NAMES));
        let (path, second) = (self.root.join(name), self.root.join(other));
        let content = dice.word(&CONTENTS);
        let time = UNIX_EPOCH + Duration::from_secs(*dice.pick(&TIMES));
        let what = match dice.below(14) {
            0..=2 => write_at(&path, content, time),
            3 => rewrite_in_place(&path, content),
            4 => swap(&path, &second, self.checkout.elsewhere()),
            5 => copy_with_times(&path, &second),
            6 => take_time(&path, &second),
            7 => link_to(&path, &second),
            8 => point_to(&path, other, time),
            9 => remove(&path),
            10 => make_directory(&path),
            11 => set_mode(&path, *dice.pick(&[0o600, 0o644, 0o755, 0o4755])),
            12 => write_now(&path, content),
            _ => rename(&path, &second),
        };
        self.history += &format!("\n  {name} {other} {content:?}: {what}");
    }
}

fn is_file(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|it| it.is_file())
}

/// Makes room for a file.
fn clear(path: &Path) {
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) {
        fs::remove_dir_all(path).unwrap();
    } else {
        drop(fs::remove_file(path));
    }
    let parent = path.parent().unwrap();
    for above in parent.ancestors().collect::<Vec<_>>().into_iter().rev() {
        if fs::symlink_metadata(above).is_ok_and(|it| !it.is_dir()) {
            fs::remove_file(above).unwrap();
        }
    }
    fs::create_dir_all(parent).unwrap();
}

fn set_time(path: &Path, time: SystemTime) {
    // Modes may forbid writing, but root may do it.
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

fn write_at(path: &Path, content: &str, time: SystemTime) -> &'static str {
    clear(path);
    fs::write(path, content).unwrap();
    set_time(path, time);
    "written with an old time"
}

fn write_now(path: &Path, content: &str) -> &'static str {
    clear(path);
    fs::write(path, content).unwrap();
    "written"
}

fn rewrite_in_place(path: &Path, content: &str) -> &'static str {
    if !is_file(path) {
        return "nothing to rewrite";
    }
    let time = fs::metadata(path).unwrap().modified().unwrap();
    File::options()
        .write(true)
        .truncate(true)
        .open(path)
        .unwrap()
        .write_all(content.as_bytes())
        .unwrap();
    set_time(path, time);
    "rewritten in place with its time"
}

fn swap(path: &Path, second: &Path, elsewhere: &Path) -> &'static str {
    if !is_file(path) || !is_file(second) || path == second {
        return "nothing to swap";
    }
    let third = elsewhere.join("swapped");
    fs::rename(path, &third).unwrap();
    fs::rename(second, path).unwrap();
    fs::rename(third, second).unwrap();
    "swapped by mv"
}

fn copy_with_times(path: &Path, second: &Path) -> &'static str {
    if !is_file(path) || path == second || second.starts_with(path) {
        return "nothing to copy";
    }
    let content = fs::read(path).unwrap();
    let metadata = fs::metadata(path).unwrap();
    clear(second);
    if !is_file(path) {
        return "removed to copy it";
    }
    fs::write(second, content).unwrap();
    fs::set_permissions(second, metadata.permissions()).unwrap();
    set_time(second, metadata.modified().unwrap());
    "copied by cp -p"
}

fn take_time(path: &Path, second: &Path) -> &'static str {
    if !is_file(path) || !is_file(second) {
        return "no times";
    }
    set_time(path, fs::metadata(second).unwrap().modified().unwrap());
    "touched with -r"
}

fn link_to(path: &Path, second: &Path) -> &'static str {
    if !is_file(second) || path == second || second.starts_with(path) {
        return "nothing to link to";
    }
    clear(path);
    if !is_file(second) {
        return "removed to link it";
    }
    fs::hard_link(second, path).unwrap();
    "hard link"
}

fn point_to(path: &Path, target: &str, time: SystemTime) -> &'static str {
    clear(path);
    symlink(target, path).unwrap();
    let seconds = time.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let touched =
        Command::new("touch").args(["-h", "-d", &format!("@{seconds}")]).arg(path).status();
    assert!(touched.unwrap().success());
    "symlink with an old time"
}

fn remove(path: &Path) -> &'static str {
    if fs::symlink_metadata(path).is_ok_and(|it| it.is_dir()) {
        fs::remove_dir_all(path).unwrap();
        return "directory removed";
    }
    drop(fs::remove_file(path));
    "removed"
}

fn make_directory(path: &Path) -> &'static str {
    clear(path);
    fs::create_dir(path).unwrap();
    "directory"
}

fn set_mode(path: &Path, mode: u32) -> &'static str {
    let is_directory = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
    if !is_file(path) && !is_directory {
        return "no mode";
    }
    // Files in the directory are read and written later.
    let mode = if is_directory { mode | 0o700 } else { mode };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    if is_directory { "mode of a directory" } else { "mode" }
}

fn rename(path: &Path, second: &Path) -> &'static str {
    let nested = path.starts_with(second) || second.starts_with(path);
    if fs::symlink_metadata(path).is_err() || nested {
        return "nothing to rename";
    }
    clear(second);
    if fs::symlink_metadata(path).is_err() {
        return "removed to rename it";
    }
    fs::rename(path, second).unwrap();
    "renamed"
}
