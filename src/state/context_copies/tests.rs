//! Records of what was sent.

use std::fs;

use super::*;

struct Directory {
    directory: tempfile::TempDir,
    copies: ContextCopies,
}

impl Directory {
    fn new() -> Directory {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::of(directory.path());
        state.below("contexts").make().unwrap();
        Directory { copies: ContextCopies::of(state.below("contexts")), directory }
    }

    /// Sends one file. Returns the name of the copy and the time.
    fn send(&self, path: &str, mtime: i64, content: &str) -> (String, i64) {
        let mut sent = mtime;
        let mut files = [SentFile {
            path: path.as_bytes(),
            size: content.len() as u64,
            mtime: &mut sent,
            digest: blake3::hash(content.as_bytes()),
        }];
        let name =
            self.copies.record(Path::new("/r"), &blake3::hash(b"p"), &[], &mut files).unwrap();
        (name, sent)
    }

    fn file(&self) -> std::path::PathBuf {
        let mut files = fs::read_dir(self.copies.directory.path()).unwrap();
        files.next().unwrap().unwrap().path()
    }
}

#[test]
fn a_size_and_a_time_mean_one_content() {
    let directory = Directory::new();
    let (name, time) = directory.send("a", 10, "one");
    assert_eq!(time, 10);
    assert_eq!(directory.send("a", 10, "two"), (name.clone(), 11));
    assert_eq!(directory.send("a", 10, "six"), (name.clone(), 12));
    // A copy on a file system with coarser times has the time 10 for all of them by now, so it is not used again.
    assert_eq!(directory.send("a", 10, "one"), (name.clone(), 13));
    // What was sent before is sent in the same way.
    assert_eq!(directory.send("a", 10, "one"), (name.clone(), 13));
    assert_eq!(directory.send("a", 10, "two"), (name.clone(), 11));
    // The time of another content is taken too.
    assert_eq!(directory.send("a", 13, "ten"), (name.clone(), 14));
    // Other sizes and other files do not matter.
    assert_eq!(directory.send("a", 10, "three"), (name.clone(), 10));
    assert_eq!(directory.send("b", 10, "two"), (name, 10));
}

#[test]
fn a_directory_has_one_mode_in_a_copy() {
    let directory = Directory::new();
    let send = |path: &str, mode| {
        let directories = [SentDirectory { path: path.as_bytes(), mode }];
        let patterns = blake3::hash(b"p");
        directory.copies.record(Path::new("/r"), &patterns, &directories, &mut []).unwrap()
    };
    let first = send("a", 0o755);
    assert_eq!(send("a", 0o755), first);
    assert_eq!(send("b", 0o700), first);
    let second = send("a", 0o700);
    assert_ne!(second, first);
    // What the first copy had is not known to the second one.
    assert_eq!(send("b", 0o711), second);
    assert_ne!(send("a", 0o755), second);
    // A file of the same path is something else.
    let name = send("c", 0o755);
    assert_eq!(directory.send("c", 0o755, "one"), (name, 0o755));
}

#[test]
fn contexts_and_patterns_have_their_own_copies() {
    let directory = Directory::new();
    let name = |root: &str, patterns: &str| {
        let patterns = blake3::hash(patterns.as_bytes());
        directory.copies.record(Path::new(root), &patterns, &[], &mut []).unwrap()
    };
    let names = [name("/a", "p"), name("/b", "p"), name("/a", "q")];
    assert_eq!(names[0], name("/a", "p"));
    assert!(names[0] != names[1] && names[0] != names[2] && names[1] != names[2], "{names:?}");
}

#[test]
fn damaged_replaced_and_long_records_lead_to_new_names() {
    let directory = Directory::new();
    let mut last = directory.send("a", 10, "one").0;
    let mut check = |what: &str, change: &dyn Fn(&Path)| {
        change(&directory.file());
        let (name, time) = directory.send("a", 10, "two");
        assert!(name != last, "{what}");
        assert_eq!(time, 10, "{what}");
        let again = directory.send("a", 10, "one");
        assert_eq!(again, (name.clone(), 11), "{what}");
        last = name;
    };
    check("a lost record", &|path| fs::remove_file(path).unwrap());
    check("a damaged record", &|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[70] ^= 1;
        fs::write(path, bytes).unwrap();
    });
    check("a record that was not written completely", &|path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
    });
    check("a record of a later version", &|path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[14] = b'9';
        fs::write(path, bytes).unwrap();
    });
    check("a restored record", &|path| {
        let backup = path.with_extension("backup");
        fs::copy(path, &backup).unwrap();
        fs::rename(backup, path).unwrap();
    });
    check("a long record", &|_| {
        let paths: Vec<String> = (0..10_100).map(|number| format!("{number}")).collect();
        let mut times = vec![10; paths.len()];
        let digest = blake3::hash(b"one");
        let files = paths.iter().zip(&mut times);
        let mut files: Vec<SentFile<'_>> = files
            .map(|(path, mtime)| SentFile { path: path.as_bytes(), size: 3, mtime, digest })
            .collect();
        directory.copies.record(Path::new("/r"), &blake3::hash(b"p"), &[], &mut files).unwrap();
    });
}

#[test]
fn concurrent_runs_share_a_record() {
    let directory = Directory::new();
    let (name, _) = directory.send("a", 10, "one");
    let times = std::thread::scope(|scope| {
        let send = |content: &'static str| {
            let directory = &directory;
            scope.spawn(move || directory.send("a", 10, content))
        };
        let threads = ["two", "ten", "six", "one"].map(send);
        threads.map(|it| it.join().unwrap())
    });
    assert!(times.iter().all(|it| it.0 == name));
    let mut sent = times.map(|it| it.1);
    sent.sort_unstable();
    sent.windows(2).for_each(|two| assert!(two[0] != two[1], "{sent:?}"));
}

#[test]
fn records_that_are_not_files_are_not_used() {
    let directory = Directory::new();
    directory.send("a", 10, "one");
    let (path, outside) = (directory.file(), directory.directory.path().join("outside"));
    fs::write(&outside, "precious").unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    let patterns = blake3::hash(b"p");
    assert!(directory.copies.record(Path::new("/r"), &patterns, &[], &mut []).is_err());
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}
