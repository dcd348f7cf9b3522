//! Pulling an image from a registry into the engine's store.
//!
//! Owns the check that the right image is pulled: it is requested by digest, and its identity is compared with the plan
//! before any name points to it. Parallel pulls of the same image are harmless: the engine downloads it once.

use std::time::{Duration, Instant};

use crate::base::Platform;
use crate::base::error::permanent;
use crate::engine::{ImageStore, StoredImage};
use crate::inputs::Identity;

/// An image that the engine's store must have.
#[derive(Clone, Copy)]
pub struct RequiredImage<'a> {
    /// Its reference by digest.
    pub reference: &'a str,
    /// Its identity.
    pub identity: &'a Identity,
    /// The requested platform, if any.
    pub platform: Option<&'a Platform>,
    /// The references that must point to it.
    pub names: &'a [String],
}

/// A stage of a pull.
#[derive(Debug, PartialEq, Eq)]
pub enum PullStage {
    /// The pull started.
    Started,
    /// The image was pulled.
    Finished {
        /// Its reference.
        reference: String,
        /// How long the pull took.
        took: Duration,
    },
}

/// Pulls an image if the engine's store lacks it, and gives it its names. `pulls` is called only if it is pulled.
///
/// # Errors
/// Returns an error if the engine or the registry fails, or returns another image.
pub fn pull_image(
    store: &dyn ImageStore,
    required_image: RequiredImage<'_>,
    pulls: &dyn Fn(PullStage),
) -> anyhow::Result<()> {
    let RequiredImage { reference, identity, platform, names } = required_image;
    let image = hold(store, reference, platform, pulls)?;
    if Identity::of(&image) != *identity {
        anyhow::bail!(
            permanent(format!("`{reference}` in the engine differs from the one in its registry"))
                .hint(format!("remove it from the engine: `docker image rm {reference}`"))
        );
    }
    for name in names.iter().filter(|name| !image.references.contains(name)) {
        store.tag(&image.id, name)?;
    }
    Ok(())
}

/// Returns the image with a reference by digest, pulled if the engine's store lacks it. `pulls` is called only if it is
/// pulled.
///
/// # Errors
/// Returns an error if the engine or the registry fails.
pub fn hold(
    store: &dyn ImageStore,
    reference: &str,
    platform: Option<&Platform>,
    pulls: &dyn Fn(PullStage),
) -> anyhow::Result<StoredImage> {
    if let Some(image) = store.inspect(reference)? {
        return Ok(image);
    }
    let since = Instant::now();
    pulls(PullStage::Started);
    store.pull(reference, platform, &mut || ())?;
    pulls(PullStage::Finished { reference: reference.to_owned(), took: since.elapsed() });
    match store.inspect(reference)? {
        Some(image) => Ok(image),
        None => {
            anyhow::bail!("the engine no longer has `{reference}`, which it just pulled")
        }
    }
}
