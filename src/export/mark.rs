//! Marks on drawn images: a word and a shade each, and the legend.
//!
//! Owns the shades. A shade never stands alone: the word stands beside the name, so that nobody has
//! to tell colours apart. What the words mean is for those to say who make the marks.

use std::borrow::Cow;

use crate::base::IdMap;

/// What is said of an image beside its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The word.
    pub word: Cow<'static, str>,
    /// What it is painted with.
    pub shade: Shade,
}

/// How an image is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shade {
    /// There is nothing to do.
    Good,
    /// There is something to do.
    Careful,
    /// It depends on others.
    Waiting,
    /// A step of a scale, from 0 to [`STEPS`] - 1.
    Step(u8),
    /// Nothing is known.
    Unknown,
}

/// How many steps a scale has.
pub const STEPS: u8 = 5;

impl Shade {
    /// A word for the shade, as a class in drawings that have classes.
    pub fn class(self) -> &'static str {
        self.look().0
    }

    /// The colours of area, border and text, as `#rrggbb`. Green and red never have to be told apart:
    /// the three verdicts are blue, orange and grey (after Okabe and Ito, *Color Universal Design*,
    /// 2008), and a scale goes from light to dark.
    pub fn colors(self) -> [&'static str; 3] {
        self.look().1
    }

    fn look(self) -> (&'static str, [&'static str; 3]) {
        match self {
            Shade::Good => ("good", ["#cfe8f7", "#0072b2", "#0b2a3d"]),
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
    /// What they are about, for the legend.
    pub about: &'static str,
    /// What the shades stand for, in the order of the legend.
    pub legend: Vec<Mark>,
    /// Those of the images.
    pub marks: IdMap<Option<Mark>>,
}
