//! The nearest of many names, found without computing each distance.
//!
//! Owns a cheap filter in front of [`closest`]: names whose letters differ too much cannot be near. Thousands of images
//! are searched for every reference that matches none of them.

use crate::base::text::closest;

/// Names to search.
#[derive(Debug, Default)]
pub(super) struct NameIndex<'a> {
    names: Vec<(&'a str, usize, u64)>,
}

/// Names with more changes are never near ([`closest`] allows at most three).
const MOST_CHANGES: usize = 3;

impl<'a> NameIndex<'a> {
    pub(super) fn push(&mut self, name: &'a str) {
        self.names.push((name, name.chars().count(), letters(name)));
    }

    /// Returns the nearest of the first `count` names, in the order in which they were added.
    pub(super) fn closest(&self, text: &str, count: usize) -> Option<&'a str> {
        let (length, own) = (text.chars().count(), letters(text));
        let names = self.names.iter().take(count);
        let near = names.filter(|(_, other_length, other)| {
            // A change removes at most one letter and adds at most one.
            length.abs_diff(*other_length) <= MOST_CHANGES
                && (own & !other).count_ones() as usize <= MOST_CHANGES
                && (other & !own).count_ones() as usize <= MOST_CHANGES
        });
        closest(text, near.map(|(name, ..)| *name))
    }
}

impl<'a> FromIterator<&'a str> for NameIndex<'a> {
    fn from_iter<I: IntoIterator<Item = &'a str>>(iter: I) -> NameIndex<'a> {
        let mut names = NameIndex::default();
        iter.into_iter().for_each(|name| names.push(name));
        names
    }
}

/// Returns the letters in a name, as a set of 64 bits. Several letters may share a bit.
fn letters(name: &str) -> u64 {
    name.chars().fold(0, |set, letter| set | 1 << (u32::from(letter) % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_index_finds_the_same_name_as_a_full_search() {
        let all = ["base", "builder", "dev", "release-candidate", "größe", "b"];
        let names: NameIndex<'_> = all.into_iter().collect();
        for text in ["bsae", "bulider", "de", "relaese-cnadidat", "grosse", "x", "base", "bab"] {
            assert_eq!(names.closest(text, usize::MAX), closest(text, all), "{text}");
        }
        assert_eq!(names.closest("bulider", 1), None);
    }
}
