//! Units of work: an image for a platform.
//!
//! Owns their ids, and the mapping of edges to units of a parent. The units of one image have
//! consecutive ids, and units are in the order of their images.

use crate::base::{Id, ImageId, Platform, UnitId};

/// The units of a graph: one per image and platform to build for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    images: usize,
    platforms: Vec<Platform>,
}

impl Units {
    /// Returns the units for a single platform, one per image.
    pub fn for_one(images: usize, platform: Platform) -> Units {
        Units { images, platforms: vec![platform] }
    }

    /// Returns the number of units.
    pub fn len(&self) -> usize {
        self.images * self.platforms.len()
    }

    /// Returns whether there are no units.
    pub fn is_empty(&self) -> bool {
        self.images == 0
    }

    /// Returns the number of images.
    pub fn images(&self) -> usize {
        self.images
    }

    /// Returns the image of a unit.
    pub fn image(&self, unit: UnitId) -> ImageId {
        ImageId::from_index(unit.index() / self.platforms.len())
    }

    /// Returns the platform of a unit.
    pub fn platform(&self, unit: UnitId) -> &Platform {
        &self.platforms[unit.index() % self.platforms.len()]
    }

    /// Returns the unit of an image for the first platform, for output per image.
    pub fn first_of(&self, image: ImageId) -> UnitId {
        UnitId::from_index(image.index() * self.platforms.len())
    }

    /// Returns the units of an image.
    pub fn of(&self, image: ImageId) -> impl Iterator<Item = UnitId> + use<> {
        let first = self.first_of(image).index();
        (first..first + self.platforms.len()).map(UnitId::from_index)
    }

    /// Returns the units of several images, in their order.
    pub fn of_all(&self, images: &[ImageId]) -> Vec<UnitId> {
        images.iter().flat_map(|image| self.of(*image)).collect()
    }

    /// Returns the unit of a parent that a unit is built on. It is the one for the platform of the
    /// dependency if the parent is built for it, as for `FROM --platform=$BUILDPLATFORM`, and
    /// otherwise the one for the unit's own platform.
    pub fn parent(&self, unit: UnitId, parent: ImageId, platform: Option<&Platform>) -> UnitId {
        let is_match = |own: &UnitId| Some(self.platform(*own)) == platform;
        let own = self.first_of(parent).index() + unit.index() % self.platforms.len();
        self.of(parent).find(is_match).unwrap_or(UnitId::from_index(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_platform_has_one_unit_per_image() {
        let platform = Platform::of("linux", "amd64", "");
        let units = Units::for_one(3, platform.clone());
        assert_eq!((units.len(), units.images(), units.is_empty()), (3, 3, false));
        let (image, unit) = (ImageId(2), UnitId(2));
        assert_eq!((units.image(unit), units.platform(unit)), (image, &platform));
        assert_eq!(units.of(image).collect::<Vec<_>>(), [unit]);
        let other = Platform::of("linux", "arm64", "");
        assert_eq!(units.parent(unit, ImageId(0), Some(&other)), UnitId(0), "whatever is wanted");
    }

    #[test]
    fn dependencies_resolve_to_the_unit_of_their_platform() {
        let [amd, arm] = ["amd64", "arm64"].map(|it| Platform::of("linux", it, ""));
        let units = Units { images: 2, platforms: vec![amd.clone(), arm.clone()] };
        assert_eq!(units.of_all(&[ImageId(1), ImageId(0)]), [2, 3, 0, 1].map(UnitId));
        let check = |unit, platform: Option<&Platform>, expected| {
            assert_eq!(units.parent(UnitId(unit), ImageId(0), platform), UnitId(expected));
        };
        check(2, Some(&amd), 0);
        check(3, Some(&arm), 1);
        // The dependency names the build platform, whatever the child's platform is.
        check(3, Some(&amd), 0);
        check(3, None, 1);
        check(3, Some(&Platform::of("linux", "s390x", "")), 1);
    }
}
