//! `layers init`: writes the `layers.toml` that inference arrives at, with comments.
//!
//! Owns the survey of a repository that says nothing yet, and the file's wording. It never writes
//! over a file that is there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::base::text::count;
use crate::base::{Diagnostic, RelPath, Source};
use crate::cli::{Global, Init};
use crate::exit::Exit;
use crate::graph::Graph;
use crate::report::{diagnostics, say};
use crate::scan::config::{self, FILE_NAME};
use crate::scan::dockerfiles;

use super::{Surroundings, load, usage};

/// What Dockerfiles are called, wherever they lie.
const ANYWHERE: [&str; 3] = [
    "**/{Dockerfile,Containerfile}",
    "**/{Dockerfile,Containerfile}.*",
    "**/*.{Dockerfile,dockerfile,Containerfile}",
];

/// How names are made, tried in this order until all differ and are valid. The first is what
/// happens where nothing is said.
const NAMES: [&str; 6] =
    ["", "{dir:kebab}", "{parent}-{dir}", "{parent:kebab}-{dir:kebab}", "{path}", "{path:kebab}"];

/// More globs than these are drawn together.
const MOST_GLOBS: usize = 8;

pub fn run(options: &Init, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let root = root_for(&load::start_folder(global)?);
    let path = root.join(FILE_NAME);
    if path.exists() && !options.print {
        return Err(usage(format!(
            "`{FILE_NAME}` is there already\nhint: `layers init --print` shows what would be written"
        )));
    }
    let globs = survey(&root)?;
    let Some(draft) = arrive(&root, &globs, global, at)? else {
        return Err(usage(format!(
            "no Dockerfile in `{}`\nhint: start with docker/base/Dockerfile",
            root.display()
        )));
    };
    say::err(&diagnostics::draw(&draft.problems, at.paint))?;
    let text = compose(&globs, &draft);
    if options.print {
        say::out(&text)?;
    } else {
        say::file(&path, &text)?;
        let images = count(draft.graph.images.len(), "image");
        say::err(&format!("wrote `{FILE_NAME}`: {images}\n"))?;
    }
    Ok(if draft.problems.iter().any(Diagnostic::is_error) { Exit::Files } else { Exit::Done })
}

/// What a configuration comes to.
struct Draft {
    name: &'static str,
    graph: Graph,
    problems: Vec<Diagnostic>,
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

/// Globs for all Dockerfiles; none where the usual ones find some.
fn survey(root: &Path) -> anyhow::Result<Vec<String>> {
    if dockerfiles::has_any(root) {
        return Ok(Vec::new());
    }
    let mut found = match dockerfiles::find(root, &ANYWHERE, &["**/*.dockerignore"]) {
        Ok(found) => found,
        Err(error) if is_missing(&error) => Vec::new(),
        Err(error) => return Err(error),
    };
    found.retain(|path| path.file_name().is_some_and(|name| !name.ends_with(".md")));
    Ok(generalise(&found))
}

fn is_missing(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|it| it.kind() == ErrorKind::NotFound)
}

/// Few globs that find the paths: what lies in sibling folders under one file name is drawn
/// together, and what lies in one folder with like names.
fn generalise(paths: &[RelPath]) -> Vec<String> {
    let mut by_shape: BTreeMap<String, Vec<&RelPath>> = BTreeMap::new();
    for path in paths {
        by_shape.entry(shape(path)).or_default().push(path);
    }
    let mut globs: BTreeSet<String> = BTreeSet::new();
    for (shape, paths) in &by_shape {
        match paths.as_slice() {
            [only] => globs.insert(only.to_string()),
            _ => globs.insert(shape.clone()),
        };
    }
    if globs.len() <= MOST_GLOBS {
        return globs.into_iter().collect();
    }
    let deep = |path: &RelPath| {
        let file = path.file_name().unwrap_or_default();
        let file = file_shape(file).unwrap_or_else(|| file.to_owned());
        match path.as_str().split_once('/') {
            Some((top, _)) => format!("{top}/**/{file}"),
            None => file,
        }
    };
    paths.iter().map(deep).collect::<BTreeSet<_>>().into_iter().collect()
}

/// The glob that finds a path and its like.
fn shape(path: &RelPath) -> String {
    let file = path.file_name().unwrap_or_default();
    let folder = path.parent();
    if let Some(shape) = file_shape(file) {
        return folder.join(&shape).map_or(shape, |path| path.to_string());
    }
    if folder.is_root() {
        return file.to_owned();
    }
    let glob = format!("*/{file}");
    folder.parent().join(&glob).map_or(glob, |path| path.to_string())
}

/// The glob of a file name that has more than `Dockerfile` in it.
fn file_shape(file: &str) -> Option<String> {
    match file.split_once('.') {
        Some((word @ ("Dockerfile" | "Containerfile"), _)) => Some(format!("{word}.*")),
        Some(_) => file.rsplit_once('.').map(|(_, ending)| format!("*.{ending}")),
        None => None,
    }
}

/// The first way of naming under which all names are valid and differ, or the one under which
/// most are and do; nothing where there is no Dockerfile.
fn arrive(
    root: &Path,
    globs: &[String],
    global: &Global,
    at: &Surroundings,
) -> anyhow::Result<Option<Draft>> {
    let mut best: Option<(usize, Draft)> = None;
    for name in NAMES {
        let path = RelPath::new(FILE_NAME).context("a file name is a relative path")?;
        let (file, _) = config::parse(&Source::new(path, settings(globs, name)));
        let (graph, problems) = load::read_graph(root, &file, global, at)?;
        let draft = Draft { name, graph, problems: load::once_each(problems.into_iter()) };
        if draft.graph.images.is_empty() && draft.problems.is_empty() {
            return Ok(None);
        }
        let is_misnamed = |it: &&Diagnostic| matches!(it.code, "duplicate-image" | "invalid-name");
        let misnamed = draft.problems.iter().filter(is_misnamed).count();
        if best.as_ref().is_none_or(|(least, _)| misnamed < *least) {
            best = Some((misnamed, draft));
        }
        if misnamed == 0 {
            break;
        }
    }
    Ok(best.map(|(_, draft)| draft))
}

/// The settings by which Dockerfiles are found and named.
fn settings(globs: &[String], name: &str) -> String {
    let mut text = String::new();
    if !globs.is_empty() {
        let globs: Vec<String> = globs.iter().map(|glob| quote(glob)).collect();
        text.push_str("# Where the Dockerfiles lie. Leave some out with: exclude = [\"old/**\"]\n");
        match globs.as_slice() {
            [only] => text.push_str(&format!("dockerfiles = [{only}]\n")),
            _ => text.push_str(&format!("dockerfiles = [\n    {},\n]\n", globs.join(",\n    "))),
        }
    }
    if !name.is_empty() {
        text.push_str("\n# How names are made of the folders.\n");
        text.push_str(&format!("name = {}\n", quote(name)));
    }
    text
}

fn compose(globs: &[String], draft: &Draft) -> String {
    let mut text = String::from(
        "# What `layers` can't read out of the Dockerfiles. Which image needs which is not said\n\
         # here: FROM, COPY --from and RUN --mount=from= say it.\n\n",
    );
    let found = settings(globs, draft.name);
    if found.is_empty() {
        text.push_str("# Dockerfiles are looked for in docker/*/Dockerfile; for others say:\n");
        text.push_str("# dockerfiles = [\"images/**/Dockerfile\"]\n");
    }
    text.push_str(&found);
    text.push('\n');
    text.push_str(&references(&draft.graph));
    text.push_str("# The images as they are called now. For settings of one, write for example:\n");
    text.push_str("# [image.NAME]\n# context = \".\"\n# target = \"release\"\n#\n");
    let images = draft.graph.images.values();
    let width = images.clone().map(|image| image.name.chars().count()).max().unwrap_or_default();
    for image in images {
        let reference = image.references.first().map(crate::graph::reference::Reference::familiar);
        let reference = reference.unwrap_or_default();
        let line = format!("#   {:<width$}  {reference}", image.name);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
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
fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(paths: &[&str], expected: &[&str]) {
        let paths: Vec<RelPath> = paths.iter().map(|path| RelPath::new(path).unwrap()).collect();
        assert_eq!(generalise(&paths), expected);
    }

    #[test]
    fn paths_are_drawn_together() {
        check(&[], &[]);
        check(&["Dockerfile"], &["Dockerfile"]);
        check(
            &["images/a/Dockerfile", "images/b/Dockerfile", "x/Dockerfile"],
            &["images/*/Dockerfile", "x/Dockerfile"],
        );
        check(
            &["d/a.Dockerfile", "d/b.Dockerfile", "e/Dockerfile.dev", "e/Dockerfile.ci"],
            &["d/*.Dockerfile", "e/Dockerfile.*"],
        );
        let deep: Vec<String> =
            (0..20).map(|at| format!("ros/d{}/v{}/Dockerfile", at / 2, at % 2)).collect();
        check(&deep.iter().map(String::as_str).collect::<Vec<_>>(), &["ros/**/Dockerfile"]);
    }
}
