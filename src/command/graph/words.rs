//! The options of `layers graph` as they are typed again.
//!
//! Owns the command line that hints and headers show.

use clap::ValueEnum;

use crate::cli::{Global, Graph as Options, GraphFormat};

use super::super::retyped::{quote, settings};

/// What was said on the command line.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub options: &'a Options,
    pub global: &'a Global,
    /// The format, where it is known otherwise than by an option.
    pub format: Option<&'a str>,
}

impl Said<'_> {
    /// `layers graph` with the options that say what is drawn.
    pub fn command(&self) -> String {
        let mut words = vec!["layers graph".to_owned()];
        words.extend(self.format.or(option_of(&self.options.format)).map(|it| format!("--{it}")));
        words.extend(self.options.focus.iter().map(|image| format!("--focus {}", quote(image))));
        if self.options.reduce {
            words.push("--reduce".to_owned());
        }
        if let Some(by) = self.options.color_by {
            let by = by.to_possible_value().map(|it| it.get_name().to_owned());
            words.push(format!("--color-by {}", by.unwrap_or_default()));
        }
        words.extend(settings(self.global, quote));
        words.join(" ")
    }
}

fn option_of(format: &GraphFormat) -> Option<&'static str> {
    let options = [
        (format.dot, "dot"),
        (format.mermaid, "mermaid"),
        (format.json, "json"),
        (format.svg, "svg"),
        (format.html, "html"),
        (format.bake, "bake"),
        (format.compose, "compose"),
    ];
    options.into_iter().find(|(is_given, _)| *is_given).map(|(_, option)| option)
}
