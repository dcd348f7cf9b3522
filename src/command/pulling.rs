//! What the engine holds of the externals, and fetching what it lacks before a plan is made.
//!
//! Owns which images are fetched and what is said meanwhile. BuildKit fetches externals too, but
//! keeps them to itself: the engine's store then never knows what they are, and all that is built
//! on them would have to count more than it reads. A build that follows takes what is in the store.

use std::collections::BTreeMap;
use std::thread;

use crate::base::ImageId;
use crate::engine::Engine;
use crate::graph::Graph;
use crate::graph::reference::Reference;
use crate::inputs::Externals;
use crate::plan::{externals_of, judge_external};
use crate::report::say;

/// How many are fetched at once: registries answer slowly, and the engine limits what it downloads.
const AT_ONCE: usize = 6;

/// What is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// Nothing: the engine is only looked at.
    Nothing,
    /// What the engine lacks. One that can't be fetched is left to the build, which knows the
    /// instruction that needs it.
    Missing,
    /// All, where their registries have newer ones.
    Newer,
}

/// For whom externals are looked for, and what is done about them.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The images.
    pub graph: &'a Graph,
    /// The platform that is asked for, where one is.
    pub asked: Option<&'a str>,
    /// The platform that is built for.
    pub platform: &'a str,
    /// What is fetched.
    pub pull: Pull,
    /// Whether to say what is fetched.
    pub tell: bool,
}

/// The externals that some images need as the engine holds them, each asked for once.
///
/// # Errors
/// Where the engine can't be asked, or one that must be fetched can't be.
pub fn find_externals(
    search: Search<'_>,
    images: &[ImageId],
    engine: &dyn Engine,
) -> anyhow::Result<Externals> {
    let wanted: Vec<(String, &Reference)> =
        externals_of(search.graph, images).into_iter().collect();
    if search.pull == Pull::Newer {
        let all: Vec<&Reference> = wanted.iter().map(|(_, reference)| *reference).collect();
        at_once(&all, &|reference| fetch_newer(search, reference, engine))?;
    }
    let mut externals = BTreeMap::new();
    let mut missing = Vec::new();
    for (name, reference) in &wanted {
        let found = engine.inspect(&reference.familiar())?;
        if found.is_none() {
            missing.push(*reference);
        }
        externals.insert(name.clone(), judge_external(found, search.platform));
    }
    if search.pull == Pull::Missing {
        at_once(&missing, &|reference| {
            drop(fetch(search, reference, engine, true));
            Ok(())
        })?;
        for reference in missing {
            let found = engine.inspect(&reference.familiar())?;
            externals.insert(reference.normalised(), judge_external(found, search.platform));
        }
    }
    Ok(externals)
}

/// Does something with some references, several at once.
fn at_once(
    references: &[&Reference],
    work: &(dyn Fn(&Reference) -> anyhow::Result<()> + Sync),
) -> anyhow::Result<()> {
    for some in references.chunks(AT_ONCE) {
        let results: Vec<anyhow::Result<()>> = thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|it| scope.spawn(|| work(it))).collect();
            let panicked = || Err(anyhow::anyhow!("a thread panicked; this is a fault in layers"));
            threads.into_iter().map(|it| it.join().unwrap_or_else(|_| panicked())).collect()
        });
        results.into_iter().collect::<anyhow::Result<()>>()?;
    }
    Ok(())
}

fn fetch_newer(
    search: Search<'_>,
    reference: &Reference,
    engine: &dyn Engine,
) -> anyhow::Result<()> {
    let name = reference.familiar();
    let before = engine.inspect(&name)?.map(|image| image.id);
    // A digest names one image for ever.
    if before.is_some() && reference.digest.is_some() {
        return Ok(());
    }
    fetch(search, reference, engine, before.is_none())?;
    let after = engine.inspect(&name)?.map(|image| image.id);
    let news = if after == before { "up to date" } else { "pulled" };
    if search.tell { say::err(&format!("{name}: {news}\n")) } else { Ok(()) }
}

/// Fetches one, and says so when its registry has begun to answer.
fn fetch(
    search: Search<'_>,
    reference: &Reference,
    engine: &dyn Engine,
    tell: bool,
) -> anyhow::Result<()> {
    let name = reference.familiar();
    engine.pull(&name, search.asked, &mut || {
        if search.tell && tell {
            // Where nobody reads it, the fetching is still wanted.
            drop(say::err(&format!("pulling {name}\n")));
        }
    })
}
