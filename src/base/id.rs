//! Dense IDs: each image has a small number, and data about images is kept in vectors.
//!
//! Owns the ID types and the map keyed by them. It does not know what an image is.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// A position in a table. Each table has its own type, so that IDs of different tables cannot be confused.
pub trait Id: Copy {
    /// Returns the ID as an index into a vector.
    fn index(self) -> usize;

    /// Returns the ID for position `index`.
    ///
    /// # Panics
    /// Panics if `index` does not fit into 32 bits.
    fn from_index(index: usize) -> Self;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u32);

        impl Id for $name {
            fn index(self) -> usize {
                self.0 as usize
            }

            fn from_index(index: usize) -> $name {
                $name(u32::try_from(index).expect("fewer than four billion entries"))
            }
        }
    )*};
}

ids! {
    /// The number of an image in its graph, from 0 without gaps, in the order of image names.
    ImageId
    /// The number of an external image in its graph, from 0 without gaps.
    ExternalId
    /// The number of an image and platform in its graph, from 0 without gaps.
    UnitId
}

/// A dense map with one value per ID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap<T, I = ImageId> {
    values: Vec<T>,
    id: PhantomData<I>,
}

impl<T, I> Default for IdMap<T, I> {
    fn default() -> Self {
        IdMap { values: Vec::new(), id: PhantomData }
    }
}

impl<T, I: Id> IdMap<T, I> {
    /// Creates a map of `len` values, each computed from its ID.
    pub fn from_fn(len: usize, mut value: impl FnMut(I) -> T) -> IdMap<T, I> {
        (0..len).map(|index| value(I::from_index(index))).collect()
    }

    /// Adds a value and returns its ID.
    pub fn push(&mut self, value: T) -> I {
        self.values.push(value);
        I::from_index(self.values.len() - 1)
    }

    /// Returns the number of IDs.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the map has no IDs.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Iterates over all IDs in order.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<T, I> {
        (0..self.values.len()).map(I::from_index)
    }

    /// Iterates over all IDs and their values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.values.iter().enumerate().map(|(index, value)| (I::from_index(index), value))
    }

    /// Iterates over all values in the order of their IDs.
    pub fn values(&self) -> std::slice::Iter<'_, T> {
        self.values.iter()
    }

    /// Iterates over mutable references to all values in the order of their IDs.
    pub fn values_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.values.iter_mut()
    }
}

impl<T, I> FromIterator<T> for IdMap<T, I> {
    fn from_iter<V: IntoIterator<Item = T>>(values: V) -> Self {
        IdMap { values: values.into_iter().collect(), id: PhantomData }
    }
}

impl<T, I: Id> Index<I> for IdMap<T, I> {
    type Output = T;

    fn index(&self, id: I) -> &T {
        &self.values[id.index()]
    }
}

impl<T, I: Id> IndexMut<I> for IdMap<T, I> {
    fn index_mut(&mut self, id: I) -> &mut T {
        &mut self.values[id.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_start_at_zero_and_index_their_values() {
        let mut map: IdMap<&str> = IdMap::default();
        let a = map.push("a");
        let b = map.push("b");
        assert_eq!((a, b), (ImageId(0), ImageId(1)));
        map[a] = "A";
        assert_eq!(map.iter().collect::<Vec<_>>(), [(a, &"A"), (b, &"b")]);
        assert_eq!(IdMap::from_fn(3, ImageId::index).values().copied().sum::<usize>(), 3);
    }
}
