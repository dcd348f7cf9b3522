//! Dense ids: an image is a small number, and facts about images live in vectors.
//!
//! Owns the id type and the map keyed by it. It knows nothing of what an image is.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// The number of an image in its graph, from 0 without gaps, in the order of image names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ImageId(pub u32);

impl ImageId {
    /// The id as an index into a vector.
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The id that stands for position `index`.
    ///
    /// # Panics
    /// Panics where `index` does not fit in 32 bits.
    pub fn from_index(index: usize) -> ImageId {
        ImageId(u32::try_from(index).expect("fewer than four thousand million images"))
    }
}

/// One `T` for every id, stored densely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap<T> {
    values: Vec<T>,
    id: PhantomData<ImageId>,
}

impl<T> Default for IdMap<T> {
    fn default() -> Self {
        IdMap { values: Vec::new(), id: PhantomData }
    }
}

impl<T> IdMap<T> {
    /// A map of `len` values, each made from its id.
    pub fn from_fn(len: usize, mut value: impl FnMut(ImageId) -> T) -> IdMap<T> {
        (0..len).map(|index| value(ImageId::from_index(index))).collect()
    }

    /// Adds a value and returns the id it got.
    pub fn push(&mut self, value: T) -> ImageId {
        self.values.push(value);
        ImageId::from_index(self.values.len() - 1)
    }

    /// How many ids there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no id at all.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All ids in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = ImageId> + ExactSizeIterator + use<T> {
        (0..self.values.len()).map(ImageId::from_index)
    }

    /// All ids with their values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ImageId, &T)> + ExactSizeIterator {
        self.values.iter().enumerate().map(|(index, value)| (ImageId::from_index(index), value))
    }

    /// All values in the order of their ids.
    pub fn values(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    /// All values in the order of their ids, to be changed.
    pub fn values_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.values.iter_mut()
    }
}

impl<T> FromIterator<T> for IdMap<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        IdMap { values: values.into_iter().collect(), id: PhantomData }
    }
}

impl<T> Index<ImageId> for IdMap<T> {
    type Output = T;

    fn index(&self, id: ImageId) -> &T {
        &self.values[id.index()]
    }
}

impl<T> IndexMut<ImageId> for IdMap<T> {
    fn index_mut(&mut self, id: ImageId) -> &mut T {
        &mut self.values[id.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_zero_and_index_their_values() {
        let mut map = IdMap::default();
        let a = map.push("a");
        let b = map.push("b");
        assert_eq!((a, b), (ImageId(0), ImageId(1)));
        map[a] = "A";
        assert_eq!(map.iter().collect::<Vec<_>>(), [(a, &"A"), (b, &"b")]);
        assert_eq!(IdMap::from_fn(3, ImageId::index).values().copied().sum::<usize>(), 3);
    }
}
