//! Edits of Dockerfiles and settings, and changes to images without the program.

use std::collections::BTreeMap;

use layers::engine::Sandbox;
use layers::engine::sandbox::Ulimit;

use crate::common::dice::Dice;
use crate::dockerfile::{EXTERNALS, From, NAMES, Stage, random_external};
use crate::oracle;
use crate::world::World;
use crate::{docker, file_edits};

/// The possible effect of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Anything that is correct.
    Any,
    /// No image can be built.
    Nothing,
}

/// A completed edit.
#[derive(Debug, Clone)]
pub struct Done {
    /// A description.
    pub what: String,
    pub effect: Effect,
}

/// Makes a random edit, and returns its description.
pub fn edit(world: &mut World, dice: &mut Dice) -> Done {
    loop {
        let image = dice.below(world.model.images.len());
        let done = match dice.below(25) {
            20 | 21 => edit_externals(world, dice),
            22 => foreign_image(world, dice, image),
            0..=7 => file_edits::edit(world, dice, image),
            8..=12 => edit_dockerfile(world, dice, image),
            13 | 23 | 24 => edit_settings(world, dice, image),
            14 | 15 => file_edits::harmless(world, dice, image),
            16 => harmless(world, dice, image),
            17 | 18 => edit_images(world, dice, image),
            _ => restore(world, dice),
        };
        if let Some(mut done) = done {
            world.write();
            done.what = format!("{}: {}", NAMES[image], done.what);
            return done;
        }
    }
}

fn any(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), effect: Effect::Any })
}

fn nothing(what: impl Into<String>) -> Option<Done> {
    Some(Done { what: what.into(), effect: Effect::Nothing })
}

fn edit_dockerfile(world: &mut World, dice: &mut Dice, image: usize) -> Option<Done> {
    let namespace = world.namespace.clone();
    let file = &mut world.model.images[image].file;
    let stage = dice.below(file.stages.len());
    let line = file.random_line(dice, image, stage, &namespace);
    let from = file.random_from(dice, image, stage);
    let lines = &mut file.stages[stage].lines;
    let at = dice.below(lines.len() + 1);
    match dice.below(10) {
        0..=2 => {
            lines.insert(at, line.clone());
            any(format!("insert `{line}` in stage {stage}"))
        }
        3 | 4 if at < lines.len() => any(format!("remove `{}`", lines.remove(at))),
        5 | 6 if at < lines.len() => {
            let was = std::mem::replace(&mut lines[at], line.clone());
            any(format!("replace `{was}` by `{line}`"))
        }
        7 if at + 1 < lines.len() => {
            lines.swap(at, at + 1);
            any(format!("swap `{}` and `{}`", lines[at], lines[at + 1]))
        }
        8 => {
            let value = dice.word(&["1", "two", "f1", "dir"]).to_owned();
            file.globals = match dice.below(4) {
                0 => Vec::new(),
                1 => vec![("E".to_owned(), value.clone())],
                _ => vec![("A".to_owned(), value.clone()), ("P".to_owned(), "f2".to_owned())],
            };
            any(format!("globals {:?}", file.globals))
        }
        9 if image > 0 => {
            file.stages[stage].from = from.clone();
            any(format!("stage {stage} from {from:?}"))
        }
        _ => None,
    }
}

fn edit_settings(world: &mut World, dice: &mut Dice, image: usize) -> Option<Done> {
    let stages = &world.model.images[image].file.stages;
    let stage = dice.pick(stages).name.clone();
    let argument = (dice.word(&["A", "B", "P"]), dice.word(&["1", "two", "f1", "dir", ""]));
    let described = &mut world.model.images[image];
    match dice.below(10) {
        6 | 7 => any(change_label(&mut described.labels, dice)),
        8 | 9 => any(change_sandbox(&mut described.sandbox, dice)),
        0 => {
            described.wide = !described.wide;
            any(format!("context wide: {}", described.wide))
        }
        1 => {
            described.target = Some(stage.clone()).filter(|_| dice.one_in(2));
            any(format!("target {:?}", described.target))
        }
        2 | 3 => any(change_argument(&mut described.args, dice, argument)),
        _ => any(change_argument(&mut world.model.args, dice, argument)),
    }
}

/// Changes a label that no Dockerfile, one of them, or a base has.
fn change_label(labels: &mut BTreeMap<String, String>, dice: &mut Dice) -> String {
    let (name, value) = (dice.word(&["l0", "l1", "set"]), dice.word(&["1", "two", ""]));
    if labels.remove(name).is_some() && dice.one_in(2) {
        return format!("no label {name}");
    }
    labels.insert(name.to_owned(), value.to_owned());
    format!("label {name}={value}")
}

fn change_sandbox(sandbox: &mut Sandbox, dice: &mut Dice) -> String {
    let network = dice.word(&["none", "default", "unset"]);
    let (host, limit) = (dice.word(&["db:10.0.0.1", "api:10.0.0.2"]), dice.word(&["64m", "0"]));
    match dice.below(if oracle::is_modern() { 4 } else { 2 }) {
        0 => sandbox.network = network.parse().ok(),
        1 if sandbox.hosts.len() > 1 => sandbox.hosts.clear(),
        1 => sandbox.add_host(host.parse().unwrap()),
        2 => sandbox.shm_size = limit.parse().ok(),
        _ if sandbox.ulimits.is_empty() => {
            let Ulimit { name, limits } = "nofile=1000:2000".parse().unwrap();
            sandbox.ulimits.insert(name, limits);
        }
        _ => sandbox.ulimits.clear(),
    }
    format!("options {:?}", sandbox.described())
}

fn change_argument(
    args: &mut BTreeMap<String, String>,
    dice: &mut Dice,
    (name, value): (&str, &str),
) -> String {
    if dice.one_in(3) {
        args.remove(name);
        return format!("no argument {name}");
    }
    args.insert(name.to_owned(), value.to_owned());
    format!("argument {name}={value}")
}

/// Makes an edit of Dockerfiles or settings that does not change images.
fn harmless(world: &mut World, dice: &mut Dice, image: usize) -> Option<Done> {
    if world.reads_widely() {
        return None;
    }
    let names_count = world.has_triggers();
    let described = &mut world.model.images[image];
    match dice.below(5) {
        0 | 1 => {
            described.file.style = dice.number();
            nothing("another formatting")
        }
        2 if !names_count && described.target.is_none() => {
            // Names are part of the lines of `COPY --from`.
            let stage = dice.below(described.file.stages.len());
            let old = format!("--from={} ", described.file.stages[stage].name);
            let name = format!("n{}", dice.number() % 1000);
            let new = format!("--from={name} ");
            for line in described.file.stages.iter_mut().flat_map(|it| &mut it.lines) {
                *line = line.replace(&old, &new);
            }
            described.file.stages[stage].name = name;
            nothing(format!("rename stage {stage}"))
        }
        3 => {
            let value = format!("{}", dice.below(100));
            let (name, args) = match dice.below(3) {
                0 => ("NOBODY", &mut world.model.args),
                1 => ("HTTP_PROXY", &mut world.model.args),
                _ => ("NOBODY", &mut described.args),
            };
            args.insert(name.to_owned(), value);
            nothing(format!("argument {name}, which nobody declares"))
        }
        _ => add_unneeded_stage(world, dice, image),
    }
}

/// Adds an unused stage before the last one, which is the target.
fn add_unneeded_stage(world: &mut World, dice: &mut Dice, image: usize) -> Option<Done> {
    let described = &mut world.model.images[image];
    let stages = &mut described.file.stages;
    let has_number = stages.iter().flat_map(|it| &it.lines).any(|it| it.contains("-number"));
    let has_unneeded = stages.iter().any(|it| it.name.starts_with("unneeded"));
    if has_number || has_unneeded || stages.len() > 4 {
        return None;
    }
    let at = stages.len() - 1;
    let name = format!("unneeded{}", dice.below(100));
    let lines = vec![format!("COPY @/{} /x/", dice.word(&["f1", "dir", "nowhere"]))];
    // Stages are referred to by number in `from`, and arguments are named after stages.
    if stages[at].from == From::Stage(at) || matches!(stages[at].from, From::Argument(_)) {
        return None;
    }
    stages.insert(at, Stage { name: name.clone(), from: From::Scratch, lines });
    nothing(format!("add stage {name}"))
}

/// Makes a change that a user makes with the docker command.
fn edit_images(world: &World, dice: &mut Dice, image: usize) -> Option<Done> {
    let reference = world.reference(image);
    let other = world.reference(dice.below(world.model.images.len()));
    match dice.below(6) {
        0 if other != reference => {
            docker(&["tag", &other, &reference]).then_some(())?;
            any(format!("docker tag {other} over it"))
        }
        1 => {
            docker(&["image", "rm", "--force", &reference]).then_some(())?;
            any("docker image rm")
        }
        2 => {
            let text = format!(
                "FROM scratch\nLABEL by=hand {}={}\n",
                crate::common::TEST_LABEL,
                world.namespace
            );
            oracle::build_by_hand(&text, &reference, &[]).then_some(())?;
            any("build another over it by hand")
        }
        3 => {
            // The image's own labels, including its key, are inherited.
            let name = format!("{}/by-hand:{}", world.namespace, dice.below(3));
            oracle::build_by_hand(&format!("FROM {reference}\nENV BY=hand\n"), &name, &[])
                .then_some(())?;
            docker(&["image", "rm", "--force", &reference]).then_some(())?;
            any("build on it by hand, then docker image rm")
        }
        4 => {
            let text = format!("FROM {reference}\nWORKDIR /by/hand\n");
            oracle::build_by_hand(&text, &reference, &[]).then_some(())?;
            any("build on it by hand, over it")
        }
        _ => None,
    }
}

/// Builds an image on one of ours that looks like it, and replaces it.
fn foreign_image(world: &World, dice: &mut Dice, image: usize) -> Option<Done> {
    let reference = world.reference(image);
    let stages = &world.model.images[image].file.stages;
    let last = stages.last().and_then(|stage| stage.lines.last());
    let plain = last.filter(|line| !line.contains('@') && !line.contains("--"));
    let (line, labels): (String, &[(&str, &str)]) = match dice.below(4) {
        0 => (plain?.clone(), &[]),
        1 => ("ONBUILD ENV BY=hand".to_owned(), &[]),
        2 => (String::new(), &[("by", "hand")]),
        _ => (String::new(), &[("l0", "hand")]),
    };
    let name = format!("{}/foreign:{}", world.namespace, dice.below(3));
    oracle::build_by_hand(&format!("FROM {reference}\n{line}\n"), &name, labels).then_some(())?;
    docker(&["image", "rm", "--force", &reference]).then_some(())?;
    if dice.one_in(2) {
        docker(&["tag", &name, &reference]).then_some(())?;
    }
    if dice.one_in(2) {
        std::fs::remove_dir_all(world.root.join(".layers")).ok()?;
    }
    any(format!("build `{line}` {labels:?} on it by hand, in place of it"))
}

/// Makes an edit of the external images.
fn edit_externals(world: &mut World, dice: &mut Dice) -> Option<Done> {
    let number = dice.below(EXTERNALS);
    let namespace = world.namespace.clone();
    let what = if dice.one_in(2) {
        let lines = random_external(dice, &namespace, oracle::is_modern());
        world.model.externals[number].clone_from(&lines);
        world.write_externals();
        format!("external {number} is {lines:?}")
    } else {
        world.model.pointers[number] = dice.below(EXTERNALS);
        world.point(number, world.model.pointers[number]);
        format!("external {number} points to {}", world.model.pointers[number])
    };
    any(what)
}

fn restore(world: &mut World, dice: &mut Dice) -> Option<Done> {
    let back = dice.below(world.past.len().max(1));
    let state = world.past.get(back)?.clone();
    world.restore(&state);
    any(format!("restore an earlier state ({back})"))
}
