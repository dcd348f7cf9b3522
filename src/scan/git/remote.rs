//! The name that a repository has elsewhere.
//!
//! Owns reading it from git's configuration, which is where a clone has its origin.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the last part of the URL of the remote `origin`, without `.git`: `shop` for `git@example.com:acme/shop.git`.
/// Returns `None` if `root` is not the top of a work tree, or has no such remote.
pub fn remote_name(root: &Path) -> Option<String> {
    let config = fs::read_to_string(common_directory(root)?.join("config")).ok()?;
    name_in(&url_in(&config)?)
}

/// Returns git's directory, which linked work trees share.
fn common_directory(root: &Path) -> Option<PathBuf> {
    let path = root.join(".git");
    if path.is_dir() {
        return Some(path);
    }
    // The files of linked work trees and submodules name their directory (gitrepository-layout).
    let text = fs::read_to_string(path).ok()?;
    let directory = root.join(text.strip_prefix("gitdir:")?.trim());
    match fs::read_to_string(directory.join("commondir")) {
        Ok(common) => Some(directory.join(common.trim())),
        Err(_) => Some(directory),
    }
}

/// Returns the last URL of `origin` in a configuration (git-config). Included files are not read.
fn url_in(config: &str) -> Option<String> {
    let mut is_origin = false;
    let mut found = None;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            is_origin = line.trim_end_matches(']').split_whitespace().eq(["[remote", "\"origin\""]);
        } else if is_origin
            && let Some((name, value)) = line.split_once('=')
            && name.trim().eq_ignore_ascii_case("url")
        {
            found = Some(value.trim().trim_matches('"').to_owned());
        }
    }
    found
}

fn name_in(url: &str) -> Option<String> {
    let last = url.trim_end_matches('/').rsplit(['/', ':']).next()?;
    let name = last.strip_suffix(".git").unwrap_or(last);
    let is_name = name.chars().any(char::is_alphanumeric);
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_origin() {
        let check = |url: &str, expected: Option<&str>| {
            let config = format!(
                "[core]\n\tbare = false\n[remote \"other\"]\n\turl = x/no\n[remote \"origin\"]\n\turl = {url}\n\
                 \tfetch = +refs/heads/*:refs/remotes/origin/*\n[branch \"main\"]\n\turl = y\n"
            );
            assert_eq!(url_in(&config).and_then(|it| name_in(&it)).as_deref(), expected, "{url}");
        };
        check("https://example.com/acme/shop.git", Some("shop"));
        check("https://example.com/acme/shop/", Some("shop"));
        check("git@example.com:shop.git", Some("shop"));
        check("\"/srv/git/Shop\"", Some("Shop"));
        check("..", None);
        assert_eq!(url_in("[remote \"other\"]\nurl = x\n"), None);
    }

    #[test]
    fn linked_work_trees_have_the_origin_of_their_repository() {
        let directory = tempfile::tempdir().unwrap();
        let (main, linked) = (directory.path().join("main"), directory.path().join("linked"));
        let own = main.join(".git/worktrees/linked");
        fs::create_dir_all(&own).unwrap();
        fs::create_dir(&linked).unwrap();
        fs::write(main.join(".git/config"), "[remote \"origin\"]\n  url = /a/shop.git\n").unwrap();
        fs::write(own.join("commondir"), "../..\n").unwrap();
        fs::write(linked.join(".git"), format!("gitdir: {}\n", own.display())).unwrap();
        for root in [&main, &linked] {
            assert_eq!(remote_name(root).as_deref(), Some("shop"));
        }
        assert_eq!(remote_name(directory.path()), None);
    }
}
