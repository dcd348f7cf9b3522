//! What a change of the repository means for its images.
//!
//! Owns how two revisions are compared: both sides are read in the same way, images are compared as for `--since`, and
//! graphs and pins in addition. No engine is needed. `report/` prints the result.

use crate::base::error::{ErrorKind, as_usage, printed, usage};
use crate::base::screen::visible_path;
use crate::base::{Diagnostic, IdMap, ImageId, Platform};
use crate::cli::DiffArgs as Options;
use crate::graph::Graph;
use crate::graph::difference::{Difference, PinnedGraph};
use crate::graph::units::Units;
use crate::inputs::commands_of;
use crate::inputs::since::{Cause, ComparedSides, compare};
use crate::plan::Plan;
use crate::report::diff::{
    self, ComparedRange, DiffEstimate, DiffReport, RebuildKind, RebuiltImage,
};
use crate::report::{diagnostics, printer};
use crate::scan::git::{Git, Head, is_null};
use crate::schedule::estimate::duration;
use crate::session::slots::local_slots;
use crate::state::RepositoryState;
use crate::workspace::load::Workspace;
use crate::workspace::revisions::{
    AffectedImages, Revision, add_moved_pins, compare_work_tree, pins_in, warn_of_null,
};
use crate::workspace::root::{WorkspaceLocation, state as state_at};
use crate::workspace::{Invocation, build_settings};

/// Summarizes the change in a range, in the format that the options specify.
///
/// # Errors
/// Returns an error if a revision cannot be read, or if its files have errors.
pub fn summarize(options: &Options, at: &Invocation) -> anyhow::Result<String> {
    let range = parse(&options.range);
    match range.head {
        None => {
            let workspace = Workspace::open(at)?;
            beside_work_tree(&workspace, range, options, at)
        }
        Some(head) => between_revisions(range, head, options, at),
    }
}

/// Parses `BASE..HEAD`, `BASE...HEAD`, or `BASE`. An omitted end is HEAD, as in git (gitrevisions(7)).
fn parse(text: &str) -> ComparedRange<'_> {
    fn or_head(revision: &str) -> &str {
        if revision.is_empty() { "HEAD" } else { revision }
    }
    let (ends, is_from_fork) = match text.split_once("...") {
        Some(ends) => (Some(ends), true),
        None => (text.split_once(".."), false),
    };
    match ends {
        Some((base, head)) => {
            ComparedRange { text, base: or_head(base), head: Some(or_head(head)), is_from_fork }
        }
        None => ComparedRange { text, base: text, head: None, is_from_fork },
    }
}

/// Returns the tree of the earlier side.
fn tree_of_base(git: &Git, range: ComparedRange<'_>) -> anyhow::Result<String> {
    let found = match range.head.filter(|_| range.is_from_fork) {
        Some(head) => git.merge_base(range.base, head).and_then(|commit| git.resolve(&commit)),
        None => git.resolve(range.base),
    };
    found.map_err(as_usage)
}

/// Returns the tree of the later side.
fn tree_of_head(git: &Git, head: &str) -> anyhow::Result<String> {
    if is_null(head) {
        return Err(usage(format!(
            "`{head}` is the null commit, which GitHub sends for a deleted branch"
        ))
        .hint("compare with an existing commit")
        .into());
    }
    git.resolve(head).map_err(as_usage)
}

fn beside_work_tree(
    workspace: &Workspace,
    range: ComparedRange<'_>,
    options: &Options,
    at: &Invocation,
) -> anyhow::Result<String> {
    let Workspace { root, graph, .. } = workspace;
    let git = Git::open(root).map_err(as_usage)?;
    let tree = tree_of_base(&git, range)?;
    warn_of_null(range.base, at)?;
    let (then, causes) = compare_work_tree(workspace, &git, &tree, at)?;
    let pins = pins_in(root);
    let now = PinnedGraph { graph, pins: &pins };
    let state = &state_at(root, at)?;
    report(range, state, &then, now, causes, options)
}

fn between_revisions(
    range: ComparedRange<'_>,
    head: &str,
    options: &Options,
    at: &Invocation,
) -> anyhow::Result<String> {
    let root = WorkspaceLocation::of(at)?.root;
    let git = Git::open(&root).map_err(as_usage)?;
    let base = tree_of_base(&git, range)?;
    let tree = tree_of_head(&git, head)?;
    warn_of_null(range.base, at)?;
    let names = Head::of(&root);
    let read = |tree: &str| Revision::read(&git, tree, &names, at);
    let (then, now) = rayon::join(|| read(&base), || read(&tree));
    let (then, now) = (then?, now?);
    let errors: Vec<Diagnostic> = now.problems.iter().filter(|it| it.is_error()).cloned().collect();
    printer::err(&diagnostics::draw(&errors, at.paint))?;
    if errors.iter().any(|it| !it.rule.hides_base()) {
        printer::err(&format!("the errors are in the files of `{head}`\n"))?;
        return Err(printed(ErrorKind::Files).into());
    }
    if then.graph.images.is_empty() && now.graph.images.is_empty() {
        return Err(usage(format!(
            "no Dockerfile found on either side of `{}`, with `{}` as the root",
            range.text,
            visible_path(&root)
        ))
        .hint("set their location in `layers.toml`: dockerfiles = [\"images/*/Dockerfile\"]")
        .into());
    }
    build_settings::check_target(&at.global, &now.graph)?;
    let platform = now.builds.platform.clone().unwrap_or_default();
    let causes =
        compare(ComparedSides { now: now.side(), then: then.side(), platform: &platform })?;
    let pins = now.pins();
    let side = PinnedGraph { graph: &now.graph, pins: &pins };
    report(range, &state_at(&root, at)?, &then, side, causes, options)
}

/// Summarizes both sides, and why images themselves changed.
fn report(
    range: ComparedRange<'_>,
    state: &RepositoryState,
    then: &Revision,
    now: PinnedGraph<'_>,
    mut causes: IdMap<Option<Cause>>,
    options: &Options,
) -> anyhow::Result<String> {
    let pins = then.pins();
    let was = PinnedGraph { graph: &then.graph, pins: &pins };
    let difference = Difference::between(was, now);
    add_moved_pins(&mut causes, was, now);
    let graph = now.graph;
    let affected = AffectedImages::of(graph, causes);
    let layers = affected.layers(graph);
    let in_order: Vec<ImageId> =
        graph.order().iter().copied().filter(|image| layers[*image].is_some()).collect();
    let slots = options.jobs.map_or_else(local_slots, usize::from);
    let (estimate, times) = expect(state, graph, &difference, &in_order, slots);
    let row = |(id, time): (&ImageId, Option<diff::ExpectedTime>)| {
        let image = &graph.images[*id];
        let was = difference.old_name(&image.name);
        let parents = graph.parents_of(*id);
        let parents = parents.iter().filter(|parent| layers[**parent].is_some());
        RebuiltImage {
            id: *id,
            image: &image.name,
            dockerfile: image.dockerfile.as_str(),
            because: match (&affected.causes[*id], was) {
                (_, Some(_)) => RebuildKind::Renamed,
                (Some(_), None) => RebuildKind::Changed,
                (None, None) => RebuildKind::Parent,
            },
            was,
            cause: affected.causes[*id].as_ref().filter(|_| was.is_none()),
            parents: parents.map(|parent| graph.images[*parent].name.as_str()).collect(),
            time,
        }
    };
    let report = DiffReport {
        range,
        graph,
        rows: in_order.iter().zip(times).map(row).collect(),
        estimate,
        difference: &difference,
        base_errors: then.problems.iter().filter(|problem| problem.is_error()).count(),
    };
    if options.json { diff::draw_json(&report) } else { Ok(diff::draw(&report)) }
}

/// Estimates how long the builds will take, in total and each, from earlier builds. Returns nothing if no earlier build
/// of any of the images is known.
fn expect(
    state: &RepositoryState,
    graph: &Graph,
    difference: &Difference,
    images: &[ImageId],
    jobs: usize,
) -> (Option<DiffEstimate>, Vec<Option<diff::ExpectedTime>>) {
    let durations = state.durations();
    // A renamed image is expected to take as long as it did under its old name.
    let name = |image: &ImageId| {
        let name = graph.images[*image].name.as_str();
        difference.old_name(name).filter(|_| durations.usual(name).is_none()).unwrap_or(name)
    };
    let described: Vec<(&str, usize)> =
        images.iter().map(|image| (name(image), commands_of(&graph.images[*image]))).collect();
    if !durations.knows_any(described.iter().map(|(name, _)| *name)) {
        return (None, vec![None; images.len()]);
    }
    let expected = durations.expect(&described);
    let units = Units::for_one(graph.images.len(), Platform::default());
    let mut costs = IdMap::from_fn(units.len(), |_| std::time::Duration::ZERO);
    let mut plan = Plan::new(graph, &units, &units.of_all(images));
    for (image, time) in images.iter().zip(&expected) {
        costs[units.first_of(*image)] = *time;
    }
    plan.set_costs(costs);
    let estimate = DiffEstimate { jobs, time: duration(&plan, jobs), work: expected.iter().sum() };
    let times = expected.into_iter().zip(&described).map(|(time, (name, _))| {
        Some(diff::ExpectedTime { time, is_guess: durations.usual(name).is_none() })
    });
    (Some(estimate), times.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revision_ranges_are_parsed_as_in_git() {
        let check = |text: &str, base: &str, head: Option<&str>, is_from_fork: bool| {
            let range = parse(text);
            assert_eq!(
                (range.base, range.head, range.is_from_fork),
                (base, head, is_from_fork),
                "{text}"
            );
        };
        check("main..HEAD", "main", Some("HEAD"), false);
        check("main...work", "main", Some("work"), true);
        check("v1.2", "v1.2", None, false);
        check("main..", "main", Some("HEAD"), false);
        check("main...", "main", Some("HEAD"), true);
        check("..work", "HEAD", Some("work"), false);
    }
}
