//! Dense ids: an image is a small number, and facts about images live in vectors.
//!
//! Owns the id types and the map keyed by them. It knows nothing of what an image is.

use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

use serde::{Deserialize, Serialize};

/// A position in a table, as a type of its own: ids of different tables can't be mixed up.
pub trait Id: Copy {
    /// The id as an index into a vector.
    fn index(self) -> usize;

    /// The id that stands for position `index`.
    ///
    /// # Panics
    /// Panics where `index` does not fit in 32 bits.
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
                $name(u32::try_from(index).expect("fewer than four thousand million entries"))
            }
        }
    )*};
}

ids! {
    /// The number of an image in its graph, from 0 without gaps, in the order of image names.
    ImageId
    /// The number of an external image in its graph, from 0 without gaps.
    ExternalId
    /// The number of an image for a platform among those of its graph, from 0 without gaps.
    UnitId
}

/// One `T` for every id of a table, stored densely.
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
    /// A map of `len` values, each made from its id.
    pub fn from_fn(len: usize, mut value: impl FnMut(I) -> T) -> IdMap<T, I> {
        (0..len).map(|index| value(I::from_index(index))).collect()
    }

    /// Adds a value and returns the id it got.
    pub fn push(&mut self, value: T) -> I {
        self.values.push(value);
        I::from_index(self.values.len() - 1)
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
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = I> + ExactSizeIterator + use<T, I> {
        (0..self.values.len()).map(I::from_index)
    }

    /// All ids with their values, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (I, &T)> + ExactSizeIterator {
        self.values.iter().enumerate().map(|(index, value)| (I::from_index(index), value))
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
    fn ids_count_from_zero_and_index_their_values() {
        let mut map: IdMap<&str> = IdMap::default();
        let a = map.push("a");
        let b = map.push("b");
        assert_eq!((a, b), (ImageId(0), ImageId(1)));
        map[a] = "A";
        assert_eq!(map.iter().collect::<Vec<_>>(), [(a, &"A"), (b, &"b")]);
        assert_eq!(IdMap::from_fn(3, ImageId::index).values().copied().sum::<usize>(), 3);
    }
}
