//! Sources of `ADD` outside the build context: URLs and git repositories.
//!
//! Owns the distinction between them. It downloads nothing.

/// The origin of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SourceKind {
    /// The build context.
    Context,
    /// An HTTP or HTTPS URL.
    Web,
    /// A git repository.
    Git,
}

/// Returns the origin of a source of `ADD`. The rules are those of BuildKit's `dfgitutil` and
/// `gitutil`.
pub(super) fn origin(source: &str) -> SourceKind {
    let scheme = source.split_once("://").map(|(scheme, rest)| (scheme.to_lowercase(), rest));
    match scheme {
        Some((scheme, rest)) if is_word(&scheme, "") => match scheme.as_str() {
            "git" | "ssh" if is_address(rest) => SourceKind::Git,
            "http" | "https" if is_git_path(rest) && is_address(rest) => SourceKind::Git,
            "http" | "https" if source.starts_with(&format!("{scheme}://")) => SourceKind::Web,
            _ => SourceKind::Context,
        },
        _ if is_scp_style(source) => SourceKind::Git,
        _ => SourceKind::Context,
    }
}

/// Returns whether the path of a URL ends with `.git`.
fn is_git_path(rest: &str) -> bool {
    let rest = rest.split('#').next().unwrap_or_default();
    let rest = rest.split('?').next().unwrap_or_default();
    rest.split_once('/').is_some_and(|(_, path)| path.ends_with(".git"))
}

/// Returns whether Go can parse the part of a URL after its scheme. If it cannot, the source is not
/// a git repository, and its prefix determines whether it is a URL or a path.
fn is_address(rest: &str) -> bool {
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let rest = rest.split('?').next().unwrap_or_default();
    let host = rest.split('/').next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let after = match host.strip_prefix('[') {
        Some(address) => match address.split_once(']') {
            Some((_, after)) => after,
            None => return false,
        },
        None => host.find(':').map_or("", |at| &host[at..]),
    };
    let is_port = after.strip_prefix(':').unwrap_or(after).bytes().all(|b| b.is_ascii_digit());
    let is_quoted = |text: &str| {
        text.split('%')
            .skip(1)
            .all(|quoted| quoted.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
    };
    is_port
        && is_quoted(rest)
        && is_quoted(fragment)
        && !rest.bytes().chain(fragment.bytes()).any(|b| b.is_ascii_control())
}

/// Returns whether a source has the form `user@host:path` that ssh accepts.
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
    fn remote_sources_are_distinguished_from_paths() {
        let check =
            |source: &str, expected: SourceKind| assert_eq!(origin(source), expected, "{source}");
        check("a/b", SourceKind::Context);
        check("https://example.com/a.tgz", SourceKind::Web);
        check("https://example.com/a.git", SourceKind::Git);
        check("https://example.com/a.git?x=y#v1:dir", SourceKind::Git);
        check("https://example.com/a.git/raw", SourceKind::Web);
        check("https://a.git", SourceKind::Web);
        check("https://example.com/%zz.git", SourceKind::Web);
        check("https://example.com/%20.git#%zz", SourceKind::Web);
        check("https://example.com:x/a.git", SourceKind::Web);
        check("https://u:p@example.com:443/a.git", SourceKind::Git);
        check("https://[::1]:443/a.git", SourceKind::Git);
        check("https://[::1/a.git", SourceKind::Web);
        check("ssh://h/%zz", SourceKind::Context);
        check("git://h/x", SourceKind::Git);
        check("ssh://h/x", SourceKind::Git);
        check("git@github.com:a/b", SourceKind::Git);
        check("HTTPS://h/x", SourceKind::Context);
        check("ftp://h/x", SourceKind::Context);
        check("github.com/a/b.git", SourceKind::Context);
        check("./git@h:x", SourceKind::Context);
    }
}
