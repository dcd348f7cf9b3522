//! Colours, where they are wanted.
//!
//! Owns the decision and the few styles in use. `NO_COLOR` (<https://no-color.org>) and
//! `TERM=dumb` switch colours off, `CLICOLOR_FORCE` switches them on, else a terminal has them.

use annotate_snippets::Renderer;
use std::borrow::Cow;

use anstyle::{AnsiColor, Style};

/// Puts styles around words, or leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    colored: bool,
}

/// What the environment says about colours.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// `NO_COLOR` is set to something.
    pub no_color: bool,
    /// `CLICOLOR_FORCE` is set to something other than `0`.
    pub force: bool,
    /// `TERM` is `dumb`.
    pub dumb: bool,
}

impl Paint {
    /// Colours for a stream that is a terminal or is not.
    pub fn new(wish: Wish, is_terminal: bool) -> Paint {
        Paint { colored: !wish.no_color && (wish.force || is_terminal && !wish.dumb) }
    }

    /// No colours.
    pub const fn plain() -> Paint {
        Paint { colored: false }
    }

    /// Whether there are colors.
    pub fn is_colored(self) -> bool {
        self.colored
    }

    /// What draws pieces of files.
    pub(super) fn renderer(self) -> Renderer {
        if self.colored { Renderer::styled() } else { Renderer::plain() }
    }

    fn with(self, style: Style, text: &str) -> Cow<'_, str> {
        if self.colored { format!("{style}{text}{style:#}").into() } else { text.into() }
    }

    /// What went well.
    pub fn good(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Green.on_default(), text)
    }

    /// What went wrong.
    pub fn bad(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Red.on_default().bold(), text)
    }

    /// What deserves a look.
    pub fn careful(self, text: &str) -> Cow<'_, str> {
        self.with(AnsiColor::Yellow.on_default(), text)
    }

    /// What matters.
    pub fn strong(self, text: &str) -> Cow<'_, str> {
        self.with(Style::new().bold(), text)
    }

    /// What matters less.
    pub fn faint(self, text: &str) -> Cow<'_, str> {
        self.with(Style::new().dimmed(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let check = |no_color, force, dumb, is_terminal, expected| {
            let paint = Paint::new(Wish { no_color, force, dumb }, is_terminal);
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
