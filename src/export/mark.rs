//! Marks on drawn images: a word and a shade each, and the legend.
//!
//! Owns the shades. A shade never stands alone: the word stands beside the name, so that nobody has
//! to tell colours apart. What the words mean is for those to say who make the marks.

use std::borrow::Cow;

use crate::base::{IdMap, ImageId};

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
    marks: IdMap<Option<Mark>>,
}

impl Marks {
    /// Marks on images.
    pub fn new(about: &'static str, legend: Vec<Mark>, marks: IdMap<Option<Mark>>) -> Marks {
        Marks { about, legend, marks }
    }

    /// The mark of an image.
    pub fn of(&self, image: ImageId) -> Option<&Mark> {
        self.marks[image].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Shade; 9] = [
        Shade::Good,
        Shade::Careful,
        Shade::Waiting,
        Shade::Step(0),
        Shade::Step(1),
        Shade::Step(2),
        Shade::Step(3),
        Shade::Step(4),
        Shade::Unknown,
    ];

    /// Relative luminance (WCAG 2.2).
    fn luminance(color: &str) -> f64 {
        let channel = |at: usize| {
            let part = f64::from(u8::from_str_radix(&color[at..at + 2], 16).unwrap()) / 255.0;
            if part <= 0.040_45 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let (one, other) = (luminance(one), luminance(other));
        (one.max(other) + 0.05) / (one.min(other) + 0.05)
    }

    #[test]
    fn text_can_be_read_on_every_shade() {
        for shade in ALL {
            let [area, _, text] = shade.colors();
            assert!(contrast(area, text) >= 4.5, "{shade:?}: {}", contrast(area, text));
        }
    }

    #[test]
    fn a_scale_goes_from_light_to_dark() {
        let lights: Vec<f64> =
            (0..STEPS).map(|step| luminance(Shade::Step(step).colors()[0])).collect();
        assert!(lights.windows(2).all(|pair| pair[0] > pair[1] * 1.3), "{lights:?}");
    }

    #[test]
    fn shades_have_classes_of_their_own() {
        let classes: std::collections::BTreeSet<_> = ALL.map(Shade::class).into();
        assert_eq!(classes.len(), ALL.len());
    }
}
