//! Command lines as they are typed again, in hints and in the headers of files.
//!
//! Owns the options of all commands, and the quoting of a word on one line.

use crate::base::Platform;
use crate::base::text::shell_word;
use crate::cli::Global;

/// The options of all commands that change what is made, each with its value as `quote` writes words.
pub fn settings(global: &Global, quote: impl Fn(&str) -> String) -> Vec<String> {
    let Global {
        directory: _,
        build_args,
        platform,
        target,
        sbom,
        provenance,
        namespace,
        app,
        tags,
        registry: _,
    } = global;
    let platform = &platform.as_ref().map(Platform::to_string);
    let said = [("platform", platform), ("target", target), ("namespace", namespace), ("app", app)];
    let arguments = build_args.iter().map(|it| ("build-arg", it));
    let said = said.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let said = arguments.chain(said).chain(tags.iter().map(|it| ("tag", it)));
    // A verdict depends on them.
    let attested = [("sbom", sbom), ("provenance", provenance)].into_iter();
    let attested = attested.filter_map(|(name, how)| Some((name, how.as_ref()?.to_string())));
    let attested = attested.map(|(name, how)| format!("--{name}={}", quote(&how)));
    said.map(|(name, value)| format!("--{name} {}", quote(value))).chain(attested).collect()
}

/// A word as a shell takes it, on one line.
pub fn quote(word: &str) -> String {
    // The last two end a line in some formats.
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let word: String = word.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    shell_word(&word)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let check = |word: &str, expected: &str| assert_eq!(quote(word), expected);
        check("+docker/base", "+docker/base");
        check("dev-*", "'dev-*'");
        check("it's", r"'it'\''s'");
        check("a\nb\u{85}c\u{2028}d", "'a b c d'");
        check("", "''");
    }
}
