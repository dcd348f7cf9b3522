//! Colors of the output.
//!
//! Owns the decision whether to use colors, and the few styles in use. `NO_COLOR` (<https://no-color.org>)
//! and `TERM=dumb` disable colors, `CLICOLOR_FORCE` enables them, and otherwise they are used on a terminal.

use annotate_snippets::Renderer;
use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

/// Applies styles to text, or returns it unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    colored: bool,
}

/// The color settings of the environment.
#[derive(Debug, Clone, Copy, Default)]
pub struct ColorSettings {
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set to something other than `0`.
    pub force: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
}

impl Paint {
    /// Returns the paint for a stream, based on the environment and whether the stream is a terminal.
    pub fn new(wish: ColorSettings, is_terminal: bool) -> Paint {
        Paint { colored: !wish.no_color && (wish.force || is_terminal && !wish.dumb) }
    }

    /// Returns a paint without colors.
    pub const fn plain() -> Paint {
        Paint { colored: false }
    }

    /// Whether colors are enabled.
    pub fn is_colored(self) -> bool {
        self.colored
    }

    /// Returns the renderer for snippets of files.
    pub(super) fn renderer(self) -> Renderer {
        if self.colored { Renderer::styled() } else { Renderer::plain() }
    }

    fn with(self, style: Style, text: &str) -> Cow<'_, str> {
        if self.colored { format!("{style}{text}{style:#}").into() } else { text.into() }
    }

    /// Styles a success.
    pub fn good(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// Styles a failure.
    pub fn bad(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    /// Styles a warning.
    pub fn careful(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// Styles important text.
    pub fn strong(self, text: &str) -> Cow<'_, str> {
        self.with(Style::new().bold(), text)
    }

    /// Styles less important text.
    pub fn faint(self, text: &str) -> Cow<'_, str> {
        self.with(Style::new().dimmed(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_depend_on_the_environment_and_the_terminal() {
        let check = |no_color, force, dumb, is_terminal, expected| {
            let paint = Paint::new(ColorSettings { no_color, force, dumb }, is_terminal);
            assert_eq!(paint.colored, expected);
        };
        check(false, false, false, true, true);
        check(false, false, false, false, false);
        check(false, true, false, false, true);
        check(true, true, false, true, false);
        check(false, false, true, true, false);
        assert_eq!(Paint::plain().bad("x"), "x");
    }
}
