//! `layers plan`: what a build would do, and why.

use crate::base::ImageId;
use crate::cli::{Global, Plan};
use crate::exit::Exit;
use crate::report::paint::Paint;
use crate::report::{plan, say};

use super::kitchen::{self, Kitchen, Wish, Words};
use super::{Surroundings, load};

pub fn run(options: &Plan, global: &Global, at: &Surroundings) -> anyhow::Result<Exit> {
    let mut repository = load::load(global, at)?;
    repository.read_ignore_files();
    if let Some(exit) = repository.refuse_errors(at)? {
        return Ok(exit);
    }
    let words = Words {
        images: &options.images,
        excluded: &options.exclude,
        since: options.since.as_deref(),
    };
    let chosen = kitchen::choose(&repository, words, global, at)?;
    kitchen::warn_of_arguments(&repository, &chosen, global, at)?;
    let wish = Wish::look(chosen);
    let engine = kitchen::connect(options.engine.engine, at)?;
    let info = engine.describe()?;
    let (_, todo) = Kitchen::open(&repository, wish, engine.as_ref(), &info)?;
    let name = |image: ImageId| repository.graph.images[image].name.clone();
    say::out(&if options.json {
        plan::draw_json(&todo, &name)?
    } else {
        plan::draw(&todo, &name, Paint::plain())
    })?;
    Ok(if options.check && !todo.is_all_settled() { Exit::Failed } else { Exit::Done })
}
