//! Marks on drawn images: a word and a shade each, and the legend.
//!
//! Owns the shades. A shade is never used without its word next to the name, so that no one has to
//! distinguish colors. The creator of the marks defines what the words mean.

use std::borrow::Cow;

use crate::base::IdMap;

/// A note about an image next to its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The word.
    pub word: Cow<'static, str>,
    /// Its shade.
    pub shade: Shade,
}

/// The coloring of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shade {
    /// The image is up to date.
    Good,
    /// The image needs attention, for example a build.
    Careful,
    /// The result depends on other images.
    Waiting,
    /// A step of a scale, from 0 to [`STEPS`] - 1.
    Step(u8),
    /// Unknown.
    Unknown,
}

/// The number of steps of a scale.
pub const STEPS: u8 = 5;

impl Shade {
    /// Returns the name of the shade, for use as a class.
    pub fn class(self) -> &'static str {
        self.look().0
    }

    /// Returns the colors of the area, the border, and the text, as `#rrggbb`. Readers who confuse green and
    /// red can distinguish them: the three verdicts are bluish green, orange, and gray (after Okabe and Ito,
    /// *Color Universal Design*, 2008), as in the terminal and on pages, and a scale goes from light to dark.
    pub fn colors(self) -> [&'static str; 3] {
        self.look().1
    }

    fn look(self) -> (&'static str, [&'static str; 3]) {
        match self {
            Shade::Good => ("good", ["#cdeee3", "#00795a", "#06281f"]),
            Shade::Careful => ("careful", ["#ffd9a8", "#b45f00", "#3a1f00"]),
            Shade::Waiting => ("waiting", ["#e6e6e6", "#6e7781", "#24292f"]),
            Shade::Step(0) => ("step0", ["#f7f5cf", "#8a8a5c", "#24292f"]),
            Shade::Step(1) => ("step1", ["#b9e0c0", "#5b8f77", "#24292f"]),
            Shade::Step(2) => ("step2", ["#5fb7bf", "#2f7f88", "#10242b"]),
            Shade::Step(3) => ("step3", ["#2a6f9e", "#2a6f9e", "#ffffff"]),
            Shade::Step(_) => ("step4", ["#22386f", "#5b73b5", "#ffffff"]),
            Shade::Unknown => ("unknown", ["#ffffff", "#6e7781", "#57606a"]),
        }
    }
}

/// The marks of a drawing.
#[derive(Debug, Clone)]
pub struct Marks {
    /// The title of the legend.
    pub about: &'static str,
    /// The meaning of the shades, in the order of the legend.
    pub legend: Vec<Mark>,
    /// The mark of each image.
    pub marks: IdMap<Option<Mark>>,
}
