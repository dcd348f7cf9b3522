//! An engine for unit tests: an in-memory store, and a build function that a test can supply.
//!
//! Calls that a test does not expect are errors, so that the test fails.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{
    BuildOutcome, BuildRequest, Builder, BuilderCapacity, BuilderInfo, Cancel, Features,
    HistoryEntry, ImageStore, LabelFilter, ListedImage, ReferenceWatch, Sink, StoredImage,
    TransferProgress,
};
use crate::base::Platform;
use crate::base::clock::UnixTime;
use crate::base::error::permanent;

/// A function that replaces the build.
type Build<'a> = dyn Fn(&BuildRequest, &Cancel) -> anyhow::Result<BuildOutcome> + Send + Sync + 'a;

/// An engine for unit tests.
#[derive(Default)]
pub struct Stub<'a> {
    images: Mutex<Vec<StubImage>>,
    build: Option<Box<Build<'a>>>,
    holds_everything: bool,
    /// The number of CPUs that it reports.
    pub capacity: Option<BuilderCapacity>,
    rejects_tags: bool,
    /// Whether every image that is tagged has just been removed by another process.
    loses_tagged_images: bool,
    /// The image that was lost last.
    lost_image: Mutex<Option<String>>,
    /// How many of the next pushes are to find that another process has just removed the reference.
    interrupted_pushes: Mutex<u32>,
    moves: Moves,
    calls: Mutex<Vec<String>>,
}

/// How often each reference was put on an image.
type Moves = std::sync::Arc<Mutex<BTreeMap<String, u64>>>;

/// An image in the store.
struct StubImage {
    stored: StoredImage,
    /// When the image was created.
    created: UnixTime,
    history: Vec<HistoryEntry>,
}

impl<'a> Stub<'a> {
    /// Creates an engine that builds with a function.
    pub fn building(
        build: impl Fn(&BuildRequest, &Cancel) -> anyhow::Result<BuildOutcome> + Send + Sync + 'a,
    ) -> Stub<'a> {
        Stub { build: Some(Box::new(build)), ..Stub::default() }
    }

    /// Makes the store return an otherwise empty image for every ID.
    #[must_use]
    pub fn holding_everything(self) -> Stub<'a> {
        Stub { holds_everything: true, ..self }
    }

    /// Makes every image that is tagged have just been removed by another process, which then creates it again.
    #[must_use]
    pub fn losing_tagged_images(self) -> Stub<'a> {
        Stub { loses_tagged_images: true, ..self }
    }

    /// Makes the store reject all tags.
    #[must_use]
    pub fn rejecting_tags(self) -> Stub<'a> {
        Stub { rejects_tags: true, ..self }
    }

    /// Makes the next pushes find that another process has just removed the reference.
    #[must_use]
    pub fn interrupting_pushes(self, times: u32) -> Stub<'a> {
        Stub { interrupted_pushes: Mutex::new(times), ..self }
    }

    fn images(&self) -> MutexGuard<'_, Vec<StubImage>> {
        self.images.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an image with the instructions of its history, and removes its references from other images. The image
    /// added last is the newest.
    pub fn put(&self, stored: StoredImage, history: &[String]) {
        for reference in &stored.references {
            self.untag(reference);
        }
        let history = history.iter().cloned().map(HistoryEntry::from).collect();
        let mut images = self.images();
        let created = UnixTime::from_seconds(images.len().try_into().unwrap());
        images.push(StubImage { stored, created, history });
    }

    /// Removes a reference from the image that has it.
    pub fn untag(&self, reference: &str) {
        for image in self.images().iter_mut() {
            image.stored.references.retain(|it| it != reference);
        }
    }

    /// Returns the image with an ID or a reference.
    pub fn image(&self, name: &str) -> Option<StoredImage> {
        self.images().iter().find(|image| image.is_called(name)).map(|image| image.stored.clone())
    }

    /// Returns the calls since the last time: `inspect NAME`, `history NAME`, `list LABEL`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, call: &str, name: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(format!("{call} {name}"));
    }
}

impl StubImage {
    fn is_called(&self, name: &str) -> bool {
        self.stored.id == name || self.stored.references.iter().any(|it| it == name)
    }
}

/// Counts the stub's own moves.
struct Counts(Moves);

impl ReferenceWatch for Counts {
    fn counts(
        &self,
        references: &[(String, String)],
        _: &dyn ImageStore,
    ) -> anyhow::Result<Vec<u64>> {
        let moves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(references.iter().map(|(it, _)| moves.get(it).copied().unwrap_or_default()).collect())
    }
}

impl Builder for Stub<'_> {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        anyhow::bail!("unexpected: info")
    }

    fn features(&self) -> anyhow::Result<Features> {
        Ok(Features::default())
    }

    fn capacity(&self) -> anyhow::Result<Option<BuilderCapacity>> {
        self.note("capacity", "");
        Ok(self.capacity)
    }

    fn build(
        &self,
        request: &BuildRequest,
        _: &mut Sink<'_>,
        cancel: &Cancel,
    ) -> anyhow::Result<BuildOutcome> {
        match &self.build {
            Some(build) => build(request, cancel),
            None => anyhow::bail!("unexpected: build {:?}", request.references),
        }
    }

    fn store(&self) -> Option<&dyn ImageStore> {
        Some(self)
    }
}

impl ImageStore for Stub<'_> {
    fn inspect(&self, reference: &str) -> anyhow::Result<Option<StoredImage>> {
        self.note("inspect", reference);
        let lost_image = self.lost_image.lock().unwrap_or_else(PoisonError::into_inner).take();
        if lost_image.as_deref() == Some(reference) {
            return Ok(None);
        }
        let unknown = || StoredImage { id: reference.to_owned(), ..StoredImage::default() };
        let found = self.image(reference);
        Ok(found.or_else(|| self.holds_everything.then(unknown)))
    }

    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        self.note("history", id);
        Ok(self.images().iter().find(|it| it.is_called(id)).map(|image| image.history.clone()))
    }

    fn list(&self, label: LabelFilter<'_>) -> anyhow::Result<Vec<ListedImage>> {
        self.note("list", &label.to_string());
        let is_listed = |image: &&StubImage| label.matches(&image.stored.labels);
        let listed = |image: &StubImage| ListedImage {
            id: image.stored.id.clone(),
            created: image.created,
            references: image.stored.references.clone(),
            labels: image.stored.labels.clone(),
            size: image.stored.size,
        };
        Ok(self.images().iter().filter(is_listed).map(listed).collect())
    }

    fn pull(&self, name: &str, _: Option<&Platform>, _: &mut dyn FnMut()) -> anyhow::Result<()> {
        anyhow::bail!("unexpected: pull {name}")
    }

    fn push(
        &self,
        name: &str,
        _: &mut dyn FnMut(TransferProgress),
        _: &Cancel,
    ) -> anyhow::Result<String> {
        self.note("push", name);
        let mut interrupted =
            self.interrupted_pushes.lock().unwrap_or_else(PoisonError::into_inner);
        if *interrupted > 0 {
            *interrupted -= 1;
            self.untag(name);
        }
        let pushed = self.image(name).map(|image| format!("{}-pushed", image.id));
        pushed.ok_or_else(|| permanent(format!("no image is called {name}")).into())
    }

    fn tag(&self, id: &str, name: &str) -> anyhow::Result<()> {
        self.note("tag", &format!("{id} {name}"));
        let mut images = self.images();
        if self.rejects_tags {
            return Err(permanent("tags are rejected").into());
        }
        if self.loses_tagged_images {
            *self.lost_image.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        }
        let found = images.iter().position(|image| image.stored.id == id);
        let Some(position) = found.filter(|_| !self.loses_tagged_images) else {
            return Err(permanent(format!("no image has the ID {id}")).into());
        };
        images.iter_mut().for_each(|image| image.stored.references.retain(|it| it != name));
        images[position].stored.references.push(name.to_owned());
        *self
            .moves
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(name.to_owned())
            .or_default() += 1;
        Ok(())
    }

    fn watch_references(&self, _: &str) -> anyhow::Result<Option<Box<dyn ReferenceWatch>>> {
        Ok(Some(Box::new(Counts(self.moves.clone()))))
    }

    /// Keeps an image that has lost its last reference, as Docker's own store does, unless it is removed by ID.
    fn remove(&self, name: &str) -> anyhow::Result<()> {
        self.note("remove", name);
        self.untag(name);
        self.images().retain(|image| image.stored.id != name);
        Ok(())
    }
}
