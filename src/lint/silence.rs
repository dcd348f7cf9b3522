//! Which rules are silenced: `[check] skip` in `layers.toml`, and `# check=` at the top of a Dockerfile.
//!
//! Owns the parsing of both. The directive is BuildKit's (<https://docs.docker.com/reference/dockerfile/#check>):
//! `skip=all`, or `skip=` with comma-separated names; `error=true`; `;` between the two. Names are those of BuildKit's
//! checks, or the codes of `layers`. Only warnings can be silenced: a file with an error cannot be built.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::base::text::suggest;
use crate::base::{Diagnostic, Level, RelPath, Rule, Span};
use crate::graph::Graph;
use crate::parse::Dockerfile;
use crate::scan::config::ConfigFile;

/// BuildKit's checks that have no equivalent rule here. They may be named, without any effect.
const FOREIGN: &[&str] = &[
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

/// Which rules are silenced, and where warnings are errors.
#[derive(Debug, Clone, Default)]
pub struct Silence {
    everywhere: BTreeSet<Rule>,
    files: BTreeMap<RelPath, FileChecks>,
}

/// The directive of one Dockerfile.
#[derive(Debug, Clone, Default)]
struct FileChecks {
    /// Whether `skip=all` is set.
    all: bool,
    skip: BTreeSet<Rule>,
    /// Whether `error=true` is set.
    error: bool,
}

impl Silence {
    /// Reads the check settings of the configuration and the Dockerfiles, and the diagnostics about them.
    pub fn read(graph: &Graph, config: &ConfigFile) -> (Silence, Vec<Diagnostic>) {
        let mut silence = Silence::default();
        let mut problems = Vec::new();
        for setting in &config.config.check.skip {
            let span = ConfigFile::span(setting);
            match read_name(setting.get_ref(), Rule::Config) {
                Ok(rules) => silence.everywhere.extend(rules),
                Err(mistake) => problems.push(mistake.at(&config.source, span, "")),
            }
        }
        for image in graph.images.values() {
            // The images of one Dockerfile share its directive.
            if image.file.directives.check.is_some()
                && !silence.files.contains_key(&image.dockerfile)
            {
                let checks = read_directive(&image.file, &mut problems);
                silence.files.insert(image.dockerfile.clone(), checks);
            }
        }
        (silence, problems)
    }

    /// Removes silenced warnings and duplicates: images from the same Dockerfile share its diagnostics.
    pub fn apply(&self, mut problems: Vec<Diagnostic>) -> Vec<Diagnostic> {
        let mut seen = HashSet::new();
        problems.retain(|problem| {
            let location = problem.labels.first().map(|label| label.source.location(label.span));
            let key = (problem.rule, location, problem.message.clone());
            !self.is_silenced(problem) && (key.1.is_none() || seen.insert(key))
        });
        problems
    }

    /// Turns the warnings about Dockerfiles with `error=true` into errors.
    pub fn escalate(&self, problems: &mut [Diagnostic]) {
        for problem in problems {
            if self.checks_of(problem).is_some_and(|checks| checks.error) {
                problem.level = Level::Error;
            }
        }
    }

    fn is_silenced(&self, problem: &Diagnostic) -> bool {
        let in_file = |checks: &FileChecks| checks.all || checks.skip.contains(&problem.rule);
        problem.rule.level() == Level::Warning
            && (self.everywhere.contains(&problem.rule)
                || self.checks_of(problem).is_some_and(in_file))
    }

    /// Returns the directive of the file that a diagnostic is mainly about.
    fn checks_of(&self, problem: &Diagnostic) -> Option<&FileChecks> {
        self.files.get(problem.labels.first()?.source.path())
    }
}

/// Returns the rules that a name silences: one by its code, or all equivalents of a BuildKit check, which may be none.
/// Returns a diagnostic of `rule` if the name silences nothing.
fn read_name(name: &str, rule: Rule) -> Result<Vec<Rule>, Diagnostic> {
    let rules = named(name);
    if rules.is_empty() && !FOREIGN.contains(&name) {
        let hint = suggest(name, names().chain(FOREIGN.iter().copied()));
        let hint = hint.as_deref().unwrap_or("use the code in brackets before the message");
        return Err(Diagnostic::new(rule, format!("unknown rule `{name}`")).hint(hint));
    }
    if rules.iter().any(|rule| rule.level() == Level::Error) {
        let message = format!("`{name}` is an error and can't be silenced");
        return Err(Diagnostic::new(rule, message).hint("remove it from the list"));
    }
    Ok(rules)
}

/// Returns the rules with a name.
fn named(name: &str) -> Vec<Rule> {
    let is_it = |rule: &Rule| rule.code() == name || rule.buildkit().contains(&name);
    Rule::ALL.iter().copied().filter(is_it).collect()
}

/// Returns all names that can be silenced.
fn names() -> impl Iterator<Item = &'static str> {
    let warnings = Rule::ALL.iter().filter(|rule| rule.level() == Level::Warning);
    warnings.flat_map(|rule| [rule.code()].into_iter().chain(rule.buildkit().iter().copied()))
}

/// Parses `skip=…;error=…`. What BuildKit rejects in it is reported when the file is parsed. An unknown name is a
/// warning, because BuildKit accepts it.
fn read_directive(file: &Dockerfile, problems: &mut Vec<Diagnostic>) -> FileChecks {
    let mut checks = FileChecks::default();
    let Some(directive) = &file.directives.check else { return checks };
    for (part, span) in split(&directive.value, directive.span, ';') {
        let Some((key, value)) = part.split_once('=') else { continue };
        match (key.trim(), value.trim()) {
            ("skip", "all") => checks.all = true,
            ("skip", _) => {
                let start = span.range().end - value.len();
                let names = split(value, Span::new(start, span.range().end), ',');
                for (name, span) in names.into_iter().filter(|(name, _)| !name.is_empty()) {
                    match read_name(name, Rule::UnknownRule) {
                        Ok(rules) => checks.skip.extend(rules),
                        Err(mistake) => problems.push(mistake.at(&file.source, span, "")),
                    }
                }
            }
            ("error", truth) => checks.error = is_true(truth),
            // BuildKit's experimental checks have no rule here.
            _ => {}
        }
    }
    checks
}

/// Splits a text into trimmed parts, each with its position.
fn split(text: &str, span: Span, sign: char) -> Vec<(&str, Span)> {
    let mut at = span.range().start;
    let mut parts = Vec::new();
    for part in text.split(sign) {
        let trimmed = part.trim();
        let start = at + (part.len() - part.trim_start().len());
        parts.push((trimmed, Span::new(start, start + trimmed.len())));
        at += part.len() + sign.len_utf8();
    }
    parts
}

/// Parses a Boolean like Go's `strconv.ParseBool`.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Source;

    fn check(directive: &str, expected: &str, mistakes: &[&str]) {
        let text = format!("# check={directive}\nFROM scratch\n");
        let source = Source::new(RelPath::root(), text);
        let mut problems = Vec::new();
        let checks = read_directive(&crate::parse::parse(&source), &mut problems);
        let summary = format!("all={} skip={:?} error={}", checks.all, checks.skip, checks.error);
        assert_eq!(summary, expected, "{directive}");
        let reported: Vec<String> = problems
            .iter()
            .map(|it| format!("{}: {}", source.slice(it.labels[0].span), it.message))
            .collect();
        assert_eq!(reported, mistakes, "{directive}");
    }

    #[test]
    fn buildkit_only_checks_do_not_match_rules() {
        assert!(FOREIGN.iter().all(|name| named(name).is_empty()));
    }

    #[test]
    fn skip_directives_are_parsed() {
        check("skip=all", "all=true skip={} error=false", &[]);
        check("error=true", "all=false skip={} error=true", &[]);
        check(
            "skip=CopyIgnoredFile,unused-stage;error=T",
            "all=false skip={IgnoredFile, UnusedStage} error=true",
            &[],
        );
        check("skip=FromAsCasing;experimental=all", "all=false skip={} error=false", &[]);
        check(
            "skip=unused-stag,cycle",
            "all=false skip={} error=false",
            &[
                "unused-stag: unknown rule `unused-stag`",
                "cycle: `cycle` is an error and can't be silenced",
            ],
        );
        check("skip;errors=true;error=0", "all=false skip={} error=false", &[]);
    }
}
