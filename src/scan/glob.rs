//! Path globs: `*` and `?` within a part, `**` for any number of parts, `[…]`, and `{a,b}`.
//!
//! Owns the translation to regular expressions, for Dockerfile globs and name filters. The
//! different rules of ignore files are in `ignore_file`.

use anyhow::Context;
use regex::Regex;

/// Compiles a glob that must match a whole path or name.
///
/// # Errors
/// Returns an error if a bracket or brace is not closed.
pub fn compile(glob: &str) -> anyhow::Result<Regex> {
    let mut regex = String::from("^(?:");
    let mut rest = glob;
    let mut braces = 0_usize;
    while let Some(character) = rest.chars().next() {
        let mut used = character.len_utf8();
        match character {
            '*' if rest.starts_with("**/") => {
                regex.push_str("(?:.*/)?");
                used = 3;
            }
            '*' if rest.starts_with("**") => {
                regex.push_str(".*");
                used = 2;
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '[' => {
                let end = rest[1..].find(']').context("unclosed `[`")? + 2;
                let class = rest[1..end - 1].replace('\\', "\\\\").replace('[', "\\[");
                let class = class.strip_prefix('!').map_or(class.clone(), |not| format!("^{not}"));
                regex.extend(["[", &class, "]"]);
                used = end;
            }
            '{' => {
                regex.push_str("(?:");
                braces += 1;
            }
            '}' if braces > 0 => {
                regex.push(')');
                braces -= 1;
            }
            ',' if braces > 0 => regex.push('|'),
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[used..];
    }
    anyhow::ensure!(braces == 0, "unclosed `{{`");
    regex.push_str(")$");
    Regex::new(&regex).with_context(|| format!("`{glob}` is not a valid glob pattern"))
}

/// Returns whether a text contains a special character of globs.
pub fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '[', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(glob: &str, matches: &[&str], others: &[&str]) {
        let regex = compile(glob).unwrap();
        for text in matches {
            assert!(regex.is_match(text), "{glob} should match {text}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{glob} should not match {text}");
        }
    }

    #[test]
    fn globs_match_whole_paths() {
        check("docker/*/Dockerfile", &["docker/a/Dockerfile"], &["docker/a/b/Dockerfile"]);
        check("**/Dockerfile", &["Dockerfile", "a/b/Dockerfile"], &["a/b/Dockerfile.dev"]);
        check("docker/**", &["docker/a", "docker/a/b"], &["dockers/a"]);
        check("Dockerfile.{dev,prod}", &["Dockerfile.dev", "Dockerfile.prod"], &["Dockerfile."]);
        check("v[0-9].x", &["v1.x"], &["v12x", "vx.x"]);
        check("[!a]x", &["bx"], &["ax"]);
        check("a?c", &["abc"], &["a/c", "ac"]);
        check("a.c", &["a.c"], &["abc"]);
        assert!(compile("a[b").is_err());
        assert!(compile("a{b").is_err());
    }
}
