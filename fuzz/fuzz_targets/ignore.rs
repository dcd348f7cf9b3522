//! Matches any paths against any ignore file. Checks that nothing panics, and that no skipped directory contains a
//! path that is sent.
//!
//! The input is the ignore file and the paths, separated by NUL.

#![no_main]

use layers::base::{RelPath, Source};
use layers::scan::ignore_file::IgnoreFile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut parts = input.split('\0');
    let source = Source::new(RelPath::root(), parts.next().unwrap_or_default());
    let (file, problems) = IgnoreFile::parse(&source);
    for label in problems.iter().flat_map(|problem| &problem.labels) {
        label.source.slice(label.span);
    }
    let patterns = source.text().lines();
    drop(IgnoreFile::from_patterns(patterns));
    let mut matcher = file.matcher();
    for path in parts {
        let Some(path) = RelPath::new(path).filter(|path| !path.is_root()) else { continue };
        let path = path.as_str();
        let ignored = matcher.ignored(path);
        assert_eq!(ignored, file.ignored(path), "a matcher gives the same result");
        for (slash, _) in path.match_indices('/') {
            if matcher.can_skip_directory(&path[..slash]) {
                assert!(ignored, "`{}` is skipped and `{path}` is sent", &path[..slash]);
            }
        }
    }
});
