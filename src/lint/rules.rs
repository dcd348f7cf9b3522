//! The table of all rules: every code that a diagnostic can have.
//!
//! Owns the codes as the user knows them, and which of BuildKit's checks means the same. What a
//! rule looks for is told by the code that looks, and by its page under `docs/rules/`.

use crate::base::Level;

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// The code of its diagnostics, and the name of its page.
    pub code: &'static str,
    /// The level of its diagnostics. Errors can't be silenced.
    pub level: Level,
    /// BuildKit's checks that mean the same
    /// (<https://docs.docker.com/reference/build-checks/>).
    pub buildkit: &'static [&'static str],
}

const fn error(code: &'static str) -> Rule {
    Rule { code, level: Level::Error, buildkit: &[] }
}

const fn warning(code: &'static str, buildkit: &'static [&'static str]) -> Rule {
    Rule { code, level: Level::Warning, buildkit }
}

/// All rules, sorted by code.
pub const RULES: &[Rule] = &[
    error("bad-ignore-line"),
    error("bad-pattern"),
    error("bad-substitution"),
    error("blank-base"),
    error("broken-lock"),
    error("checksum"),
    error("config"),
    error("copy-address"),
    error("cycle"),
    error("duplicate-directive"),
    error("duplicate-flag"),
    error("duplicate-image"),
    error("duplicate-reference"),
    warning("duplicate-stage", &["DuplicateStageName"]),
    warning("empty-continuation", &["NoEmptyContinuation"]),
    error("empty-file"),
    warning("empty-group", &[]),
    error("expansion-too-long"),
    error("flag-without-value"),
    warning("ignored-file", &["CopyIgnoredFile"]),
    error("instruction-before-from"),
    error("invalid-check"),
    error("invalid-escape"),
    error("invalid-flag"),
    error("invalid-mode"),
    error("invalid-mount"),
    error("invalid-name"),
    error("invalid-platform"),
    error("invalid-reference"),
    error("invalid-stage-name"),
    error("invalid-trigger"),
    error("invalid-value"),
    error("later-stage"),
    error("line-too-long"),
    warning("missing-file", &[]),
    error("no-instructions"),
    error("no-stages"),
    error("not-utf8"),
    warning("old-frontend", &[]),
    error("parse-error"),
    warning("platform-mismatch", &["InvalidBaseImagePlatform", "FromPlatformFlagConstDisallowed"]),
    error("required-variable"),
    warning("sibling-tag", &[]),
    error("stage-cycle"),
    error("stage-index"),
    error("unclosed-quote"),
    error("unknown-flag"),
    error("unknown-instruction"),
    warning("unknown-rule", &[]),
    warning("unknown-sibling", &[]),
    warning("unknown-stage", &[]),
    error("unknown-target"),
    error("unreadable-context"),
    error("unreadable-file"),
    warning("unset-variable", &["UndefinedArgInFrom", "UndefinedVar"]),
    error("unsupported-modifier"),
    warning("untagged-external", &[]),
    error("unterminated-heredoc"),
    warning("unused-stage", &[]),
    error("variable-in-from"),
];

/// BuildKit's checks that no rule of ours means. They may be named, and change nothing here.
pub const FOREIGN: &[&str] = &[
    "ConsistentInstructionCasing",
    "ExposeInvalidFormat",
    "ExposeProtoCasing",
    "FromAsCasing",
    "InvalidDefaultArgInFrom",
    "InvalidDefinitionDescription",
    "JSONArgsRecommended",
    "LegacyKeyValueFormat",
    "MaintainerDeprecated",
    "MultipleInstructionsDisallowed",
    "RedundantTargetPlatform",
    "ReservedStageName",
    "SecretsUsedInArgOrEnv",
    "StageNameCasing",
    "WorkdirRelativePath",
];

/// The rule of a code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code == code)
}

/// The rules that a name means: one by its own code, or all that mean the same as that check of
/// BuildKit's.
pub fn named(name: &str) -> Vec<&'static Rule> {
    RULES.iter().filter(|rule| rule.code == name || rule.buildkit.contains(&name)).collect()
}

/// All names that may be silenced.
pub fn names() -> impl Iterator<Item = &'static str> {
    let warnings = RULES.iter().filter(|rule| rule.level == Level::Warning);
    warnings.flat_map(|rule| [rule.code].into_iter().chain(rule.buildkit.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_sorted_and_single() {
        assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
        assert!(FOREIGN.iter().all(|name| named(name).is_empty()));
    }
}
