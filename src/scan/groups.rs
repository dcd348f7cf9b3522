//! The assignment of Dockerfiles to the groups of `layers.toml`.
//!
//! Owns the precedence (a Dockerfile belongs to the first group that matches it, or else to the
//! globs outside of groups), the excludes, and the captures of a group's pattern. It does not name
//! images.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use regex::Regex;

use crate::base::{Diagnostic, RelPath, Rule, Span};

use super::config::{ConfigFile, Group, Setting};
use super::{dockerfiles, glob};

/// A Dockerfile that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundDockerfile {
    /// The path.
    pub path: RelPath,
    /// The index of its group in the file, or `None` for the globs outside of groups.
    pub group: Option<usize>,
    /// The named captures of the group's pattern. Captures that did not participate in the match
    /// are empty.
    pub captures: BTreeMap<String, String>,
}

impl FoundDockerfile {
    /// Returns a Dockerfile without a group.
    pub fn plain(path: RelPath) -> FoundDockerfile {
        FoundDockerfile { path, group: None, captures: BTreeMap::new() }
    }
}

/// Finds all Dockerfiles below `root` that the configuration matches, sorted by path. Mistakes in
/// globs and patterns are errors, and a group without matches is a warning.
///
/// # Errors
/// Returns an error if a directory to search cannot be read.
pub fn find(
    root: &Path,
    file: &ConfigFile,
) -> anyhow::Result<(Vec<FoundDockerfile>, Vec<Diagnostic>)> {
    let mut search = GroupSearch {
        root,
        file,
        exclude: Vec::new(),
        members: HashSet::new(),
        problems: Vec::new(),
    };
    search.exclude = search.globs(&file.config.exclude).into_iter().map(|(_, glob)| glob).collect();
    let mut found = Vec::new();
    for (at, group) in file.config.group.iter().enumerate() {
        found.extend(search.find_group(at, group)?);
    }
    // References are matched elsewhere; a mistake in these globs is reported with the others.
    search.globs(&file.config.externals);
    found.extend(search.find_rest()?);
    let second = dockerfiles::second_names(root, found.iter().map(|it| &it.path));
    found.retain(|it| !second.contains(&it.path));
    found.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((found, search.problems))
}

/// Returns a function that determines whether a glob or pattern of the configuration matches a
/// path, disregarding excludes. Malformed globs and patterns match nothing.
pub fn finder(file: &ConfigFile) -> impl Fn(&str) -> bool + use<> {
    let mut globs = file.globs(&dockerfiles::DEFAULT_GLOBS);
    let mut found = Vec::new();
    for group in &file.config.group {
        let group = group.get_ref();
        globs.extend(group.dockerfiles.iter().map(|glob| glob.get_ref().as_str()));
        if let (Some(pattern), true) = (&group.pattern, group.dockerfiles.is_empty()) {
            found.extend(Regex::new(&format!("^(?:{})$", pattern.get_ref())).ok());
        }
    }
    found.extend(globs.iter().filter_map(|it| glob::compile(it.trim_start_matches("./")).ok()));
    move |path| found.iter().any(|regex| regex.is_match(path))
}

struct GroupSearch<'a> {
    root: &'a Path,
    file: &'a ConfigFile,
    exclude: Vec<Regex>,
    members: HashSet<RelPath>,
    problems: Vec<Diagnostic>,
}

impl GroupSearch<'_> {
    fn find_group(
        &mut self,
        at: usize,
        group: &toml::Spanned<Group>,
    ) -> anyhow::Result<Vec<FoundDockerfile>> {
        let whole = ConfigFile::span(group);
        let group = group.get_ref();
        let before = self.problems.len();
        let exclude = self.globs(&group.exclude);
        let mut globs: Vec<&str> =
            self.globs(&group.dockerfiles).into_iter().map(|(glob, _)| glob).collect();
        let pattern = group.pattern.as_ref().and_then(|pattern| self.pattern(pattern));
        if self.problems.len() > before {
            return Ok(Vec::new());
        }
        let below;
        match (&group.pattern, group.dockerfiles.is_empty()) {
            (Some(pattern), true) => {
                below = format!("{}**", fixed_part(pattern.get_ref()));
                globs = vec![&below];
            }
            (None, true) => {
                let hint = "add `dockerfiles = [\"images/*/Dockerfile\"]` or a `pattern`";
                self.report(
                    "the group has neither `dockerfiles` nor a `pattern`",
                    self.head(whole),
                    hint,
                );
                return Ok(Vec::new());
            }
            _ => {}
        }
        let mut found = Vec::new();
        let mut elsewhere = 0;
        for path in dockerfiles::find(self.root, &globs, &[])? {
            if self.excludes(&path) || exclude.iter().any(|(_, glob)| glob.is_match(path.as_str()))
            {
                continue;
            }
            let captures = match &pattern {
                None => Some(BTreeMap::new()),
                Some(pattern) => captures(pattern, path.as_str()),
            };
            let Some(captures) = captures else { continue };
            if self.members.insert(path.clone()) {
                found.push(FoundDockerfile { path, group: Some(at), captures });
            } else {
                elsewhere += 1;
            }
        }
        if found.is_empty() {
            let span = group.dockerfiles.first().or(group.pattern.as_ref());
            let span = span.map_or(whole, ConfigFile::span);
            let problem = Diagnostic::new(Rule::EmptyGroup, "this group matches no Dockerfile");
            let problem = problem.at(&self.file.source, span, "");
            self.problems.push(match elsewhere {
                0 => problem.hint("correct its globs or its pattern, or remove the group"),
                _ => problem
                    .note("every Dockerfile that it matches belongs to an earlier group")
                    .hint("move it before that group"),
            });
        }
        Ok(found)
    }

    /// Finds the Dockerfiles of the globs outside of groups.
    fn find_rest(&mut self) -> anyhow::Result<Vec<FoundDockerfile>> {
        let mut globs = self.file.globs(&dockerfiles::DEFAULT_GLOBS);
        if let Some(settings) = &self.file.config.dockerfiles {
            globs = self.globs(settings).into_iter().map(|(glob, _)| glob).collect();
        }
        let mut paths = dockerfiles::find(self.root, &globs, &[])?;
        paths.retain(|path| !self.excludes(path) && !self.members.contains(path));
        if let (true, [first, ..], false) = (
            paths.is_empty(),
            self.file.config.dockerfiles.as_deref().unwrap_or_default(),
            self.members.is_empty(),
        ) {
            let problem = Diagnostic::new(Rule::EmptyGroup, "these globs match no Dockerfile")
                .at(&self.file.source, ConfigFile::span(first), "")
                .note("Dockerfiles that belong to groups are not matched again")
                .hint("correct or remove the globs");
            self.problems.push(problem);
        }
        Ok(paths.into_iter().map(FoundDockerfile::plain).collect())
    }

    /// Returns whether the excludes outside of groups match a path.
    fn excludes(&self, path: &RelPath) -> bool {
        self.exclude.iter().any(|glob| glob.is_match(path.as_str()))
    }

    /// Compiles globs and reports those that are malformed.
    fn globs<'s>(&mut self, settings: &'s [Setting]) -> Vec<(&'s str, Regex)> {
        let mut globs = Vec::new();
        for setting in settings {
            let glob = setting.get_ref().trim_start_matches("./");
            match glob::compile(glob) {
                Ok(regex) => globs.push((glob, regex)),
                Err(error) => {
                    let message = format!(
                        "`{}` is not a valid glob pattern: {}",
                        setting.get_ref(),
                        error.root_cause()
                    );
                    let hint =
                        "`*` matches part of a path component, `**` any number of components";
                    self.report(message, ConfigFile::span(setting), hint);
                }
            }
        }
        globs
    }

    fn pattern(&mut self, setting: &Setting) -> Option<Regex> {
        match Regex::new(&format!("^(?:{})$", setting.get_ref())) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let text = error.to_string();
                let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                let message = format!("the pattern is not a valid regular expression: {cause}");
                let hint = "write it in single quotes, with captures as `(?<name>[^/]+)`";
                self.report(message, ConfigFile::span(setting), hint);
                None
            }
        }
    }

    fn report(&mut self, message: impl Into<String>, span: Span, hint: &str) {
        let problem = Diagnostic::new(Rule::Config, message).at(&self.file.source, span, "");
        self.problems.push(problem.hint(hint));
    }

    /// Returns the first line of a longer span.
    fn head(&self, span: Span) -> Span {
        let line = self.file.source.line_of(span.start);
        self.file.source.line_span(line).unwrap_or(span)
    }
}

fn captures(pattern: &Regex, path: &str) -> Option<BTreeMap<String, String>> {
    let found = pattern.captures(path)?;
    let names = pattern.capture_names().flatten();
    let text = |name: &str| found.name(name).map_or("", |text| text.as_str()).to_owned();
    Some(names.map(|name| (name.to_owned(), text(name))).collect())
}

/// Returns the directories with which every path that the pattern matches begins, with a trailing
/// `/` unless empty, so that only these are searched.
fn fixed_part(pattern: &str) -> &str {
    let mut depth = 0_i32;
    for character in pattern.chars() {
        match character {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '|' if depth == 0 => return "",
            _ => {}
        }
    }
    let end = pattern.find(|c: char| r"\.+*?()|[]{}^$#&~".contains(c)).unwrap_or(pattern.len());
    let mut fixed = &pattern[..end];
    if pattern[end..].starts_with(['*', '?', '{']) {
        // The last character before the quantifier is optional.
        let last = fixed.chars().next_back().map_or(0, char::len_utf8);
        fixed = &fixed[..fixed.len() - last];
    }
    fixed.rfind('/').map_or("", |slash| &fixed[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Source;
    use crate::scan::config;

    #[track_caller]
    fn check(config: &str, expected: &[&str], problems: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for path in [
            "docker/base/Dockerfile",
            "ros/humble/base/Dockerfile",
            "ros/jazzy/core/Dockerfile",
            "ros/jazzy/core/README.md",
            "old/x/Dockerfile",
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "FROM scratch\n").unwrap();
        }
        let (file, mistakes) =
            config::parse(&Source::new(RelPath::new(config::FILE_NAME).unwrap(), config));
        assert!(mistakes.is_empty(), "{mistakes:?}");
        let (found, diagnostics) = find(root.path(), &file).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|found| {
                let group = found.group.map_or("-".to_owned(), |group| group.to_string());
                format!("{group} {} {:?}", found.path, found.captures)
            })
            .collect();
        assert_eq!(shown, expected);
        let shown: Vec<String> = diagnostics
            .iter()
            .map(|it| {
                let label = &it.labels[0];
                format!("{} {}", label.source.slice(label.span), it.message)
            })
            .collect();
        assert_eq!(shown, problems);
    }

    #[test]
    fn a_dockerfile_belongs_to_the_first_group_that_matches() {
        check("", &["- docker/base/Dockerfile {}"], &[]);
        check(
            "[[group]]\npattern = 'ros/(?<distro>[^/]+)/(?<variant>core|desktop)(-x)?/Dockerfile'\n\
             [[group]]\ndockerfiles = ['ros/**/Dockerfile', 'old/*/Dockerfile']\nexclude = ['old/**']\n",
            &[
                "1 ros/humble/base/Dockerfile {}",
                r#"0 ros/jazzy/core/Dockerfile {"distro": "jazzy", "variant": "core"}"#,
            ],
            &[],
        );
        check(
            "dockerfiles = ['*/*/Dockerfile']\nexclude = ['old/**']\n[[group]]\ndockerfiles = ['docker/*/Dockerfile']\n",
            &["0 docker/base/Dockerfile {}"],
            &["'*/*/Dockerfile' these globs match no Dockerfile"],
        );
    }

    #[test]
    fn group_errors_point_at_the_setting() {
        check(
            "[[group]]\ndockerfiles = ['ros/**/Dockerfile']\n[[group]]\npattern = 'ros/.*/Dockerfile'\n\
             [[group]]\ndockerfiles = ['none/*']\n",
            &["0 ros/humble/base/Dockerfile {}", "0 ros/jazzy/core/Dockerfile {}"],
            &[
                "'ros/.*/Dockerfile' this group matches no Dockerfile",
                "'none/*' this group matches no Dockerfile",
            ],
        );
        check(
            "[[group]]\nname = 'x'\n[[group]]\ndockerfiles = ['a[']\n[[group]]\npattern = 'a(b'\n",
            &[],
            &[
                "[[group]] the group has neither `dockerfiles` nor a `pattern`",
                "'a[' `a[` is not a valid glob pattern: unclosed `[`",
                "'a(b' the pattern is not a valid regular expression: unclosed group",
            ],
        );
    }

    #[test]
    fn the_fixed_prefix_of_a_pattern_is_found() {
        for (pattern, expected) in [
            ("ros/(?<a>[^/]+)/Dockerfile", "ros/"),
            ("a/b/Dockerfile", "a/b/"),
            ("a/b/?x", "a/"),
            ("a|b/c", ""),
            (r"a\.b/c", ""),
            ("docker/app(/x)?/D", "docker/"),
            (".*", ""),
        ] {
            assert_eq!(fixed_part(pattern), expected, "{pattern}");
        }
    }
}
