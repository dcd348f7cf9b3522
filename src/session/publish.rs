//! Pushing and publishing the images of a run.
//!
//! Owns what is stored where in the registry: every image under the tag of its key, in each repository that it has a
//! reference in, and the tags that people use, which move last and together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use crate::base::error;
use crate::base::{IdMap, UnitId, clock, parallel};
use crate::cli::PushOption;
use crate::engine::{Cancel, ImageStore, TransferProgress};
use crate::graph::Dependency;
use crate::graph::evaluate::ChainBase;
use crate::graph::reference::Reference;
use crate::plan::{MOST_NAMES, ParentImage, Plan, SharedStore, remote};
use crate::registry::moves::Move;
use crate::registry::release_record::TagState;
use crate::registry::{AT_ONCE, Registries, Remote};
use crate::report::printer;
use crate::scan::git::Head;
use crate::schedule::{PublishedImage, PublishedTags, Publisher};
use crate::state::IntentDirs;
use crate::workspace::{Invocation, registry};

use super::Session;
use super::image_provider::ImageProvider;
use super::tag_decision::{TagDecision, decide};
use super::tag_moves::{self, IntendedMoves};

/// Publishes the images of an image provider.
pub struct Publishing<'a> {
    /// Where the images come from.
    provider: &'a ImageProvider<'a>,
    /// The registry.
    shared: &'a SharedStore,
    /// Registries that are used without TLS.
    plain_http: Vec<String>,
    /// The images that are pushed: those whose tags are moved, and what these are built on.
    pushed: IdMap<bool, UnitId>,
    /// How to move the tags that people use; `None` if only keys are pushed.
    release: Option<Release>,
    /// What was pushed.
    published: OnceLock<BTreeMap<UnitId, PublishedImage>>,
}

/// How the tags of a run are moved.
struct Release {
    /// The states of the tags when the run began. They are queried during the run.
    before: Mutex<Option<JoinHandle<BTreeMap<Remote, TagState>>>>,
    head: Head,
    /// Whether tags are moved whatever they point to.
    force: bool,
    intents: IntentDirs,
    /// Why the moves cannot be recorded, if they cannot.
    unrecorded: OnceLock<String>,
    is_reported: AtomicBool,
    /// A name that no other run has.
    run: String,
}

impl<'a> Publishing<'a> {
    /// Returns what publishes the images of a session, or `None` if nothing is to be pushed. With `force`, tags are moved
    /// even if another run has moved them.
    pub fn of(
        session: &'a Session<'a>,
        push: PushOption,
        force: bool,
        at: &Invocation,
    ) -> Option<Publishing<'a>> {
        let Session { workspace, provider, plan, .. } = session;
        let shared = provider.freshness.shared.as_ref().filter(|_| push != PushOption::No)?;
        let plain_http = registry::settings(&workspace.config, &at.environment).plain_http;
        let pushed = pushed_images(plan, &|unit| provider.freshness.image(unit).is_released());
        let release = (push == PushOption::Tags).then(|| {
            let tags = plan.order().iter().flat_map(|unit| tags_of(provider, shared, *unit));
            Release::of(tags.collect(), &shared.registries, &workspace.root, force, at)
        });
        let published = OnceLock::new();
        Some(Publishing { provider, shared, plain_http, pushed, release, published })
    }

    /// Returns what was pushed of an image, once all images are.
    pub fn published(&self, unit: UnitId) -> Option<PublishedImage> {
        self.published.get()?.get(&unit).cloned()
    }

    /// Returns the names of a pushed image: the tags that were moved to it, or else those of its key.
    pub fn names_of(&self, unit: UnitId) -> Vec<String> {
        let tags = self.release.iter().flat_map(|_| tags_of(self.provider, self.shared, unit));
        let tags: Vec<String> = tags.map(|tag| tag.to_string()).collect();
        if tags.is_empty() {
            self.published(unit).into_iter().map(|it| it.reference).collect()
        } else {
            tags
        }
    }

    /// Warns, once, if the moves of the tags cannot be recorded.
    ///
    /// # Errors
    /// Returns an error if the warning cannot be printed.
    pub fn warn_unrecorded(&self, at: &Invocation) -> anyhow::Result<()> {
        let Some(release) = &self.release else { return Ok(()) };
        let Some(error) = release.unrecorded.get() else { return Ok(()) };
        if release.is_reported.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let message = format!(
            "the moves of tags can't be recorded: {error}\n\
                 hint: make the directory of the repository or XDG_STATE_HOME writable; otherwise, \
                 the next run does not complete the moves if this one is killed"
        );
        printer::warning(&message, at.paint)
    }
}

/// Returns which images of a plan are pushed: those that are released, and all dependencies of pushed images.
fn pushed_images(plan: &Plan, is_released: &dyn Fn(UnitId) -> bool) -> IdMap<bool, UnitId> {
    let mut pushed = IdMap::from_fn(plan.len(), |_| false);
    for unit in plan.order().iter().rev() {
        pushed[*unit] = is_released(*unit) || plan.children(*unit).iter().any(|it| pushed[*it]);
    }
    pushed
}

/// Returns the tags that a release moves to an image.
fn tags_of(
    provider: &ImageProvider<'_>,
    shared: &SharedStore,
    unit: UnitId,
) -> impl Iterator<Item = Remote> {
    let references = &provider.freshness.image(unit).released;
    references.iter().map(|it| remote(&shared.registry_reference(it)))
}

impl Release {
    fn of(
        tags: Vec<Remote>,
        registries: &Arc<Registries>,
        root: &Path,
        force: bool,
        at: &Invocation,
    ) -> Release {
        let registries = Arc::clone(registries);
        let before = std::thread::spawn(move || {
            let states = parallel::each(&tags, AT_ONCE, |tag| registries.tag_state(tag).ok());
            tags.into_iter().zip(states).filter_map(|(tag, state)| Some((tag, state?))).collect()
        });
        let run = format!("{}-{}", clock::now().since_epoch().as_millis(), std::process::id());
        let intents = tag_moves::directories(root, at);
        let probe = format!("{run}.probe");
        let unrecorded = OnceLock::new();
        if let Err(error) = intents.write(&probe, b"").and_then(|it| it.remove_file(&probe)) {
            drop(unrecorded.set(error.to_string()));
        }
        Release {
            before: Mutex::new(Some(before)),
            head: Head::of(root),
            force,
            intents,
            unrecorded,
            is_reported: AtomicBool::new(false),
            run,
        }
    }

    /// Returns what to do with a tag.
    fn decide(
        &self,
        (tag, to): (&Remote, &str),
        before: Option<&TagState>,
        now: &TagState,
    ) -> anyhow::Result<TagDecision> {
        // A tag that is moved whatever it points to is one that no other run has moved.
        let before = if self.force { Some(now) } else { before };
        Ok(decide(tag, to, before, now, &|commit| self.head.lineage(commit))?)
    }
}

impl Publishing<'_> {
    /// Pushes an image under one of the names of its key.
    fn push_to(
        &self,
        number: usize,
        (unit, key): (UnitId, &str),
        image_id: &str,
        on_progress: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<PublishedImage> {
        let freshness = &self.provider.freshness;
        let described = freshness.image(unit);
        let mut published = None;
        for location in self.shared.key_references(described, key, number) {
            let name = location.familiar();
            let digest = push_under(&name, image_id, freshness.store, on_progress, cancel)?;
            published.get_or_insert_with(|| {
                let digested = Some(digest.clone());
                let reference = Reference { tag: None, digest: digested, ..location }.familiar();
                PublishedImage { reference, digest }
            });
        }
        published.ok_or_else(|| anyhow::anyhow!("`{}` has no reference", described.name))
    }

    /// Returns the moves of tags, and which tags point to their images already.
    fn moves(
        &self,
        release: &Release,
        published: &[(UnitId, PublishedImage)],
    ) -> anyhow::Result<(Vec<Move>, usize)> {
        let targets: Vec<(Remote, &str)> = published
            .iter()
            .flat_map(|(unit, it)| {
                let digest = it.digest.as_str();
                tags_of(self.provider, self.shared, *unit).map(move |tag| (tag, digest))
            })
            .collect();
        let before = release.before.lock().unwrap_or_else(PoisonError::into_inner).take();
        let before = before.and_then(|states| states.join().ok());
        let before = before.unwrap_or_default();
        let registries = &self.shared.registries;
        let now = parallel::each(&targets, AT_ONCE, |(tag, _)| registries.tag_state(tag));
        let (mut moves, mut unchanged) = (Vec::new(), 0);
        for ((tag, to), now) in targets.into_iter().zip(now) {
            let now = now?;
            let decision = release.decide((&tag, to), before.get(&tag), &now)?;
            unchanged += usize::from(decision != TagDecision::Move);
            if decision != TagDecision::Keep {
                moves.push(Move { tag, to: to.to_owned(), from: now.digest });
            }
        }
        Ok((moves, unchanged))
    }
}

/// The maximum number of attempts to push while other runs remove the image's name.
const PUSHES: u32 = 5;

/// Pushes an image under a name, which it has only for that time, and returns its digest in the registry. Another run
/// that pushes the same image removes the name when it is done; then the push starts again.
fn push_under(
    name: &str,
    image_id: &str,
    store: &dyn ImageStore,
    on_progress: &mut dyn FnMut(TransferProgress),
    cancel: &Cancel,
) -> anyhow::Result<String> {
    let mut attempt = 1;
    loop {
        store.tag(image_id, name)?;
        let pushed = store.push(name, on_progress, cancel);
        let is_over = pushed.is_ok() || cancel.is_set() || attempt == PUSHES;
        if is_over || store.inspect(name)?.is_some() {
            let untagged = store.remove(name);
            let digest = pushed?;
            return untagged.map(|()| digest);
        }
        attempt += 1;
    }
}

impl Publisher for Publishing<'_> {
    fn publish(
        &self,
        unit: UnitId,
        parents: &[ParentImage],
        image_id: &str,
        on_progress: &mut dyn FnMut(TransferProgress),
        cancel: &Cancel,
    ) -> anyhow::Result<PublishedImage> {
        let freshness = &self.provider.freshness;
        let Some(key) = freshness.key_of(unit, parents) else {
            anyhow::bail!("an image without a key can't be pushed");
        };
        let described = freshness.image(unit);
        for number in 1.. {
            let pushed = self.push_to(number, (unit, &key), image_id, on_progress, cancel);
            // With immutable tags, something else under a name of the key stays there.
            let is_final = number == MOST_NAMES
                || cancel.is_set()
                || pushed.as_ref().err().is_none_or(error::is_transient);
            if is_final || !self.shared.is_taken(described, &key, number)? {
                return pushed;
            }
        }
        unreachable!("the last name ends the loop")
    }

    fn pushes(&self, unit: UnitId) -> bool {
        self.pushed[unit]
    }

    fn base(&self, unit: UnitId) -> Option<Dependency<UnitId>> {
        let freshness = &self.provider.freshness;
        let (_, ChainBase::Image(reference)) = freshness.image(unit).evaluation.chain()? else {
            return None;
        };
        let Some(Ok(own)) = &freshness.own[unit] else { return None };
        own.base(&reference)
    }

    fn move_tags(
        &self,
        published: &[(UnitId, PublishedImage)],
    ) -> anyhow::Result<Option<PublishedTags>> {
        drop(self.published.set(published.iter().cloned().collect()));
        let Some(release) = &self.release else { return Ok(None) };
        let (mut moves, unchanged) = self.moves(release, published)?;
        let commit = release.head.commit().clone().ok().flatten();
        if commit.is_none() {
            moves.retain(|step| !step.is_done());
        }
        let moved = moves.iter().filter(|step| !step.is_done());
        let moved: BTreeSet<String> = moved.map(|step| step.tag.to_string()).collect();
        let intent = IntendedMoves { plain_http: self.plain_http.clone(), commit, moves };
        tag_moves::start(&release.intents, &release.run, &intent, &|error| {
            drop(release.unrecorded.set(error.to_string()));
        })?;
        Ok(Some(PublishedTags { moved: moved.into_iter().collect(), unchanged }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stub::Stub;
    use crate::plan::tests::stored;

    const NAME: &str = "example.com/base:layers-1";

    /// Returns the result of a push whose name is removed several times, and the calls that it made.
    fn pushed(interruptions: u32, cancel: &Cancel) -> (Result<String, String>, Vec<String>) {
        let store = Stub::default().interrupting_pushes(interruptions);
        store.put(stored("base", "one"), &[]);
        let pushed = push_under(NAME, "sha256:base-one", &store, &mut |_| (), cancel);
        assert_eq!(store.image(NAME), None, "the name is taken away in the end");
        (pushed.map_err(|error| error.to_string()), store.take_calls())
    }

    #[test]
    fn a_push_is_retried_when_its_tag_is_removed() {
        let cancel = Cancel::default();
        let (digest, calls) = pushed(0, &cancel);
        assert_eq!(digest.as_deref(), Ok("sha256:base-one-pushed"));
        let once = ["tag sha256:base-one", "push", "remove"];
        let expected = once.map(|call| format!("{call} {NAME}"));
        assert_eq!(calls[..3], expected);
        assert_eq!(pushed(PUSHES - 1, &cancel).0, digest);
    }

    #[test]
    fn a_push_fails_after_the_last_attempt_or_on_cancellation() {
        let failure = Err(format!("no image is called {NAME}"));
        let (ended, calls) = pushed(PUSHES, &Cancel::default());
        assert_eq!(ended, failure);
        let pushes = calls.iter().filter(|call| call.starts_with("push ")).count();
        assert_eq!(u32::try_from(pushes), Ok(PUSHES));
        let canceled = Cancel::default();
        canceled.set();
        let (ended, calls) = pushed(PUSHES, &canceled);
        assert_eq!(ended, failure);
        assert_eq!(calls.iter().filter(|call| call.starts_with("push ")).count(), 1);
    }

    #[test]
    fn missing_images_are_not_pushed() {
        let store = Stub::default();
        let failure =
            push_under(NAME, "sha256:x", &store, &mut |_| (), &Cancel::default()).unwrap_err();
        assert_eq!(failure.to_string(), "no image has the ID sha256:x");
        assert_eq!(store.take_calls(), [format!("tag sha256:x {NAME}")]);
    }
}
