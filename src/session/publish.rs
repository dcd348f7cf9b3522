//! Pushing and publishing the images of a run.
//!
//! Owns what is stored where in the registry: every image under the tag of its key, in each repository that it has a
//! reference in, and the tags that people use, which move last and together.

use std::collections::BTreeSet;

use crate::base::{UnitId, clock, parallel};
use crate::cli::PushOption;
use crate::engine::{Cancel, ImageStore};
use crate::graph::reference::Reference;
use crate::plan::{ParentImage, SharedStore, remote};
use crate::registry::moves::Move;
use crate::registry::{AT_ONCE, Remote};
use crate::schedule::{PublishedImage, PublishedTags, Publisher};
use crate::state::StateDir;

use super::image_provider::ImageProvider;
use super::tag_moves;

/// Publishes the images of an image provider.
pub struct Publishing<'a> {
    /// Where the images come from.
    provider: &'a ImageProvider<'a>,
    /// The registry.
    shared: &'a SharedStore,
    /// Registries that are used without TLS.
    plain_http: Vec<String>,
    /// Whether to move the tags that people use.
    moves_tags: bool,
    /// A name that no other run has.
    run: String,
}

impl<'a> Publishing<'a> {
    /// Returns what publishes the images of an image provider, or `None` if nothing is to be pushed.
    pub fn of(
        provider: &'a ImageProvider<'a>,
        plain_http: Vec<String>,
        push: PushOption,
    ) -> Option<Publishing<'a>> {
        let shared = provider.freshness.shared.as_ref().filter(|_| push != PushOption::No)?;
        let moves_tags = push == PushOption::Tags;
        let run = format!("{}-{}", clock::now().since_epoch().as_millis(), std::process::id());
        Some(Publishing { provider, shared, plain_http, moves_tags, run })
    }
}

impl Publishing<'_> {
    /// Returns the moves of tags that do not yet point to their images, and the number of tags that do.
    fn moves(&self, published: &[(UnitId, PublishedImage)]) -> anyhow::Result<(Vec<Move>, usize)> {
        let targets: Vec<(Remote, &str)> = published
            .iter()
            .flat_map(|(unit, it)| {
                let digest = it.digest.as_str();
                let references = &self.provider.freshness.image(*unit).references;
                references.iter().map(move |it| (remote(&self.shared.place(it)), digest))
            })
            .collect();
        let now = parallel::each(&targets, AT_ONCE, |(tag, _)| self.shared.registries.digest(tag));
        let mut moves = Vec::new();
        for ((tag, to), from) in targets.iter().zip(now) {
            let from = from?;
            if from.as_deref() != Some(to) {
                moves.push(Move { tag: tag.clone(), to: (*to).to_owned(), from });
            }
        }
        let unchanged = targets.len() - moves.len();
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
    cancel: &Cancel,
) -> anyhow::Result<String> {
    let mut attempt = 1;
    loop {
        store.tag(image_id, name)?;
        let pushed = store.push(name, cancel);
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
        cancel: &Cancel,
    ) -> anyhow::Result<PublishedImage> {
        let freshness = &self.provider.freshness;
        let Some(key) = freshness.key_of(unit, parents) else {
            anyhow::bail!("an image without a key can't be pushed");
        };
        let described = freshness.image(unit);
        let mut published = None;
        for location in self.shared.key_references(described, &key) {
            let name = location.familiar();
            let digest = push_under(&name, image_id, freshness.store, cancel)?;
            published.get_or_insert_with(|| {
                let digested = Some(digest.clone());
                let reference = Reference { tag: None, digest: digested, ..location }.familiar();
                PublishedImage { reference, digest }
            });
        }
        published.ok_or_else(|| anyhow::anyhow!("`{}` has no reference", described.name))
    }

    fn move_tags(
        &self,
        published: &[(UnitId, PublishedImage)],
    ) -> anyhow::Result<Option<PublishedTags>> {
        if !self.moves_tags {
            return Ok(None);
        }
        let (moves, unchanged) = self.moves(published)?;
        let moved: BTreeSet<String> = moves.iter().map(|it| it.tag.to_string()).collect();
        // Without a state directory, the intent of the run is written to a temporary directory.
        let elsewhere = tempfile::tempdir()?;
        let state = &self.provider.freshness.state;
        let directory = match state.prepare_releases() {
            Err(_) if state.trouble().is_some() => StateDir::at(elsewhere.path()),
            result => result?,
        };
        if !moves.is_empty() || tag_moves::is_any_left(&directory) {
            tag_moves::start(&directory, &self.run, &self.plain_http, moves)?;
        }
        Ok(Some(PublishedTags { moved: moved.into_iter().collect(), kept: unchanged }))
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
        let pushed = push_under(NAME, "sha256:base-one", &store, cancel);
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
        let failure = push_under(NAME, "sha256:x", &store, &Cancel::default()).unwrap_err();
        assert_eq!(failure.to_string(), "no image has the ID sha256:x");
        assert_eq!(store.take_calls(), [format!("tag sha256:x {NAME}")]);
    }
}
