//! Sources of `ADD` that are no files of the context: web addresses and git repositories.
//!
//! Owns the distinction. It downloads nothing.

/// Where a source comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The build context.
    Context,
    /// The web.
    Web,
    /// A git repository.
    Git,
}

/// Where a source of `ADD` comes from, by BuildKit's `dfgitutil` and `gitutil`.
pub(super) fn origin(source: &str) -> Origin {
    let scheme = source.split_once("://").map(|(scheme, rest)| (scheme.to_lowercase(), rest));
    match scheme {
        Some((scheme, rest)) if is_word(&scheme, "") => match scheme.as_str() {
            "git" | "ssh" => Origin::Git,
            "http" | "https" if is_git_path(rest) => Origin::Git,
            "http" | "https" if source.starts_with(&format!("{scheme}://")) => Origin::Web,
            _ => Origin::Context,
        },
        _ if is_scp_style(source) => Origin::Git,
        _ => Origin::Context,
    }
}

/// Whether the path of an address ends with `.git`.
fn is_git_path(rest: &str) -> bool {
    let rest = rest.split('#').next().unwrap_or_default();
    let rest = rest.split('?').next().unwrap_or_default();
    rest.split_once('/').is_some_and(|(_, path)| path.ends_with(".git"))
}

/// `user@host:path`, as ssh takes it.
fn is_scp_style(source: &str) -> bool {
    let Some((user, rest)) = source.split_once('@') else { return false };
    let Some((host, path)) = rest.split_once(':') else { return false };
    is_word(user, "-_") && is_word(host, "-.") && !path.contains('\n')
}

fn is_word(text: &str, more: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_told_from_paths() {
        let check =
            |source: &str, expected: Origin| assert_eq!(origin(source), expected, "{source}");
        check("a/b", Origin::Context);
        check("https://example.com/a.tgz", Origin::Web);
        check("https://example.com/a.git", Origin::Git);
        check("https://example.com/a.git?x=y#v1:dir", Origin::Git);
        check("https://example.com/a.git/raw", Origin::Web);
        check("https://a.git", Origin::Web);
        check("git://h/x", Origin::Git);
        check("ssh://h/x", Origin::Git);
        check("git@github.com:a/b", Origin::Git);
        check("HTTPS://h/x", Origin::Context);
        check("ftp://h/x", Origin::Context);
        check("github.com/a/b.git", Origin::Context);
        check("./git@h:x", Origin::Context);
    }
}
