//! An engine for unit tests: a store in memory, and a build that a test may define.
//!
//! Every other call is an error, so that a test notices it.

use std::sync::{Mutex, PoisonError};

use super::{
    BuildOutcome, BuildRequest, Builder, BuilderInfo, Cancel, Features, HistoryEntry, ImageStore,
    LabelFilter, ListedImage, Sink, StoredImage,
};
use crate::base::Platform;
use crate::base::clock::UnixTime;

/// What a test does in place of a build.
type Build<'a> = dyn Fn(&BuildRequest, &Cancel) -> anyhow::Result<BuildOutcome> + Send + Sync + 'a;

/// The engine.
#[derive(Default)]
pub struct Stub<'a> {
    images: Vec<StubImage>,
    build: Option<Box<Build<'a>>>,
    holds_everything: bool,
    calls: Mutex<Vec<String>>,
}

/// An image in its store.
struct StubImage {
    stored: StoredImage,
    /// When it was made.
    created: UnixTime,
    history: Vec<HistoryEntry>,
}

impl<'a> Stub<'a> {
    /// An engine that builds with a function.
    pub fn building(
        build: impl Fn(&BuildRequest, &Cancel) -> anyhow::Result<BuildOutcome> + Send + Sync + 'a,
    ) -> Stub<'a> {
        Stub { build: Some(Box::new(build)), ..Stub::default() }
    }

    /// Lets every ID name an image of which nothing else is known.
    #[must_use]
    pub fn holding_everything(self) -> Stub<'a> {
        Stub { holds_everything: true, ..self }
    }

    /// Puts an image into the store, with the instructions of its history. Others lose the references that it
    /// has. The last one put is the youngest.
    pub fn put(&mut self, stored: StoredImage, history: &[String]) {
        for reference in &stored.references {
            self.untag(reference);
        }
        let history = history.iter().cloned().map(HistoryEntry::from).collect();
        let created = UnixTime::from_seconds(self.images.len().try_into().unwrap());
        self.images.push(StubImage { stored, created, history });
    }

    /// Takes a reference away from whichever image has it.
    pub fn untag(&mut self, reference: &str) {
        for image in &mut self.images {
            image.stored.references.retain(|it| it != reference);
        }
    }

    /// The image with an ID or a reference.
    pub fn image(&self, name: &str) -> Option<&StoredImage> {
        self.find(name).map(|image| &image.stored)
    }

    /// The calls since the last time they were taken: `inspect NAME`, `history NAME`, `list LABEL`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, name: &str) -> Option<&StubImage> {
        let is_named = |image: &&StubImage| {
            image.stored.id == name || image.stored.references.iter().any(|it| it == name)
        };
        self.images.iter().find(is_named)
    }

    fn note(&self, call: &str, name: &str) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.push(format!("{call} {name}"));
    }
}

impl Builder for Stub<'_> {
    fn info(&self) -> anyhow::Result<BuilderInfo> {
        anyhow::bail!("unexpected: info")
    }

    fn features(&self) -> anyhow::Result<Features> {
        Ok(Features::default())
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
        let unknown = || StoredImage { id: reference.to_owned(), ..StoredImage::default() };
        let found = self.image(reference).cloned();
        Ok(found.or_else(|| self.holds_everything.then(unknown)))
    }

    fn history(&self, id: &str) -> anyhow::Result<Option<Vec<HistoryEntry>>> {
        self.note("history", id);
        Ok(self.find(id).map(|image| image.history.clone()))
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
        Ok(self.images.iter().filter(is_listed).map(listed).collect())
    }

    fn pull(&self, name: &str, _: Option<&Platform>, _: &mut dyn FnMut()) -> anyhow::Result<()> {
        anyhow::bail!("unexpected: pull {name}")
    }

    fn push(&self, name: &str, _: &Cancel) -> anyhow::Result<String> {
        anyhow::bail!("unexpected: push {name}")
    }

    fn tag(&self, id: &str, name: &str) -> anyhow::Result<()> {
        anyhow::bail!("unexpected: tag {id} {name}")
    }

    fn remove(&self, name: &str) -> anyhow::Result<()> {
        anyhow::bail!("unexpected: remove {name}")
    }
}
