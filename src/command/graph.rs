//! `layers graph`: draws the graph, writes it to a file, or compares it with one.

use std::path::Path;

use crate::base::ImageId;
use crate::base::error::{as_usage, usage};
use crate::base::screen::visible_path;
use crate::cli::output::{file_in, file_to_check};
use crate::cli::{ColorBy, Format, GraphArgs as Options, command_line};
use crate::exit::Exit;
use crate::export::mark::Marks;
use crate::export::{self, Recipe, View, bake, compose, dot, mermaid, svg, tree};
use crate::graph::pins::Pins;
use crate::graph::select;
use crate::graph::unresolved::Unbuildable;
use crate::report::{comparison, page, printer};
use crate::session::{marks, selection};
use crate::workspace::load::{self, Workspace};
use crate::workspace::{Invocation, build_settings, lock};

/// Returns whether other programs build from a format: it must then contain all dependencies.
fn is_for_builds(format: Format) -> bool {
    matches!(format, Format::Bake | Format::Compose)
}

/// Returns the file that a format is compared with if no file is named.
fn usual_file(format: Format) -> &'static str {
    match format {
        Format::Tree | Format::Json => lock::FILE,
        Format::Dot => "graph.dot",
        Format::Mermaid => "graph.mmd",
        Format::Svg => "graph.svg",
        Format::Html => "graph.html",
        Format::Bake => "docker-bake.hcl",
        Format::Compose => "compose.yaml",
    }
}

pub fn run(options: &Options, at: &Invocation) -> anyhow::Result<Exit> {
    // A drawing is committed and compared, so it must not depend on HEAD or on the time of a build.
    // Only what an engine reports is about a build.
    let asks = matches!(options.color_by, Some(ColorBy::Verdict | ColorBy::Size));
    let environment = at.environment.without(build_settings::SOURCE_DATE_EPOCH);
    let timeless = Invocation { global: at.global.clone(), environment, paint: at.paint };
    let mut workspace = if asks { load::load(at)? } else { load::load_lasting(&timeless)? };
    if options.color_by == Some(ColorBy::Verdict) {
        workspace.read_ignore_files();
    }
    workspace.report_uncovered();
    workspace.refuse_errors(at)?;
    let output = file_to_check(options.output.as_deref(), options.check)?;
    let output = output.map(|path| file_in(&at.global, path));
    let usual = || workspace.root.join(options.format.selected().map_or(lock::FILE, usual_file));
    let output = if options.check { Some(output.unwrap_or_else(usual)) } else { output };
    let format = output_format(options, output.as_deref())?;
    let pins = match format {
        Format::Json => match lock::kept_pins(&workspace)? {
            Ok(pins) => pins,
            Err(problem) => return lock::stop(&problem, at),
        },
        _ => Pins::default(),
    };
    let (images, unbuildable) = images_to_draw(&workspace, options, format)?;
    let marks = options.color_by.map(|by| {
        let engine = options.engine.engine;
        marks::make(&mut workspace, &images, by, engine, at)
    });
    let view = view(&workspace, &images, options, marks.transpose()?);
    let recipe = |format| {
        let command = command_line::graph(options, &at.global, Some(format));
        workspace.recipe(command, &unbuildable)
    };
    let name = workspace.root.file_name().unwrap_or(workspace.root.as_os_str()).to_string_lossy();
    let draw = |ink: tree::Ink<'_>| draw(view, format, &name, recipe, &pins, ink);
    match output {
        Some(path) if options.check => {
            let expected = draw(&tree::plain);
            let name =
                path.file_name().map_or(path.as_path(), Path::new).to_string_lossy().into_owned();
            let command = command_line::graph(options, &at.global, None);
            let is_current = comparison::with_file(&path, &expected, &name, &command)?;
            let exit = if is_current { Exit::Done } else { Exit::Failed };
            return selection::finish(exit, &unbuildable, &workspace.graph);
        }
        Some(path) => printer::file(&path, &draw(&tree::plain))?,
        None => {
            let paint = at.environment.paint_of_output();
            let text = draw(&|mark, text| marks::paint(paint, mark, text));
            match format {
                Format::Tree => printer::out(&text)?,
                _ => printer::data(&text)?,
            }
        }
    }
    selection::finish(Exit::Done, &unbuildable, &workspace.graph)
}

/// Returns the format of the drawing, for a file if there is one.
fn output_format(options: &Options, output: Option<&Path>) -> anyhow::Result<Format> {
    let Some(path) = output else { return Ok(options.format.selected().unwrap_or(Format::Tree)) };
    match options.format.selected().or_else(|| format_of(path)) {
        Some(format) => Ok(format),
        None if options.check => Ok(Format::Json),
        None => Err(usage(format!("can't infer a format from the name `{}`", visible_path(path)))
            .hint("add an option such as --svg, --html, or --json")
            .into()),
    }
}

/// Returns the format of a file's extension.
fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()? {
        "json" => Some(Format::Json),
        "dot" | "gv" => Some(Format::Dot),
        "mmd" | "mermaid" => Some(Format::Mermaid),
        "html" | "htm" => Some(Format::Html),
        "txt" => Some(Format::Tree),
        "svg" => Some(Format::Svg),
        "hcl" => Some(Format::Bake),
        "yaml" | "yml" => Some(Format::Compose),
        _ => None,
    }
}

/// Draws a view of the graph in a format. `name` is the name of the repository.
fn draw<'a>(
    view: View<'a>,
    format: Format,
    name: &str,
    recipe: impl Fn(Format) -> Recipe<'a>,
    pins: &Pins,
    ink: tree::Ink<'_>,
) -> String {
    match format {
        Format::Tree => tree::draw(&view, ink),
        Format::Dot => dot::draw(&view),
        Format::Mermaid => mermaid::draw(&view),
        Format::Json => export::lock::draw(&view.pinned(pins.clone())),
        Format::Svg => svg::draw(&view),
        Format::Html => page::of_graph(&view, name),
        Format::Bake => bake::draw(&view, &recipe(Format::Bake)),
        Format::Compose => compose::draw(&view, &recipe(Format::Compose)),
    }
}

/// Returns the images that the options select, after checking that the options fit the format, and those that are left
/// out of a file from which other programs build.
fn images_to_draw(
    workspace: &Workspace,
    options: &Options,
    format: Format,
) -> anyhow::Result<(Vec<ImageId>, Unbuildable)> {
    let graph = &workspace.graph;
    if options.reduce && is_for_builds(format) {
        return Err(usage("`--reduce` omits edges, but a build needs all of them").into());
    }
    let has_marks = matches!(format, Format::Tree | Format::Dot | Format::Mermaid | Format::Svg);
    if options.color_by.is_some() && !has_marks {
        return Err(usage("`--color-by` works only with trees, DOT, Mermaid, and SVG")
            .hint("add --dot, --mermaid, or --svg, or omit the format")
            .into());
    }
    if options.focus.is_empty() {
        let mut all: Vec<ImageId> = graph.images.ids().collect();
        let unbuildable =
            if is_for_builds(format) { graph.unbuildable(&[]) } else { Unbuildable::new() };
        all.retain(|image| !unbuildable.contains_key(image));
        return Ok((all, unbuildable));
    }
    let images = select::neighborhood(graph, &options.focus, &workspace.current);
    let mut images = images.map_err(as_usage)?;
    if is_for_builds(format) {
        images = select::with_needs(graph, &images);
        workspace.refuse_unresolved(&images)?;
    }
    images.sort_unstable();
    Ok((images, Unbuildable::new()))
}

/// Returns the part of the graph that is drawn.
fn view<'a>(
    workspace: &'a Workspace,
    images: &[ImageId],
    options: &Options,
    marks: Option<Marks>,
) -> View<'a> {
    let mut view = View::new(&workspace.graph).of(images);
    if options.reduce {
        view = view.reduced();
    }
    match marks {
        Some(marks) => view.marked(marks),
        None => view,
    }
}
