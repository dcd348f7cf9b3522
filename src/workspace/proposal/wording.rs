//! The text of a proposed `layers.toml`.
//!
//! Owns the sections of the file, their comments, and how values are quoted.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::base::RelPath;
use crate::base::screen::{COMMAND, is_unseen, visible};
use crate::graph::naming::NameOrigin;
use crate::graph::reference::Reference;
use crate::graph::{Graph, Image};
use crate::report::table;
use crate::scan::dockerfiles::DEFAULT_GLOBS;

use super::known_builds::SiblingContexts;
use super::naming::{self, NamingChoice, RepositoryMention};
use super::own_settings::OwnSettings;
use super::path_group::SplitPath;
use super::proposed_args::ProposedArgs;
use super::rule_text::RuleText;
use super::rules::NamingRules;
use super::survey::{DockerfileGroup, Survey};

/// The maximum number of lines that are settings. A longer file is not read.
const MOST_LINES: usize = 25;

/// The maximum number of lines for how all images are named.
const REFERENCE_LINES: usize = 3;

/// The width of lines with lists, in characters.
const WIDTH: usize = 100;

/// The sections of the file, in order.
#[derive(Clone, Default)]
pub(super) struct ProposalText {
    /// Where all Dockerfiles are and how all images are named, if that is set once.
    general: String,
    args: BTreeMap<String, String>,
    /// Named contexts of all images.
    contexts: BTreeMap<String, String>,
    groups: String,
    own: OwnSettings,
    /// Images that no glob finds.
    singles: String,
}

impl ProposalText {
    /// Returns the file that finds `parts` of the survey after groups with these globs.
    pub(super) fn of(
        survey: &Survey,
        parts: &[DockerfileGroup],
        choice: &NamingChoice,
        rule_globs: &[String],
    ) -> ProposalText {
        let mut by_template: Vec<(&str, Vec<&str>)> = Vec::new();
        for (part, template) in parts.iter().zip(&choice.templates) {
            let glob = part.glob.as_deref();
            match by_template.iter_mut().find(|(other, _)| other == template) {
                Some((_, globs)) => globs.extend(glob),
                None => by_template.push((template, glob.into_iter().collect())),
            }
        }
        let mut general = String::new();
        let mut groups = String::new();
        match by_template.as_slice() {
            // Groups without a name template have the general one, and those of rules have the default.
            [(template, globs)] if template.is_empty() || rule_globs.is_empty() => {
                let globs = match (globs.as_slice(), rule_globs) {
                    ([], []) => Vec::new(),
                    // Where there are groups, only the globs that are set find other Dockerfiles.
                    ([], _) => DEFAULT_GLOBS.to_vec(),
                    (globs, _) => globs.to_vec(),
                };
                if !globs.is_empty() {
                    general.push_str(
                        "# Where the Dockerfiles are. To leave some out: exclude = [\"old/**\"]\n",
                    );
                    general.push_str(&list("dockerfiles", &globs));
                }
                if !template.is_empty() {
                    general.push_str("\n# How image names are derived from directories.\n");
                    general.push_str(&format!("name = {}\n", quote(template)));
                }
            }
            several => {
                let comment = "# Where the Dockerfiles are, and how image names are derived from directories.\n";
                groups.push_str(if several.is_empty() { "" } else { comment });
                for (template, globs) in several {
                    groups.push_str(&format!("[[group]]\n{}", list("dockerfiles", globs)));
                    if !template.is_empty() {
                        groups.push_str(&format!("name = {}\n", quote(template)));
                    }
                    groups.push('\n');
                }
            }
        }
        let mut singles = String::new();
        for (name, path) in &choice.singles {
            let path = quote(path.as_str());
            singles.push_str(&format!("[image.{}]\ndockerfile = {path}\n\n", key(name)));
        }
        if !singles.is_empty() {
            singles
                .insert_str(0, "# Images that no name template can tell apart from the others.\n");
        }
        let globs = parts.iter().filter_map(|part| part.glob.as_deref());
        let globs: Vec<&str> = globs.chain(rule_globs.iter().map(String::as_str)).collect();
        general.push_str(&excludes(survey, &globs, choice));
        ProposalText { general, groups, singles, ..ProposalText::default() }
    }

    /// Returns the file with a group per rule. What no rule names is named after its path.
    pub(super) fn of_rules(
        survey: &Survey,
        rules: &NamingRules,
        mentions: &[RepositoryMention],
        directory: &str,
    ) -> (ProposalText, BTreeMap<RelPath, String>) {
        let paths = survey.paths();
        let mut used: HashSet<String> = HashSet::new();
        let mut names: BTreeMap<RelPath, String> = BTreeMap::new();
        let mut groups = String::new();
        let mut rule_globs = Vec::new();
        let mut rest: BTreeSet<usize> = (0..paths.len()).collect();
        for rule in &rules.rules {
            // The first group that matches a Dockerfile names it, also if the rule was not made for it.
            let is_found = |at: &usize| rule.group.contains(&SplitPath::of(&paths[*at]));
            let found: Vec<usize> = rest.iter().copied().filter(is_found).collect();
            let Some(text) = RuleText::of(rule, &found, &paths, directory, &used) else { continue };
            rest.retain(|at| !is_found(at));
            let found = match &text.pattern {
                Some(pattern) => format!("pattern = {}\n", quote_pattern(pattern)),
                None => list("dockerfiles", &[&text.glob]),
            };
            groups.push_str(&format!("[[group]]\n{found}"));
            if !text.name.is_empty() {
                groups.push_str(&format!("name = {}\n", quote(&text.name)));
            }
            let references: Vec<String> = text.references.iter().map(|it| quote(it)).collect();
            match references.as_slice() {
                [only] => groups.push_str(&format!("reference = {only}\n\n")),
                all => groups.push_str(&format!("reference = [{}]\n\n", all.join(", "))),
            }
            rule_globs.push(text.glob);
            used.extend(text.names.values().cloned());
            names.extend(text.names.into_iter().map(|(at, name)| (paths[at].clone(), name)));
        }
        let rest: Vec<DockerfileGroup> = survey
            .groups
            .iter()
            .map(|part| DockerfileGroup {
                glob: part.glob.clone(),
                paths: part
                    .paths
                    .iter()
                    .filter(|path| is_in(&rest, &paths, path))
                    .cloned()
                    .collect(),
            })
            .filter(|part| !part.paths.is_empty())
            .collect();
        let choice = naming::choose_beside(&rest, mentions, directory, &used);
        let mut text = ProposalText::of(survey, &rest, &choice, &rule_globs);
        names.extend(naming::names_of(&rest, &choice, directory));
        if !groups.is_empty() {
            groups.insert_str(0, "# Images whose references are made from their paths. The first group that matches applies.\n");
        }
        text.groups.insert_str(0, &groups);
        for (at, reference) in &rules.singles {
            let Some(name) = names.get(&paths[*at]) else { continue };
            let reference = quote(&reference.to_string());
            text.own.add(name, format!("reference = {reference}"));
        }
        (text, names)
    }

    /// Adds build arguments and named contexts.
    pub(super) fn with_settings(
        mut self,
        args: &ProposedArgs,
        contexts: &SiblingContexts,
        names: &BTreeMap<RelPath, String>,
    ) -> ProposalText {
        self.args.clone_from(&args.general);
        let general = contexts.general.iter();
        let general =
            general.filter_map(|(name, path)| Some((name.clone(), names.get(path)?.clone())));
        self.contexts = general.collect();
        let mut own = OwnSettings::default();
        for (path, values) in &args.own {
            let Some(image) = names.get(path) else { continue };
            for (name, value) in values {
                own.add(image, format!("args.{} = {}", key(name), quote(value)));
            }
        }
        for (path, target) in &args.targets {
            let Some(image) = names.get(path) else { continue };
            own.add(image, format!("target = {}", quote(target)));
        }
        for (path, values) in &contexts.own {
            let Some(image) = names.get(path) else { continue };
            for (name, parent) in values {
                let Some(parent) = names.get(parent) else { continue };
                own.add(image, format!("contexts.{} = {}", key(name), quote(parent)));
            }
        }
        self.own.extend(&own);
        self.shorten()
    }

    /// Returns the file with more settings of single images.
    pub(super) fn with_own(&self, settings: &OwnSettings) -> ProposalText {
        let mut text = self.clone();
        text.own.extend(settings);
        text
    }

    /// Returns the file without its last setting of a single image, if it has no room for the one that names images after
    /// the repository, and needs it.
    pub(super) fn with_room_for_name(&self, graph: &Graph) -> Option<ProposalText> {
        let is_full = self.line_count() >= MOST_LINES && !directory_name(graph).is_empty();
        let mut text = self.clone();
        text.own.truncate(text.own.len().saturating_sub(1));
        (is_full && text.own != self.own).then_some(text)
    }

    /// Returns whether settings can be added.
    pub(super) fn has_room_for(&self, settings: &OwnSettings) -> bool {
        self.own.added_by(settings) <= self.lines_left()
    }

    /// Returns the file with named contexts for all images.
    pub(super) fn with_contexts(&self, contexts: BTreeMap<String, String>) -> ProposalText {
        let mut text = self.clone();
        text.contexts.extend(contexts);
        text
    }

    /// Returns the file with a context for all images.
    pub(super) fn with_context(&self, context: &str) -> ProposalText {
        let comment = "# The build context, relative to the root.";
        let general = format!("{}\n{comment}\ncontext = {}\n", self.general, quote(context));
        ProposalText { general, ..self.clone() }
    }

    /// Returns whether the file is short enough to be read.
    pub(super) fn is_short(&self) -> bool {
        self.line_count() <= MOST_LINES
    }

    /// Returns how many settings can be added.
    pub(super) fn lines_left(&self) -> usize {
        let header = usize::from(self.own.is_empty());
        MOST_LINES.saturating_sub(self.line_count() + header)
    }

    /// Returns the number of lines that are settings, including those of [`references`].
    fn line_count(&self) -> usize {
        let settings = self.settings();
        let is_setting = |line: &&str| !line.trim().is_empty() && !line.starts_with('#');
        let references = if self.groups.contains("reference = ") { 0 } else { REFERENCE_LINES };
        settings.lines().filter(is_setting).count() + references
    }

    /// Removes settings of single images from a file that is too long.
    fn shorten(mut self) -> ProposalText {
        let excess = self.line_count().saturating_sub(MOST_LINES);
        self.own.truncate(self.own.len().saturating_sub(excess));
        self
    }

    /// Returns the build arguments and named contexts of all images.
    fn tables(&self) -> String {
        let table = |header: &str, entries: &BTreeMap<String, String>| -> String {
            let lines =
                entries.iter().map(|(name, value)| format!("{} = {}\n", key(name), quote(value)));
            let lines: String = lines.collect();
            if lines.is_empty() { lines } else { format!("{header}\n{lines}\n") }
        };
        let args = table("# Build arguments that FROM lines need.\n[args]", &self.args);
        let header = "# Names in Dockerfiles that mean images of this repository, or directories.";
        args + &table(&format!("{header}\n[contexts]"), &self.contexts)
    }

    /// Returns the settings of single images.
    fn own_settings(&self) -> String {
        match self.own.is_empty() {
            true => String::new(),
            false => format!("# Settings of single images.\n[image]\n{}\n", self.own.write()),
        }
    }

    /// Returns the sections that the graph is read from.
    pub(super) fn settings(&self) -> String {
        let own = self.own_settings();
        let tables = self.tables();
        format!("{}\n{tables}\n{}\n{own}\n{}", self.general, self.groups, self.singles)
    }

    pub(super) fn compose(&self, graph: &Graph) -> String {
        let mut text = String::from(
            "# Settings that `layers` can't infer from the Dockerfiles. Dependencies are not listed here:\n\
             # they come from FROM, COPY --from, and RUN --mount=from=.\n\n",
        );
        if !self.general.contains("dockerfiles = ") && self.groups.is_empty() {
            text.push_str(
                "# Dockerfiles are searched for in docker/*/Dockerfile. To search elsewhere:\n",
            );
            text.push_str("# dockerfiles = [\"images/**/Dockerfile\"]\n");
        }
        text.push_str(&self.general);
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
        text.push_str(&references(graph));
        text.push_str(&self.tables());
        text.push_str(&self.groups);
        text.push_str(&self.own_settings());
        text.push_str(&self.singles);
        text.push_str(&inventory(graph));
        text
    }
}

/// Returns the setting that leaves out what is no image, and what is named one by one.
fn excludes(survey: &Survey, globs: &[&str], choice: &NamingChoice) -> String {
    let mut text = String::new();
    let mut all = survey.excludes(globs);
    if !all.is_empty() {
        text.push_str("\n# These are not Dockerfiles of this repository's images.\n");
    }
    if !choice.singles.is_empty() {
        text.push_str("\n# These images are named one by one below.\n");
    }
    all.extend(choice.singles.iter().map(|(_, path)| path.as_str().to_owned()));
    if !all.is_empty() {
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        text.push_str(&list("exclude", &all));
    }
    text
}

/// Lists all images, in comments.
fn inventory(graph: &Graph) -> String {
    let text = String::from(
        "# The images and their current references. To configure one, for example:\n\
         # [image.NAME]\n# context = \".\"\n# target = \"release\"\n#\n",
    );
    let rows = graph.images.values().map(|image| {
        let reference = image.references.first().map(Reference::familiar);
        [format!("#   {}", visible(&image.name)), reference.unwrap_or_default()]
    });
    text + &table::draw(rows)
}

/// Returns a setting that is a list, on as few lines as fit.
fn list(name: &str, items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
    let line = format!("{name} = [{}]\n", items.join(", "));
    if line.chars().count() <= WIDTH {
        return line;
    }
    let mut text = format!("{name} = [");
    let mut width = WIDTH;
    for item in items {
        let more = item.chars().count() + 2;
        if width + more > WIDTH {
            text.push_str("\n   ");
            width = 3;
        }
        text.push_str(&format!(" {item},"));
        width += more;
    }
    text + "\n]\n"
}

/// Returns the settings that give all images the references that they have now, if one template does.
fn references(graph: &Graph) -> String {
    let mut images = graph.images.values();
    let prefix_of = |image: &Image| {
        let repository = image.references.first()?.familiar_repository();
        repository.strip_suffix(&image.name).map(str::to_owned)
    };
    let Some(first) = images.next() else { return String::new() };
    let Some(prefix) = prefix_of(first) else { return String::new() };
    if !images.all(|image| prefix_of(image).as_deref() == Some(&prefix)) {
        return directory_name(graph);
    }
    let mut text = format!("# How images are named: {}.\n", first.named_by);
    let (namespace, rest) = match prefix.rsplit_once('/') {
        Some((namespace, rest)) => (Some(namespace), rest),
        None => (None, prefix.as_str()),
    };
    if let Some(namespace) = namespace {
        text.push_str(&format!("namespace = {}\n", quote(namespace)));
    }
    let before = if namespace.is_some() { "{namespace}/" } else { "" };
    let app = rest.strip_suffix('-');
    if let Some(app) = app {
        text.push_str(&format!("app = {}\n", quote(app)));
    }
    let stem = if app.is_some() { "{app}-" } else { rest };
    let reference = quote(&format!("{before}{stem}{{name}}"));
    text + &format!("reference = {reference}\n\n")
}

/// Returns the setting for what would otherwise be the name of the directory, which depends on where the checkout is.
fn directory_name(graph: &Graph) -> String {
    let app_of = |image: &Image| {
        let repository = image.references.first()?.familiar_repository();
        let is_unnamed = image.named_by == NameOrigin::Directory;
        repository
            .strip_suffix(&format!("-{}", image.name))
            .filter(|_| is_unnamed)
            .map(str::to_owned)
    };
    let comment = "# The start of the names of images that nothing else names.";
    let app = graph.images.values().find_map(app_of);
    app.map_or(String::new(), |app| format!("{comment}\napp = {}\n\n", quote(&app)))
}

fn is_in(rest: &BTreeSet<usize>, paths: &[RelPath], path: &RelPath) -> bool {
    paths.binary_search(path).is_ok_and(|at| rest.contains(&at))
}

/// Returns a name as a key of a table.
pub(super) fn key(name: &str) -> String {
    let is_bare = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
    if name.chars().all(is_bare) { name.to_owned() } else { quote(name) }
}

/// Quotes a regular expression, in single quotes if possible.
fn quote_pattern(pattern: &str) -> String {
    match pattern.contains(['\'', '\n']) || pattern.chars().any(is_unseen) {
        true => quote(pattern),
        false => format!("'{pattern}'"),
    }
}

/// Quotes a text for TOML, on one line.
pub(super) fn quote(text: &str) -> String {
    if !text.chars().any(is_unseen) && !text.contains(COMMAND) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let mut quoted = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            unseen if is_unseen(unseen) => {
                quoted.push_str(&format!("\\U{:08x}", u32::from(unseen)));
            }
            other => quoted.push(other),
        }
    }
    format!("\"{}\"", quoted.replace(COMMAND, "#\\u0023["))
}
