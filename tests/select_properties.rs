//! Everything that BuildKit reads from a generated context is selected.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::sample::select as one_of;

use layers::inputs::{SourceUse, select};
use layers::scan::context::{Context, ContextEntry, EntryKind, Stat, walk_order};

#[derive(Debug, Clone, PartialEq)]
enum Node {
    File,
    Folder,
    Symlink(String),
}

type Tree = BTreeMap<String, Node>;

const NAMES: [&str; 4] = ["a", "b", "ab", "c"];

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(one_of(&NAMES[..]), 1..4).prop_map(|parts| parts.join("/"))
}

fn tree() -> impl Strategy<Value = Tree> {
    let text = (one_of(&["", "/", "../", "./", "../../"][..]), path())
        .prop_map(|(start, path)| Node::Symlink(format!("{start}{path}")));
    let node = prop_oneof![4 => Just(Node::File), 1 => Just(Node::Folder), 3 => text];
    proptest::collection::vec((path(), node), 1..14).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (path, node) in nodes {
            let above = || path.match_indices('/').map(|(slash, _)| &path[..slash]);
            if above().all(|directory| tree.get(directory).is_none_or(|node| *node == Node::Folder))
            {
                tree.extend(above().map(|directory| (directory.to_owned(), Node::Folder)));
                tree.entry(path).or_insert(node);
            }
        }
        tree
    })
}

fn source() -> impl Strategy<Value = SourceUse> {
    let part = prop_oneof![
        4 => one_of(&NAMES[..]),
        3 => one_of(&["*", "a*", "?", "[ab]", "*b"][..]),
        1 => one_of(&["..", ".", "**"][..]),
    ];
    let exclude = one_of(&["a", "b", "*", "a*", "**/b", "a/b", "*/a", "**/a*"][..]);
    let parts = proptest::collection::vec(part, 1..4);
    (parts, proptest::collection::vec(exclude, 0..2), any::<bool>()).prop_map(
        |(parts, excludes, parents)| SourceUse {
            pattern: parts.join("/"),
            excludes: excludes.into_iter().map(str::to_owned).collect(),
            parents,
            replaces_modes: false,
        },
    )
}

fn context(tree: &Tree) -> Context {
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
    let kind = |node: &Node| match node {
        Node::File => EntryKind::File,
        Node::Folder => EntryKind::Directory,
        Node::Symlink(text) => EntryKind::Symlink(text.into()),
    };
    let entry =
        |(path, node): (&String, &Node)| ContextEntry { path: path.into(), kind: kind(node), stat };
    let mut entries: Vec<ContextEntry> = tree.iter().map(entry).collect();
    entries.sort_by(|a, b| walk_order(a.bytes(), b.bytes()));
    Context { root: PathBuf::from("/nowhere"), entries, unreadable: Vec::new() }
}

fn glob(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|skip| glob(rest, &name[skip..])),
        ['[', 'a', 'b', ']', rest @ ..] => {
            matches!(name.first(), Some('a' | 'b')) && glob(rest, &name[1..])
        }
        [c, rest @ ..] => {
            name.first().is_some_and(|n| *c == '?' || c == n) && glob(rest, &name[1..])
        }
    }
}

/// Matches a path. `deep` is whether `**` stands for any depth, or for one name as in `filepath.Match`.
fn path_glob(pattern: &[&str], path: &[&str], deep: bool) -> bool {
    match pattern {
        [] => path.is_empty(),
        ["**"] if deep => !path.is_empty(),
        ["**", rest @ ..] if deep => {
            (0..=path.len()).any(|skip| path_glob(rest, &path[skip..], deep))
        }
        [first, rest @ ..] => path.first().is_some_and(|name| {
            let chars = |text: &str| text.chars().collect::<Vec<char>>();
            glob(&chars(first), &chars(name)) && path_glob(rest, &path[1..], deep)
        }),
    }
}

/// Whether a pattern matches a path or a directory that contains it.
fn or_parent(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    (1..=path.len()).any(|end| path_glob(&pattern, &path[..end], true))
}

/// Resolves a path. Adds the symlinks on the way to `needed`.
fn lead(tree: &Tree, path: &str, needed: &mut BTreeSet<String>) -> Option<String> {
    let mut at: Vec<String> = Vec::new();
    let mut ahead: VecDeque<String> = path.split('/').map(str::to_owned).collect();
    let mut links = 0;
    while let Some(part) = ahead.pop_front() {
        match part.as_str() {
            "" | "." => continue,
            ".." => {
                at.pop();
                continue;
            }
            _ => at.push(part),
        }
        match tree.get(&at.join("/"))? {
            Node::Symlink(text) => {
                links += 1;
                if links > 100 {
                    return None;
                }
                needed.insert(at.join("/"));
                at.pop();
                if text.starts_with('/') {
                    at.clear();
                }
                for part in text.split('/').rev() {
                    ahead.push_front(part.to_owned());
                }
            }
            Node::File if ahead.iter().any(|part| !part.is_empty()) => return None,
            Node::File | Node::Folder => {}
        }
    }
    Some(at.join("/"))
}

fn below<'a>(tree: &'a Tree, directory: &str) -> Vec<(&'a str, &'a str)> {
    let inside = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let rest = |path: &'a String| Some((path.as_str(), path.strip_prefix(&inside)?));
    tree.keys().filter_map(rest).collect()
}

fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Returns what BuildKit's copy reads: wildcards are resolved below the part without wildcards, each match is
/// followed and copied, and patterns are relative to it.
fn read(tree: &Tree, one: &SourceUse) -> BTreeSet<String> {
    let mut needed = BTreeSet::new();
    let (source, pattern) = match (one.parents, one.pattern.split_once("/./")) {
        (false, _) => (clean(&one.pattern), None),
        (true, None) => (String::new(), Some(clean(&one.pattern))),
        (true, Some((source, pattern))) => (clean(source), Some(clean(pattern))),
    };
    let parts: Vec<&str> = source.split('/').collect();
    let plain = parts.iter().position(|part| part.contains(['*', '?', '[']));
    let mut matches = Vec::new();
    match plain {
        None => matches.push(source.clone()),
        Some(plain) => {
            if let Some(base) = lead(tree, &parts[..plain].join("/"), &mut needed) {
                let matching = |(_, rest): &(&str, &str)| {
                    path_glob(&parts[plain..], &rest.split('/').collect::<Vec<_>>(), false)
                };
                let found = below(tree, &base).into_iter().filter(matching);
                matches.extend(found.map(|(path, _)| path.to_owned()));
            }
        }
    }
    for source in matches {
        let Some(source) = lead(tree, &source, &mut needed) else { continue };
        if !source.is_empty() && pattern.is_none() {
            needed.insert(source.clone());
        }
        for (path, rest) in below(tree, &source) {
            let wanted = pattern.as_ref().is_none_or(|p| p.is_empty() || or_parent(p, rest));
            if wanted && !one.excludes.iter().any(|exclude| or_parent(exclude, rest)) {
                needed.insert(path.to_owned());
            }
        }
    }
    let above = |path: &String| {
        path.match_indices('/').map(|(slash, _)| path[..slash].to_owned()).collect::<Vec<_>>()
    };
    needed.extend(needed.iter().flat_map(above).collect::<Vec<_>>());
    needed
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        // A failure becomes a row of a table instead of a stored seed.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_file_that_buildkit_reads_is_selected(
        tree in tree(),
        uses in proptest::collection::vec(source(), 1..3),
    ) {
        let context = context(&tree);
        let selected: BTreeSet<&str> = select(&context, &uses)
            .into_iter()
            .map(|one| context.entries[one.index].path.to_str().expect("names are ASCII here"))
            .collect();
        for one in &uses {
            for path in read(&tree, one) {
                prop_assert!(selected.contains(path.as_str()), "{} of {:?}", path, one);
            }
        }
    }
}
