//! Bringing an image from a registry into the engine's store.
//!
//! Owns that what is brought is what was meant: it is asked for by its digest, and what it is to a
//! child is compared with what the plan was made of before any name leads to it. Two that bring the
//! same image at once do no harm: the engine fetches it once.

use std::time::{Duration, Instant};

use crate::base::Platform;
use crate::base::error::permanent;
use crate::engine::{ImageStore, StoredImage};
use crate::inputs::Identity;

/// An image that the engine is to have.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Where it is, by digest.
    pub reference: &'a str,
    /// What it is.
    pub identity: &'a Identity,
    /// The platform, where one is asked for.
    pub platform: Option<&'a Platform>,
    /// The references that are to lead to it.
    pub names: &'a [String],
}

/// Brings an image where the engine lacks it, and puts its names on it. `pulled` is told how long
/// that took, where there was something to bring.
///
/// # Errors
/// Where the engine or the registry fails, or gives another image than the one that is wanted.
pub fn bring(
    store: &dyn ImageStore,
    wanted: Wanted<'_>,
    pulled: &dyn Fn(String, Duration),
) -> anyhow::Result<()> {
    let Wanted { reference, identity, platform, names } = wanted;
    let image = hold(store, reference, platform, pulled)?;
    if Identity::of(&image) != *identity {
        anyhow::bail!(
            permanent(format!("`{reference}` is another image in the engine than in its registry"))
                .hint(format!("remove it from the engine: docker image rm {reference}"))
        );
    }
    for name in names.iter().filter(|name| !image.references.contains(name)) {
        store.tag(&image.id, name)?;
    }
    Ok(())
}

/// The image that a reference by digest means, brought where the engine lacks it. `pulled` is told how
/// long that took.
///
/// # Errors
/// Where the engine or the registry fails.
pub fn hold(
    store: &dyn ImageStore,
    reference: &str,
    platform: Option<&Platform>,
    pulled: &dyn Fn(String, Duration),
) -> anyhow::Result<StoredImage> {
    if let Some(image) = store.inspect(reference)? {
        return Ok(image);
    }
    let since = Instant::now();
    store.pull(reference, platform, &mut || ())?;
    pulled(reference.to_owned(), since.elapsed());
    match store.inspect(reference)? {
        Some(image) => Ok(image),
        None => {
            anyhow::bail!("the engine does not hold `{reference}`, which it has just pulled")
        }
    }
}
