//! Table tests: a context in words, a source, and what it reads.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use super::*;
use crate::scan::context::{ContextEntry, Stat, walk_order};

/// Creates a context from a list of `file`, `folder/`, and `symlink>target`; parent directories are added.
fn context(list: &str) -> Context {
    let stat = Stat {
        size: 0,
        mode: 0o644,
        mtime: 0,
        mtime_nanos: 0,
        ctime: 0,
        ctime_nanos: 0,
        inode: 0,
        device: 0,
    };
    let mut entries: Vec<ContextEntry> = Vec::new();
    let mut add = |path: &[u8], kind: EntryKind| {
        if !entries.iter().any(|entry| entry.bytes() == path) {
            entries.push(ContextEntry { path: OsString::from_vec(path.to_vec()), kind, stat });
        }
    };
    for item in list.split(' ') {
        let (path, kind) = match item.split_once('>') {
            Some((path, text)) => (path, EntryKind::Symlink(text.into())),
            None => match item.strip_suffix('/') {
                Some(path) => (path, EntryKind::Directory),
                None => (item, EntryKind::File),
            },
        };
        for (slash, _) in path.match_indices('/') {
            add(&path.as_bytes()[..slash], EntryKind::Directory);
        }
        add(path.as_bytes(), kind);
    }
    entries.sort_by(|a, b| walk_order(a.bytes(), b.bytes()));
    Context { root: PathBuf::from("/nowhere"), entries, unreadable: Vec::new() }
}

fn selected(list: &str, uses: &[SourceUse]) -> String {
    let context = context(list);
    let names = select(&context, uses)
        .into_iter()
        .map(|one| context.entries[one.index].path.to_string_lossy().into_owned());
    names.collect::<Vec<_>>().join(" ")
}

const TREE: &str =
    "a.txt b.log dir/one dir/sub/two dir/sub/empty/ other/x.txt other/y.md [0] back\\x";
const ALL: &str = "[0] a.txt b.log back\\x dir dir/one dir/sub dir/sub/empty dir/sub/two other \
                   other/x.txt other/y.md";

fn check(source: &str, expected: &str) {
    assert_eq!(selected(TREE, &[SourceUse::of(source)]), expected, "{source}");
}

#[test]
fn sources_without_wildcards_are_matched_exactly() {
    check("a.txt", "a.txt");
    check("/a.txt", "a.txt");
    check("./a.txt", "a.txt");
    check("../../a.txt", "a.txt");
    check("dir/../a.txt", "a.txt");
    check("missing/../a.txt", "a.txt");
    check("dir", "dir dir/one dir/sub dir/sub/empty dir/sub/two");
    check("dir/", "dir dir/one dir/sub dir/sub/empty dir/sub/two");
    check("dir/sub/two", "dir dir/sub dir/sub/two");
    check("dir/sub/empty", "dir dir/sub dir/sub/empty");
    check("missing", "");
    check("a.txt/x", "");
    for pattern in [".", "/", "", "./", "dir/..", ".."] {
        check(pattern, ALL);
    }
}

#[test]
fn sources_with_wildcards_are_expanded() {
    check("*.txt", "a.txt");
    check("?.*", "a.txt b.log");
    check("*/*.txt", "other other/x.txt");
    check("d*/sub", "dir dir/sub dir/sub/empty dir/sub/two");
    check("*/sub/t?o", "dir dir/sub dir/sub/two");
    check("[ab].*", "a.txt b.log");
    check("[[]0]", "[0]");
    check("*", ALL);
    check("**", ALL);
    // Without `--parents`, `**` matches one name.
    check("**/*.txt", "other other/x.txt");
    check("**/two", "");
    check("**/**/two", "dir dir/sub dir/sub/two");
    check("dir/**/t**", "dir dir/sub dir/sub/two");
    check("none*", "");
    // BuildKit requires the directory.
    check("dir/none*", "dir");
    check("dir/sub/none*/x", "dir dir/sub");
    check("*/none*", "");
}

#[test]
fn existing_files_with_wildcard_characters_are_matched_literally() {
    check("[0]", "[0]");
    check("back\\x", "back\\x");
}

#[test]
fn invalid_patterns_select_the_whole_context() {
    check("[a", ALL);
    check("dir/[]", ALL);
    let use_of = |pattern: &str| SourceUse { parents: true, ..SourceUse::of(pattern) };
    for pattern in ["!dir", "dir/[", "a/../../b", "dir/./..", "**/.."] {
        assert_eq!(selected(TREE, &[use_of(pattern)]), ALL, "{pattern}");
    }
}

#[test]
fn multiple_sources_are_combined() {
    let uses = [SourceUse::of("a.txt"), SourceUse::of("other/*.md"), SourceUse::of("a.txt")];
    assert_eq!(selected(TREE, &uses), "a.txt other other/y.md");
    assert_eq!(selected(TREE, &[]), "");
    assert_eq!(selected(TREE, &[SourceUse::of("a.txt"), SourceUse::everything()]), ALL);
}

#[test]
fn symlinked_sources_are_followed() {
    let check = |list: &str, source: &str, expected: &str| {
        assert_eq!(selected(list, &[SourceUse::of(source)]), expected, "{source} of {list}");
    };
    check("l>f f g", "l", "f l");
    check("l>d d/x g", "l", "d d/x l");
    check("l>d d/x d/y g", "l/x", "d d/x l");
    check("l>m m>f f g", "l", "f l m");
    check("d/l>../f f g", "d/l", "d d/l f");
    check("d/l>/f f g", "d/l", "d d/l f");
    check("d/l>../../../f f g", "d/l", "d d/l f");
    check("d/l>./e/../e//f d/e/f g", "d/l", "d d/e d/e/f d/l");
    check("l>missing/../f f g", "l", "f l");
    check("l>f/../f f g", "l", "f l");
    check("l>. f", "l", "f l");
    check("l>d d/e/x e/x m/", "l/*", "d d/e d/e/x l");
    check("a>d d/x b g", "*", "a b d d/x g");
    check("la>d d/x b g", "l?", "d d/x la");
    check("la>d d/x b g", "l?/x", "d d/x la");
    // The name of a symlink's target is not a wildcard.
    check("l>f* f* fx", "l", "f* l");
}

#[test]
fn symlinks_inside_a_source_directory_are_not_followed() {
    assert_eq!(selected("d/l>../f f", &[SourceUse::of("d")]), "d d/l");
}

#[test]
fn broken_and_cyclic_symlinks_are_selected_without_a_target() {
    assert_eq!(selected("l>gone f", &[SourceUse::of("l")]), "l");
    assert_eq!(selected("a>b b>a f", &[SourceUse::of("a")]), "a b f");
    assert_eq!(selected("a>a/b f", &[SourceUse::of("a")]), "a f");
}

#[test]
fn sources_with_parents_match_at_any_depth() {
    let check = |pattern: &str, expected: &str| {
        let one = SourceUse { parents: true, ..SourceUse::of(pattern) };
        assert_eq!(selected(TREE, &[one]), expected, "{pattern}");
    };
    check("dir/sub/two", "dir dir/sub dir/sub/two");
    check("**/*.txt", "a.txt other other/x.txt");
    check("./**/*.txt", "a.txt other other/x.txt");
    check("dir/./sub/two", "dir dir/sub dir/sub/two");
    check("dir/./**/two", "dir dir/sub dir/sub/two");
    check("d*/./**/empty", "dir dir/sub dir/sub/empty");
    check("**/sub", "dir dir/sub dir/sub/empty dir/sub/two");
    check(".", ALL);
    let links = "p>d d/e/f d/l>../g g h";
    let follow = |pattern: &str, expected: &str| {
        let one = SourceUse { parents: true, ..SourceUse::of(pattern) };
        assert_eq!(selected(links, &[one]), expected, "{pattern}");
    };
    // `**` could mean a single `*`, and the symlink `d/l` could then point to an `f`.
    follow("p/./**/f", "d d/e d/e/f d/l p");
    follow("p/e/f", "d d/e d/e/f p");
    follow("**/l", "d d/l g p");
}

#[test]
fn files_excluded_relative_to_the_source_are_omitted() {
    let check = |source: &str, excludes: &[&str], expected: &str| {
        let excludes = excludes.iter().map(|&exclude| exclude.to_owned()).collect();
        let one = SourceUse { excludes, ..SourceUse::of(source) };
        assert_eq!(selected(TREE, &[one]), expected, "{source} without");
    };
    check(".", &["dir", "**/*.txt"], "[0] b.log back\\x other other/y.md");
    check(".", &["dir/**", "other", "[[]0]", "b*"], "a.txt dir");
    check("other", &["*.md"], "other other/x.txt");
    check("other", &["**/*.md"], "other other/x.txt");
    check("other", &["other/*.md"], "other other/x.txt other/y.md");
    check("[do]*", &["sub/two", "x*"], "dir dir/one dir/sub dir/sub/empty other other/y.md");
    check("dir", &["two"], "dir dir/one dir/sub dir/sub/empty dir/sub/two");
    // A source itself is never excluded.
    check("other/y.md", &["**/*.md"], "other other/y.md");
    check("other/*", &["*.md"], "other other/x.txt other/y.md");
    // A pattern in an instruction keeps its leading slash, and then matches nothing.
    check("other", &["/**/*.md"], "other other/x.txt other/y.md");
    check("other", &["**/*.md", "!**/y*"], "other other/x.txt other/y.md");
    check("other", &["**/*.md", "["], "other other/x.txt other/y.md");
    let overlap = [
        SourceUse { excludes: vec!["**/*.md".into()], ..SourceUse::of("other") },
        SourceUse::of("other/y.md"),
    ];
    assert_eq!(selected(TREE, &overlap), "other other/x.txt other/y.md");
}

/// Returns the selected entries with what counts of them: `path?`, `path-` without its mode, or `path`.
fn parts(list: &str, uses: &[SourceUse]) -> String {
    let context = context(list);
    let names = select(&context, uses).into_iter().map(|one| {
        let entry = &context.entries[one.index];
        let sign = match one.part {
            EntryPart::Path => "?",
            _ if one.mode(entry).is_none() => "-",
            _ => "",
        };
        format!("{}{sign}", entry.path.to_string_lossy())
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn directories_on_the_path_do_not_count() {
    let check = |list: &str, source: &str, expected: &str| {
        assert_eq!(parts(list, &[SourceUse::of(source)]), expected, "{source} of {list}");
    };
    check("d/e/f d/g", "d/e/f", "d? d/e? d/e/f");
    check("d/e/f d/g", "d/e", "d? d/e d/e/f");
    check("d/e/f d/g", "d/*", "d? d/e d/e/f d/g");
    check("d/e/f d/g", "*/e/f", "d? d/e? d/e/f");
    check("d/e/f d/g", "d", "d d/e d/e/f d/g");
    check("l>d/e d/e/f d/g", "l/f", "d? d/e? d/e/f l");
    check("d/l>../e e/f", "d/l", "d? d/l e e/f");
    check("d/e/f d/g", "[", "d d/e d/e/f d/g");
    let both = [SourceUse::of("d/e/f"), SourceUse::of("d")];
    assert_eq!(parts("d/e/f", &both), "d d/e d/e/f");
    let parents = SourceUse { parents: true, ..SourceUse::of("d/e/f") };
    assert_eq!(parts("d/e/f", &[parents]), "d d/e d/e/f", "the directories are copied");
}

#[test]
fn permissions_that_chmod_replaces_do_not_count() {
    let chmod = |source: &str| SourceUse { replaces_modes: true, ..SourceUse::of(source) };
    assert_eq!(parts("d/f d/e/f", &[chmod("d")]), "d d/e d/e/f- d/f-");
    assert_eq!(parts("d/f d/l>f", &[chmod("d/l")]), "d? d/f- d/l");
    assert_eq!(parts("d/f d/g", &[chmod("d"), SourceUse::of("d/g")]), "d d/f- d/g");
    let mut context = context("f");
    context.entries[0].stat.mode = 0o4644;
    let one = select(&context, &[chmod("f")])[0];
    assert_eq!(one.mode(&context.entries[0]), Some(0o4644), "Docker 20.10 keeps setuid");
}

#[test]
fn file_names_that_are_not_utf8_are_selected() {
    let mut context = context("d/x f");
    context.entries[1].path = OsString::from_vec(b"d/\xff".to_vec());
    for source in ["d", "d/*", "*/?", "."] {
        let selected = select(&context, &[SourceUse::of(source)]);
        assert!(selected.iter().any(|one| one.index == 1), "{source}");
    }
}
