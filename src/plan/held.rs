//! What the engine holds of ours: the images that carry a key.
//!
//! Owns one answer of the engine, looked up by reference and by key.

use std::collections::HashMap;

use crate::engine::ListedImage;
use crate::graph::reference::Reference;
use crate::inputs::KEY_LABEL;

/// The images that carry a key.
#[derive(Debug, Clone, Default)]
pub struct Held {
    images: Vec<HeldImage>,
    by_reference: HashMap<String, usize>,
    by_key: HashMap<String, Vec<usize>>,
}

/// An image that carries a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldImage {
    /// Its ID.
    pub id: String,
    /// Its key, as its label says.
    pub key: String,
}

/// To what the references of an image lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder<'a> {
    /// All to one image.
    One(&'a HeldImage),
    /// This one, and perhaps others, to no image that carries a key.
    Missing(String),
    /// Not all to the same image; the first that differs.
    Several(String),
}

impl Held {
    /// Reads a listing by [`KEY_LABEL`].
    pub fn read(listed: Vec<ListedImage>) -> Held {
        let mut held = Held::default();
        for mut image in listed {
            let Some(key) = image.labels.remove(KEY_LABEL) else { continue };
            for reference in &image.references {
                if let Ok(reference) = Reference::parse(reference) {
                    held.by_reference.insert(reference.normalised(), held.images.len());
                }
            }
            held.by_key.entry(key.clone()).or_default().push(held.images.len());
            held.images.push(HeldImage { id: image.id, key });
        }
        held
    }

    /// To what references lead.
    pub fn holder(&self, references: &[Reference]) -> Holder<'_> {
        let mut found = None;
        for reference in references {
            let Some(at) = self.by_reference.get(&reference.normalised()) else {
                return Holder::Missing(reference.familiar());
            };
            if *found.get_or_insert(*at) != *at {
                return Holder::Several(reference.familiar());
            }
        }
        match found {
            Some(at) => Holder::One(&self.images[at]),
            None => Holder::Missing(String::new()),
        }
    }

    /// Whether any of some references leads to an image that carries a key.
    pub fn holds_any(&self, references: &[Reference]) -> bool {
        references.iter().any(|it| self.by_reference.contains_key(&it.normalised()))
    }

    /// Whether any image carries this key.
    pub fn carries(&self, key: &str) -> bool {
        self.by_key.contains_key(key)
    }

    /// The other images that carry the same key.
    pub fn namesakes<'a>(&'a self, image: &'a HeldImage) -> impl Iterator<Item = &'a HeldImage> {
        let all = self.by_key.get(&image.key).into_iter().flatten();
        all.map(|at| &self.images[*at]).filter(|other| other.id != image.id)
    }
}
