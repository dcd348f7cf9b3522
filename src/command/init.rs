//! `layers init`: writes the `layers.toml` that inference arrives at, with comments.
//!
//! Owns the verb and the file's wording; `survey` finds the Dockerfiles, `naming` chooses how their
//! names are made. It never writes over a file that is there, and no file that leads to errors of
//! its own making.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::error::usage;
use crate::base::screen::{COMMAND, is_unseen, visible, visible_path};
use crate::base::text::count;
use crate::base::{Diagnostic, RelPath, Source};
use crate::cli::{Global, Init};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::graph::evaluate::NeedKind;
use crate::graph::reference::Reference;
use crate::report::{diagnostics, say, table};
use crate::scan::config::{self, FILE_NAME};
use crate::scan::dockerfiles;
use crate::scan::git::Head;
use crate::workspace::{Invocation, load};

mod naming;
mod survey;

use naming::{Choice, Mention};
use survey::Part;

pub fn run(options: &Init, global: &Global, at: &Invocation) -> anyhow::Result<Exit> {
    let root = root_for(&load::start_folder(global)?);
    let path = root.join(FILE_NAME);
    if path.exists() && !options.print {
        return Err(usage(format!("`{FILE_NAME}` is there already"))
            .hint("`layers init --print` shows what would be written")
            .into());
    }
    let parts = survey::survey(&root)?;
    if parts.iter().all(|part| part.paths.is_empty()) {
        return Err(usage(format!("no Dockerfile in `{}`", visible_path(&root)))
            .hint("start with docker/base/Dockerfile")
            .into());
    }
    let mentions = mentions(&root, &parts, global, at);
    let choice = naming::choose(&parts, &mentions, &load::folder_of(&root));
    let text = Text::of(&parts, &choice);
    let file = RelPath::new(FILE_NAME).context("a file name is a relative path")?;
    let (file, _) = config::parse(&Source::new(file, text.settings()));
    let (graph, problems) = load::read_graph(&root, &file, global, at, Some(&Head::of(&root)))?;
    let problems = load::once_each(problems.into_iter());
    let has_errors = problems.iter().any(Diagnostic::is_error);
    say::err(&diagnostics::draw(&problems, at.paint))?;
    let text = text.compose(&graph);
    if options.print {
        say::data(&text)?;
    } else {
        say::file(&path, &text)?;
        let images = count(graph.images.len(), "image");
        say::err(&format!("wrote `{FILE_NAME}`: {images}\n"))?;
        if has_errors {
            say::err("hint: mend the Dockerfiles above, or leave them out with `exclude`\n")?;
        }
    }
    Ok(if has_errors { Exit::Files } else { Exit::Done })
}

/// The root of a repository that may say nothing yet: where Dockerfiles or `layers.toml` are,
/// else where git's is.
fn root_for(start: &Path) -> PathBuf {
    let root = load::find_root(start);
    if root.join(FILE_NAME).is_file() || dockerfiles::has_any(&root) {
        return root;
    }
    let git = start.ancestors().find(|folder| folder.join(".git").exists());
    git.unwrap_or(start).to_owned()
}

/// What the Dockerfiles name.
fn mentions(root: &Path, parts: &[Part], global: &Global, at: &Invocation) -> Vec<Mention> {
    let paths = parts.iter().flat_map(|part| part.paths.iter().cloned()).collect();
    let graph = load::read_unnamed(root, paths, global, at);
    let images = graph.images.values();
    images
        .flat_map(|image| {
            let needs = image.evaluation.needs.iter();
            needs.filter(|need| need.kind != NeedKind::Context).map(|need| Mention {
                by: image.dockerfile.clone(),
                repository: need.reference.familiar_repository(),
            })
        })
        .collect()
}

/// The pieces of the file, in their order.
struct Text {
    /// Where all Dockerfiles lie and how all are named, where that is said once.
    general: String,
    groups: String,
    singles: String,
}

impl Text {
    fn of(parts: &[Part], choice: &Choice) -> Text {
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
            [(template, globs)] => {
                if !globs.is_empty() {
                    general.push_str(
                        "# Where the Dockerfiles lie. Leave some out with: exclude = [\"old/**\"]\n",
                    );
                    general.push_str(&list("dockerfiles", globs));
                }
                if !template.is_empty() {
                    general.push_str("\n# How names are made of the folders.\n");
                    general.push_str(&format!("name = {}\n", quote(template)));
                }
            }
            several => {
                groups.push_str(
                    "# Where the Dockerfiles lie, and how names are made of the folders.\n",
                );
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
            singles.push_str(&format!("[image.{name}]\ndockerfile = {path}\n\n"));
        }
        if !singles.is_empty() {
            let paths: Vec<&str> = choice.singles.iter().map(|(_, path)| path.as_str()).collect();
            general.push_str("\n# These have names of their own below.\n");
            general.push_str(&list("exclude", &paths));
            singles.insert_str(0, "# What no template of names tells apart from the others.\n");
        }
        Text { general, groups, singles }
    }

    /// All that is read of the file.
    fn settings(&self) -> String {
        format!("{}\n{}\n{}", self.general, self.groups, self.singles)
    }

    fn compose(&self, graph: &Graph) -> String {
        let mut text = String::from(
            "# What `layers` can't read out of the Dockerfiles. Which image needs which is not said\n\
             # here: FROM, COPY --from and RUN --mount=from= say it.\n\n",
        );
        if !self.general.contains("dockerfiles = ") && self.groups.is_empty() {
            text.push_str("# Dockerfiles are looked for in docker/*/Dockerfile; for others say:\n");
            text.push_str("# dockerfiles = [\"images/**/Dockerfile\"]\n");
        }
        text.push_str(&self.general);
        if !text.ends_with("\n\n") {
            text.push('\n');
        }
        text.push_str(&references(graph));
        text.push_str(&self.groups);
        text.push_str(&self.singles);
        text.push_str(&inventory(graph));
        text
    }
}

/// All images, in comments.
fn inventory(graph: &Graph) -> String {
    let text = String::from(
        "# The images as they are called now. For settings of one, write for example:\n\
         # [image.NAME]\n# context = \".\"\n# target = \"release\"\n#\n",
    );
    let rows = graph.images.values().map(|image| {
        let reference = image.references.first().map(Reference::familiar);
        [format!("#   {}", visible(&image.name)), reference.unwrap_or_default()]
    });
    text + &table::draw(rows)
}

/// A setting that is a list.
fn list(name: &str, items: &[&str]) -> String {
    let items: Vec<String> = items.iter().map(|item| quote(item)).collect();
    match items.as_slice() {
        [only] => format!("{name} = [{only}]\n"),
        _ => format!("{name} = [\n    {},\n]\n", items.join(",\n    ")),
    }
}

/// The settings that give all images the references they have, where one template does.
fn references(graph: &Graph) -> String {
    let mut images = graph.images.values();
    let prefix_of = |image: &crate::graph::Image| {
        let repository = image.references.first()?.familiar_repository();
        repository.strip_suffix(&image.name).map(str::to_owned)
    };
    let Some(first) = images.next() else { return String::new() };
    let Some(prefix) = prefix_of(first) else { return String::new() };
    if !images.all(|image| prefix_of(image).as_deref() == Some(&prefix)) {
        return String::new();
    }
    let mut text = format!("# How images are called: {}.\n", first.named_by);
    let (namespace, rest) = match prefix.rsplit_once('/') {
        Some((namespace, rest)) => (Some(namespace), rest),
        None => (None, prefix.as_str()),
    };
    if let Some(namespace) = namespace {
        text.push_str(&format!("namespace = {}\n", quote(namespace)));
    }
    let before = if namespace.is_some() { "{namespace}/" } else { "" };
    match rest.strip_suffix('-') {
        Some(app) => {
            text.push_str(&format!("app = {}\n", quote(app)));
            text.push_str(&format!(
                "reference = {}\n",
                quote(&format!("{before}{{app}}-{{name}}"))
            ));
        }
        None => {
            text.push_str(&format!("reference = {}\n", quote(&format!("{before}{rest}{{name}}"))));
        }
    }
    text.push('\n');
    text
}

/// A text as TOML writes it.
/// A text as TOML has it, on one line.
fn quote(text: &str) -> String {
    if !text.chars().any(is_unseen) && !text.contains(COMMAND) {
        return toml::Value::String(text.to_owned()).to_string();
    }
    let escape = |character: char| match character {
        '"' | '\\' => format!("\\{character}"),
        unseen if is_unseen(unseen) => format!("\\U{:08x}", u32::from(unseen)),
        other => other.to_string(),
    };
    let quoted: String = text.chars().map(escape).collect();
    format!("\"{}\"", quoted.replace(COMMAND, "#\\u0023["))
}
