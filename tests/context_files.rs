//! Contexts that are listed, read, packed, unpacked with the system's `tar`, and compared.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop")]
#![expect(clippy::disallowed_methods, reason = "tests drive programs")]

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use layers::base::{RelPath, Source};
use layers::engine::{ContextFiles, context_tar};
use layers::inputs::ContextSelection;
use layers::scan::context::{Context, EntryKind};
use layers::scan::ignore_file::IgnoreFile;

fn walk(root: &Path) -> Context {
    Context::walk(root, &IgnoreFile::default()).unwrap()
}

fn walk_ignoring(root: &Path, lines: &str) -> Vec<String> {
    let source = Source::new(RelPath::new(".dockerignore").unwrap(), lines);
    let context = Context::walk(root, &IgnoreFile::parse(&source).0).unwrap();
    context.entries.iter().map(|entry| entry.path.to_string_lossy().into_owned()).collect()
}

fn pack(root: &Path) -> Vec<u8> {
    let mut tar = Vec::new();
    write_to(&ContextSelection::all(walk(root)), &mut tar).unwrap();
    tar
}

fn write_to(selection: &ContextSelection, to: &mut dyn Write) -> io::Result<()> {
    context_tar::write(selection, &selection.headers(), to)
}

fn unpack(tar: &[u8], into: &Path) {
    let mut child = Command::new("tar")
        .args(["--extract", "--preserve-permissions", "--directory"])
        .arg(into)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tar).unwrap();
    assert!(child.wait().unwrap().success());
}

fn set_mode(place: &Path, mode: u32) {
    fs::set_permissions(place, Permissions::from_mode(mode)).unwrap();
}

fn write(place: PathBuf, text: impl AsRef<[u8]>) -> PathBuf {
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, text).unwrap();
    place
}

/// The path, the kind, the mode, the time in seconds and nanoseconds, and the digest of a file.
type FileFacts = (String, EntryKind, u32, [i64; 2], Option<String>);

/// Returns the properties that an archive must preserve.
fn facts(root: &Path) -> Vec<FileFacts> {
    let context = walk(root);
    let mut selection = ContextSelection::all(context.clone());
    let digests = selection.digest_files().unwrap().to_vec();
    context
        .entries
        .into_iter()
        .zip(digests)
        .map(|(entry, digest)| {
            let path = format!("{:?}", entry.path);
            let digest = digest.map(|digest| digest.to_hex().to_string());
            let time = [entry.stat.mtime, entry.stat.mtime_nanos];
            (path, entry.kind, entry.stat.mode, time, digest)
        })
        .collect()
}

#[test]
fn all_entry_types_round_trip_through_the_archive() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("context");
    for (name, mode) in [("plain", 0o644), ("tool", 0o755), ("group", 0o664), ("setuid", 0o4755)] {
        set_mode(&write(root.join(name), name), mode);
    }
    set_mode(&write(root.join("dir/secret"), ""), 0o600);
    fs::create_dir(root.join("empty")).unwrap();
    set_mode(&root.join("empty"), 0o1777);
    fs::hard_link(root.join("plain"), root.join("dir/linked")).unwrap();
    for (name, text) in
        [("to-plain", "plain"), ("dangling", "./no//where/../x"), ("absolute", "/etc/hosts")]
    {
        symlink(text, root.join(name)).unwrap();
    }
    symlink("t".repeat(101), root.join("long-link")).unwrap();
    symlink("t".repeat(100), root.join("longest-plain-link")).unwrap();
    let odd: [&[u8]; 7] = [
        b"not\xff\xfeutf8",
        "é 日本".as_bytes(),
        b"two\nlines",
        b"-dash",
        b" ",
        b"back\\slash",
        b"*",
    ];
    for name in odd {
        write(root.join(OsStr::from_bytes(name)), name);
    }
    for len in [98, 99, 100, 101, 255] {
        write(root.join("n".repeat(len)), "long");
        fs::create_dir(root.join("d".repeat(len))).unwrap();
    }
    write(root.join("p".repeat(200)).join("q".repeat(200)).join("r\u{e9}".repeat(80)), "deep");
    for (name, len) in [("block", 512), ("block-and-one", 513), ("big", 5_000_001)] {
        let bytes: Vec<u8> = (0..len).map(|n: u32| n.to_le_bytes()[0] ^ 0x5a).collect();
        write(root.join(name), bytes);
    }
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().unwrap().success());
    let old = File::options().write(true).open(root.join("plain")).unwrap();
    old.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)).unwrap();
    let before_1970 = File::options().write(true).open(root.join("tool")).unwrap();
    before_1970.set_modified(SystemTime::UNIX_EPOCH - Duration::from_millis(1_500)).unwrap();

    let out = directory.path().join("out");
    fs::create_dir(&out).unwrap();
    let tar = pack(&root);
    unpack(&tar, &out);
    assert_eq!(facts(&out), facts(&root));
    assert_eq!(tar.len() as u64, context_tar::len(&ContextSelection::all(walk(&root)).headers()));
}

#[test]
fn archives_contain_no_machine_specific_metadata() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("b"), "x");
    write(directory.path().join("a.txt"), "x");
    write(directory.path().join("a/z"), "x");
    let tar = pack(directory.path());
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut names = Vec::new();
    for entry in archive.entries().unwrap() {
        let entry = entry.unwrap();
        let header = entry.header();
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
        assert_eq!(header.username_bytes(), Some(b"".as_slice()));
        assert_eq!(header.groupname_bytes(), Some(b"".as_slice()));
        names.push(entry.path().unwrap().to_string_lossy().into_owned());
    }
    assert_eq!(names, ["a/", "a/z", "a.txt", "b"]);
    assert_eq!(tar, pack(directory.path()));
}

#[test]
fn hashed_bytes_match_the_bytes_that_are_sent() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path().join("a"), vec![7; 300_000]);
    write(directory.path().join("d/b"), "b");
    let mut selection = ContextSelection::all(walk(directory.path()));
    let mut sent = blake3::Hasher::new();
    let mut piece = |bytes: &[u8]| {
        sent.update(bytes);
        Ok(())
    };
    selection.read(0, &mut piece).unwrap();
    let digests = selection.digest_files().unwrap();
    assert_eq!(digests[0], Some(blake3::hash(&[7; 300_000])));
    assert_eq!(digests[0], Some(sent.finalize()));
    assert_eq!(digests[1], None);
}

/// Returns the error message if `change` is made after the first part of `file` has been read.
fn change_while_read(change: impl Fn(&Path)) -> String {
    let directory = tempfile::tempdir().unwrap();
    let place = write(directory.path().join("d/file"), vec![b'x'; 400_000]);
    let selection = ContextSelection::all(walk(directory.path()));
    let mut first = true;
    let result = selection.read(1, &mut |_| {
        if std::mem::take(&mut first) {
            change(&place);
        }
        Ok(())
    });
    result.unwrap_err().to_string()
}

fn touch(place: &Path) {
    let file = File::options().write(true).open(place).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
}

#[test]
fn files_changed_while_being_read_are_reported() {
    let check = |change: &dyn Fn(&Path)| {
        let message = change_while_read(change);
        assert!(message.starts_with("`d/file` changed while it was being read"), "{message}");
    };
    check(&|place| {
        File::options().append(true).open(place).unwrap().write_all(b"more").unwrap();
    });
    check(&|place| {
        File::options().write(true).open(place).unwrap().set_len(200_000).unwrap();
    });
    check(&touch);
    check(&|place| set_mode(place, 0o755));
}

#[test]
fn files_changed_after_the_walk_are_reported() {
    let check = |change: &dyn Fn(&Path), hashed: bool, expected: Option<&str>| {
        let directory = tempfile::tempdir().unwrap();
        let place = write(directory.path().join("file"), "content");
        let mut selection = ContextSelection::all(walk(directory.path()));
        if hashed {
            selection.digest_files().unwrap();
        }
        change(&place);
        let message =
            write_to(&selection, &mut io::sink()).map_err(|error| error.to_string()).err();
        let matches = match (&message, expected) {
            (Some(message), Some(expected)) => message.contains(expected),
            (message, expected) => message.is_none() && expected.is_none(),
        };
        assert!(matches, "{message:?}, not {expected:?}");
    };
    let same_size = |place: &Path| fs::write(place, "CONTENT").unwrap();
    let other_size = |place: &Path| fs::write(place, "con").unwrap();
    let remove = |place: &Path| fs::remove_file(place).unwrap();
    let replace = |place: &Path| {
        fs::write(place.with_extension("new"), "content").unwrap();
        fs::rename(place.with_extension("new"), place).unwrap();
    };
    let to_directory = |place: &Path| {
        fs::remove_file(place).unwrap();
        fs::create_dir(place).unwrap();
    };
    check(&touch, false, Some("`file` changed after the context was listed"));
    check(&touch, true, None);
    check(&replace, true, None);
    check(&replace, false, Some("`file` changed after the context was listed"));
    check(&same_size, true, Some("`file` changed after it was first read"));
    check(&other_size, true, Some("`file` changed after the context was listed"));
    check(&other_size, false, Some("`file` changed after the context was listed"));
    check(&remove, true, Some("can't read `file`"));
    check(&to_directory, true, Some("`file` changed"));
}

/// A writer that accepts a number of bytes and then fails.
struct Only(Vec<u8>, usize);

impl Write for Only {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() >= self.1 {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "enough"));
        }
        self.0.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn files_larger_than_eight_gibibytes_are_streamed() {
    let directory = tempfile::tempdir().unwrap();
    let size = 9 << 30;
    let huge = File::create(directory.path().join("huge")).unwrap();
    huge.set_len(size).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    huge.set_modified(time).unwrap();
    let selection = ContextSelection::all(walk(directory.path()));
    assert_eq!(context_tar::len(&selection.headers()), size + 512 + 1024);
    let mut head = Only(Vec::new(), 512);
    let error = write_to(&selection, &mut head).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    let header = tar::Header::from_byte_slice(&head.0[..512]);
    assert_eq!(header.size().unwrap(), size);
}

#[test]
fn sockets_are_skipped_and_gitignore_is_not_applied() {
    let directory = tempfile::tempdir().unwrap();
    let _socket = UnixListener::bind(directory.path().join("socket")).unwrap();
    write(directory.path().join(".gitignore"), "*\n");
    write(directory.path().join("a"), "");
    fs::create_dir(directory.path().join(".git")).unwrap();
    assert_eq!(walk_ignoring(directory.path(), ""), [".git", ".gitignore", "a"]);
}

#[test]
fn directories_are_included_with_their_contents() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["a/b/c", "a/d/e", "a.txt", "f/g"] {
        write(directory.path().join(file), "");
    }
    fs::create_dir_all(directory.path().join("a/empty")).unwrap();
    let check = |lines: &str, expected: &str| {
        assert_eq!(walk_ignoring(directory.path(), lines).join(" "), expected, "{lines:?}");
    };
    check("", "a a/b a/b/c a/d a/d/e a/empty a.txt f f/g");
    check("a\n!a/b", "a a/b a/b/c a.txt f f/g");
    check("*\n!a/b/c", "a a/b a/b/c");
    check("*\n!**/c", "a a/b a/b/c");
    check("*\n!a/empty", "a a/empty");
    check("**/e", "a a/b a/b/c a/d a/empty a.txt f f/g");
    check("*\n!f/x", "");
}

#[test]
fn context_entries_are_found_by_path() {
    let directory = tempfile::tempdir().unwrap();
    for file in ["a/b/c", "a/d", "a.txt", "a!/x"] {
        write(directory.path().join(file), "");
    }
    let context = walk(directory.path());
    let below = |path: &str| {
        let numbers = context.below(path.as_bytes());
        let paths = context.entries[numbers].iter().map(|entry| entry.path.to_str().unwrap());
        paths.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(below("a"), "a/b a/b/c a/d");
    assert_eq!(below("a.txt"), "");
    assert_eq!(below("a!"), "a!/x");
    assert_eq!(below("zz"), "");
    assert_eq!(context.below(b""), 0..context.entries.len());
    for (number, entry) in context.entries.iter().enumerate() {
        assert_eq!(context.position(entry.bytes()), Some(number));
    }
    assert_eq!(context.position(b"b"), None);
}

#[test]
fn missing_and_non_directory_contexts_are_distinct_errors() {
    let directory = tempfile::tempdir().unwrap();
    let file = write(directory.path().join("file"), "");
    let fail = |root: &Path| Context::walk(root, &IgnoreFile::default()).unwrap_err();
    let missing = fail(&directory.path().join("missing"));
    assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    assert!(missing.to_string().ends_with("/missing` not found"), "{missing}");
    assert_eq!(fail(&file).kind(), io::ErrorKind::NotADirectory);
    symlink(directory.path(), directory.path().join("link")).unwrap();
    assert_eq!(walk(&directory.path().join("link")).entries.len(), 2);
}

#[test]
fn unreadable_directories_are_errors_only_for_their_readers() {
    let directory = tempfile::tempdir().unwrap();
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    set_mode(&closed, 0);
    if fs::read_dir(&closed).is_err() {
        let context = walk(directory.path());
        let error = context.unreadable[0].error();
        assert!(error.to_string().contains("/closed`: "), "{error}");
        assert_eq!(context.entries.len(), 1);
        assert_eq!(walk_ignoring(directory.path(), "closed\n!**/x"), Vec::<String>::new());
    }
    set_mode(&closed, 0o755);
}

#[test]
fn deep_trees_do_not_overflow_the_stack() {
    let directory = tempfile::tempdir().unwrap();
    // As deep as possible: the system accepts paths of up to 4096 bytes.
    let depth = 1950;
    fs::create_dir_all(directory.path().join("d/".repeat(depth))).unwrap();
    assert_eq!(walk(directory.path()).entries.len(), depth);
    assert_eq!(walk_ignoring(directory.path(), "**/x\n").len(), depth);
}
