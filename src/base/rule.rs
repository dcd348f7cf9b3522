//! The rules: each kind of problem that the repository's files, or what a command is given for them, can
//! have.
//!
//! Owns each rule's code, level, and page, and the equivalent checks of BuildKit. What a rule finds is
//! described on its page and in the code that checks it.

use super::Level;

/// Defines the rules: name, level, code, and BuildKit's equivalent checks.
macro_rules! rules {
    ($($name:ident: $level:ident, $code:literal, [$($check:literal),*];)*) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = concat!("`", $code, "`")] $name,)*
        }

        impl Rule {
            /// All rules, in the order of their codes.
            pub const ALL: &[Rule] = &[$(Rule::$name),*];

            const fn facts(self) -> (Level, &'static str, &'static [&'static str]) {
                match self {
                    $(Rule::$name => (Level::$level, $code, &[$($check),*]),)*
                }
            }
        }
    };
}

rules! {
    BadIgnoreLine: Error, "bad-ignore-line", [];
    BadPattern: Error, "bad-pattern", [];
    BadSubstitution: Error, "bad-substitution", [];
    BlankBase: Error, "blank-base", [];
    BrokenLock: Error, "broken-lock", [];
    Checksum: Error, "checksum", [];
    Config: Error, "config", [];
    CopyAddress: Error, "copy-address", [];
    Cycle: Error, "cycle", [];
    DuplicateDirective: Error, "duplicate-directive", [];
    DuplicateFlag: Error, "duplicate-flag", [];
    DuplicateImage: Error, "duplicate-image", [];
    DuplicateReference: Error, "duplicate-reference", [];
    DuplicateStage: Warning, "duplicate-stage", ["DuplicateStageName"];
    EmptyContinuation: Warning, "empty-continuation", ["NoEmptyContinuation"];
    EmptyFile: Error, "empty-file", [];
    EmptyGroup: Warning, "empty-group", [];
    ExpansionTooLong: Error, "expansion-too-long", [];
    FailedCheck: Error, "failed-check", [];
    FlagWithoutValue: Error, "flag-without-value", [];
    IgnoredFile: Warning, "ignored-file", ["CopyIgnoredFile"];
    InstructionBeforeFrom: Error, "instruction-before-from", [];
    InvalidCheck: Error, "invalid-check", [];
    InvalidEscape: Error, "invalid-escape", [];
    InvalidFlag: Error, "invalid-flag", [];
    InvalidMode: Error, "invalid-mode", [];
    InvalidMount: Error, "invalid-mount", [];
    InvalidName: Error, "invalid-name", [];
    InvalidPlatform: Error, "invalid-platform", [];
    InvalidReference: Error, "invalid-reference", [];
    InvalidStageName: Error, "invalid-stage-name", [];
    InvalidTrigger: Error, "invalid-trigger", [];
    InvalidValue: Error, "invalid-value", [];
    LaterStage: Error, "later-stage", [];
    LineTooLong: Error, "line-too-long", [];
    MissingArgument: Error, "missing-argument", [];
    MissingEntitlement: Error, "missing-entitlement", [];
    MissingFile: Warning, "missing-file", [];
    MissingSecret: Error, "missing-secret", [];
    MisspeltSecret: Warning, "misspelt-secret", [];
    NoInstructions: Error, "no-instructions", [];
    NoStages: Error, "no-stages", [];
    NotUtf8: Error, "not-utf8", [];
    OldFrontend: Warning, "old-frontend", [];
    ParseError: Error, "parse-error", [];
    PlatformMismatch: Warning, "platform-mismatch",
        ["InvalidBaseImagePlatform", "FromPlatformFlagConstDisallowed"];
    RemovedDependency: Error, "removed-dependency", [];
    RequiredVariable: Error, "required-variable", [];
    SiblingTag: Warning, "sibling-tag", [];
    StageCycle: Error, "stage-cycle", [];
    StageIndex: Error, "stage-index", [];
    UnclosedQuote: Error, "unclosed-quote", [];
    UncoveredDockerfile: Warning, "uncovered-dockerfile", [];
    UnknownFlag: Error, "unknown-flag", [];
    UnknownInstruction: Error, "unknown-instruction", [];
    UnknownRule: Warning, "unknown-rule", [];
    UnknownSibling: Warning, "unknown-sibling", [];
    UnknownStage: Warning, "unknown-stage", [];
    UnknownTarget: Error, "unknown-target", [];
    UnreadableContext: Error, "unreadable-context", [];
    UnreadableFile: Error, "unreadable-file", [];
    UnsetVariable: Warning, "unset-variable", ["UndefinedArgInFrom", "UndefinedVar"];
    UnsupportedModifier: Error, "unsupported-modifier", [];
    UntaggedExternal: Warning, "untagged-external", [];
    UnterminatedHeredoc: Error, "unterminated-heredoc", [];
    UnusedArgument: Warning, "unused-argument", [];
    UnusedStage: Warning, "unused-stage", [];
    VariableInFrom: Error, "variable-in-from", [];
}

impl Rule {
    /// Returns the code of the rule's diagnostics.
    pub const fn code(self) -> &'static str {
        self.facts().1
    }

    /// Returns the level of the rule's diagnostics. Only warnings can be silenced: a file with an error
    /// cannot be built.
    pub const fn level(self) -> Level {
        self.facts().0
    }

    /// Returns whether an error leaves the images on which an image is built unknown, and nothing else. Such an error
    /// concerns this image and its dependents, and no reference in the file is hidden by it.
    pub const fn hides_base(self) -> bool {
        matches!(
            self,
            Rule::BlankBase
                | Rule::InvalidReference
                | Rule::MissingArgument
                | Rule::RequiredVariable
                | Rule::UnknownSibling
        )
    }

    /// Returns BuildKit's equivalent checks (<https://docs.docker.com/reference/build-checks/>).
    pub const fn buildkit(self) -> &'static [&'static str] {
        self.facts().2
    }

    /// Returns the path of the rule's page.
    pub fn page(self) -> String {
        format!("docs/rules/{}.md", self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_codes_are_sorted_and_unique() {
        assert!(Rule::ALL.windows(2).all(|pair| pair[0].code() < pair[1].code()));
    }
}
