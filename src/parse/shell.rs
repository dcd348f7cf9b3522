//! The shell lexer: quotes, escapes, and every form of `$V`.
//!
//! Owns the reading of words. It does not split instructions; `heredoc` uses its word splitting.
//!
//! The rules are those of moby/buildkit `frontend/dockerfile/shell`. As in BuildKit, a nested
//! `${…}` makes the word splitter discard what it has collected of the current word.

use std::sync::LazyLock;

use regex::Regex;

use super::expand::{ExpandError, NoVariables, Variables};
use super::pattern;

/// The maximum nesting of `${A:-${B:-…}}`: far more than real files need, and far less than what
/// overflows a thread's stack.
const DEPTH: usize = 128;
/// The maximum number of bytes by which an expansion may exceed the length of its word: what Linux
/// accepts for one environment variable. It limits forty repetitions of `ARG A=$A$A`.
const GROWTH: usize = 128 * 1024;

/// Splits a line into shell words. The flags `raw_quotes` and `raw_escapes` keep quotes and
/// escapes; the terminator of a here-document is read without them. Variables remain as written.
pub(super) fn shell_words(
    line: &str,
    raw_quotes: bool,
    raw_escapes: bool,
) -> Result<Vec<String>, ExpandError> {
    let mode = Mode { raw_quotes, keep_unset: true, ..Mode::WORD };
    let mut lexer = ShellLexer::new(line, mode, &NoVariables);
    lexer.raw_escapes = raw_escapes;
    lexer.splitting = true;
    lexer.run(None, raw_escapes)?;
    let mut words = lexer.words;
    if !lexer.buffer.is_empty() {
        words.push(lexer.buffer);
    }
    Ok(words)
}

/// The parts of a text that the lexer leaves as they are.
#[derive(Clone, Copy)]
pub(super) struct Mode {
    pub(super) escape: char,
    /// Quotes group words, but remain in the text.
    pub(super) raw_quotes: bool,
    /// Quotes are ordinary text.
    pub(super) keep_quotes: bool,
    /// Variables that are not set remain as written.
    pub(super) keep_unset: bool,
}

impl Mode {
    /// The mode for a word of an instruction.
    pub(super) const WORD: Mode =
        Mode { escape: '\\', raw_quotes: false, keep_quotes: false, keep_unset: false };
}

/// The state of the lexer.
pub(super) struct ShellLexer<'a> {
    rest: &'a str,
    mode: Mode,
    variables: &'a dyn Variables,
    raw_escapes: bool,
    depth: usize,
    /// The number of bytes by which results may still grow.
    budget: usize,
    splitting: bool,
    words: Vec<String>,
    /// The word that is being collected.
    buffer: String,
    in_word: bool,
}

impl<'a> ShellLexer<'a> {
    pub(super) fn new(text: &'a str, mode: Mode, variables: &'a dyn Variables) -> ShellLexer<'a> {
        ShellLexer {
            // BuildKit's scanner drops a byte-order mark.
            rest: text.strip_prefix('\u{feff}').unwrap_or(text),
            mode,
            variables,
            raw_escapes: false,
            depth: 0,
            budget: GROWTH + text.len().saturating_mul(DEPTH),
            splitting: false,
            words: Vec::new(),
            buffer: String::new(),
            in_word: false,
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    /// Reads up to `stop`, or to the end if it is `None`, and returns the expanded text.
    pub(super) fn run(
        &mut self,
        stop: Option<char>,
        raw_escapes: bool,
    ) -> Result<String, ExpandError> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let result = self.read_until(stop);
        self.raw_escapes = outer;
        let result = result?;
        self.budget = self.budget.checked_sub(result.len()).ok_or(ExpandError::Limit)?;
        Ok(result)
    }

    fn read_until(&mut self, stop: Option<char>) -> Result<String, ExpandError> {
        let outermost = stop.is_none();
        let mut result = String::new();
        while let Some(c) = self.peek() {
            if stop == Some(c) {
                self.next();
                return Ok(result);
            }
            match c {
                '\'' | '"' if !self.mode.keep_quotes => {
                    let start = result.len();
                    match c {
                        '"' => self.double_quoted(&mut result)?,
                        _ => self.single_quoted(&mut result)?,
                    }
                    self.split_raw(outermost, &result[start..]);
                }
                '$' => {
                    let start = result.len();
                    self.dollar(&mut result)?;
                    self.split_text(outermost, &result[start..]);
                }
                '<' => {
                    let sign = self.less_than();
                    self.split_raw(outermost, sign);
                    result.push_str(sign);
                }
                _ => self.plain(outermost, &mut result),
            }
            if result.len() > self.budget {
                return Err(ExpandError::Limit);
            }
        }
        // The caller that passed `stop` corrects this error if something other than a brace is
        // missing.
        if outermost { Ok(result) } else { Err(ExpandError::MissingBrace) }
    }

    /// Reads one ordinary character, or an escape and the character that it escapes.
    fn plain(&mut self, outermost: bool, result: &mut String) {
        let Some(c) = self.next() else { return };
        let mut utf8 = [0; 4];
        if c != self.mode.escape {
            self.split_text(outermost, c.encode_utf8(&mut utf8));
            result.push(c);
            return;
        }
        if self.raw_escapes {
            self.split_raw(outermost, c.encode_utf8(&mut utf8));
            result.push(c);
        }
        if let Some(escaped) = self.next() {
            self.split_raw(outermost, escaped.encode_utf8(&mut utf8));
            result.push(escaped);
        }
    }

    fn single_quoted(&mut self, result: &mut String) -> Result<(), ExpandError> {
        self.next();
        let end = self.rest.find('\'').ok_or(ExpandError::Unclosed('\''))?;
        let quoted = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        let sign = if self.mode.raw_quotes { "'" } else { "" };
        result.extend([sign, quoted, sign]);
        Ok(())
    }

    fn double_quoted(&mut self, result: &mut String) -> Result<(), ExpandError> {
        self.next();
        if self.mode.raw_quotes {
            result.push('"');
        }
        loop {
            match self.peek().ok_or(ExpandError::Unclosed('"'))? {
                '"' => {
                    self.next();
                    if self.mode.raw_quotes {
                        result.push('"');
                    }
                    return Ok(());
                }
                '$' => {
                    self.dollar(result)?;
                    if result.len() > self.budget {
                        return Err(ExpandError::Limit);
                    }
                }
                c => {
                    self.next();
                    let mut shown = c;
                    if c == self.mode.escape {
                        if self.raw_escapes {
                            result.push(c);
                        }
                        match self.peek() {
                            None => continue,
                            // Within quotes, only these characters can be escaped. Before any other
                            // character, the escape is ordinary text.
                            Some(next) if matches!(next, '"' | '$') || next == c => {
                                self.next();
                                shown = next;
                            }
                            Some(_) => {}
                        }
                    }
                    result.push(shown);
                }
            }
        }
    }

    /// Reads `<`, or `<<` with the blanks after it. Neither ends a word.
    fn less_than(&mut self) -> &'a str {
        let text = self.rest;
        self.next();
        if self.peek() == Some('<') {
            self.next();
            self.rest = self.rest.trim_start_matches(['\t', '\r', ' ']);
        }
        &text[..text.len() - self.rest.len()]
    }

    /// Reads a `$` and the rest of its expression.
    fn dollar(&mut self, result: &mut String) -> Result<(), ExpandError> {
        let start = self.rest;
        self.next();
        if self.peek() != Some('{') {
            let name = self.name();
            match self.variables.value(name) {
                _ if name.is_empty() => result.push('$'),
                Some(value) => result.push_str(value),
                None if self.mode.keep_unset => {
                    result.push_str(&start[..start.len() - self.rest.len()]);
                }
                None => {}
            }
            return Ok(());
        }
        self.next();
        match self.peek() {
            None => return Err(ExpandError::MissingBrace),
            Some('{' | '}' | ':') => return Err(ExpandError::BadSubstitution),
            Some(_) => {}
        }
        let name = self.name();
        let sign = self.next();
        match sign {
            Some('}') => {
                match self.variables.value(name) {
                    Some(value) => result.push_str(value),
                    None if self.mode.keep_unset => result.extend(["${", name, "}"]),
                    None => {}
                }
                Ok(())
            }
            Some(':') => {
                let sign = self.next();
                self.modified(name, sign, true, result)
            }
            Some('+' | '-' | '?' | '#' | '%') => self.modified(name, sign, false, result),
            Some('/') => self.replaced(name, result),
            Some(sign) => Err(ExpandError::Modifier(sign.to_string())),
            None => Err(ExpandError::MissingBrace),
        }
    }

    /// Reads the word within `${…}` up to `stop`.
    fn nested(&mut self, stop: char, raw_escapes: bool) -> Result<String, ExpandError> {
        if self.depth == DEPTH {
            return Err(ExpandError::Limit);
        }
        self.depth += 1;
        // BuildKit shares this buffer with the outer word, which therefore loses its beginning.
        self.buffer.clear();
        let word = self.run(Some(stop), raw_escapes);
        self.depth -= 1;
        match word {
            Err(ExpandError::MissingBrace) if stop == '/' => Err(ExpandError::MissingSlash),
            word => word,
        }
    }

    /// Reads the rest of `${V:-w}` and similar forms, from after the sign.
    fn modified(
        &mut self,
        name: &str,
        sign: Option<char>,
        colon: bool,
        result: &mut String,
    ) -> Result<(), ExpandError> {
        let signs = || [colon.then_some(':'), sign].into_iter().flatten().collect::<String>();
        let raw_escapes = matches!(sign, Some('#' | '%'));
        if colon && raw_escapes {
            return Err(ExpandError::Modifier(signs()));
        }
        let word = self.nested('}', raw_escapes)?;
        let value = self.variables.value(name);
        if value.is_none() && self.mode.keep_unset {
            result.push_str(&format!("${{{name}{}{word}}}", signs()));
            return Ok(());
        }
        let filled = value.filter(|value| !(colon && value.is_empty()));
        match sign {
            Some('-') => result.push_str(filled.unwrap_or(&word)),
            Some('+') => result.push_str(if filled.is_some() { &word } else { "" }),
            Some('?') => match filled {
                Some(value) => result.push_str(value),
                None => {
                    let unsaid = if value.is_none() { "unset" } else { "empty" };
                    let unsaid = format!("is not allowed to be {unsaid}");
                    let message = if word.is_empty() { unsaid } else { word };
                    return Err(ExpandError::Required { name: name.to_owned(), message });
                }
            },
            Some(sign @ ('#' | '%')) => {
                // A repeated sign removes the longest match instead of the shortest.
                let (word, longest) =
                    word.strip_prefix(sign).map_or((word.as_str(), false), |word| (word, true));
                let value = value.unwrap_or_default();
                let cut = if sign == '#' { pattern::cut_prefix } else { pattern::cut_suffix };
                let rest = cut(word, value, longest);
                result.push_str(&rest.map_err(|_| ExpandError::Pattern(word.to_owned()))?);
            }
            _ => return Err(ExpandError::Modifier(signs())),
        }
        Ok(())
    }

    /// Reads the rest of `${V/pattern/word}` or `${V//pattern/word}`, from after the first `/`.
    fn replaced(&mut self, name: &str, result: &mut String) -> Result<(), ExpandError> {
        let all = self.peek() == Some('/');
        if all {
            self.next();
        }
        let pattern = self.nested('/', true)?;
        let word = self.nested('}', true)?;
        match self.variables.value(name) {
            None if self.mode.keep_unset => {
                result.push_str(&format!("${{{name}/{pattern}/{word}}}"));
            }
            value => {
                let replaced = pattern::replace(&pattern, value.unwrap_or_default(), &word, all);
                result.push_str(&replaced.map_err(|_| ExpandError::Pattern(pattern))?);
            }
        }
        Ok(())
    }

    /// Reads the name after `$`: letters, digits, and `_`; digits only; or one special character.
    fn name(&mut self) -> &'a str {
        let text = self.rest;
        let length = match self.peek() {
            // The shell has `0` as a special name, but digits are read first.
            Some(c) if is_digit(c) => text.find(|c| !is_digit(c)),
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => Some(1),
            _ => text.find(|c| !(c == '_' || is_digit(c) || is_letter(c))),
        };
        let (name, rest) = text.split_at(length.unwrap_or(text.len()));
        self.rest = rest;
        name
    }

    /// Adds to the word that is being collected. Blanks end it.
    fn split_text(&mut self, outermost: bool, text: &str) {
        if !(self.splitting && outermost) {
            return;
        }
        for c in text.chars() {
            if !c.is_whitespace() {
                self.buffer.push(c);
                self.in_word = true;
            } else if self.in_word && !self.buffer.is_empty() {
                self.words.push(std::mem::take(&mut self.buffer));
                self.in_word = false;
            }
        }
    }

    /// Adds to the word that is being collected, including blanks.
    fn split_raw(&mut self, outermost: bool, text: &str) {
        if self.splitting && outermost {
            self.buffer.push_str(text);
            self.in_word = true;
        }
    }
}

/// Returns whether Go's `unicode.IsLetter` accepts the character.
fn is_letter(c: char) -> bool {
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{L}$").ok());
    c.is_ascii_alphabetic() || (!c.is_ascii() && is_of_class(&LETTER, c))
}

/// Returns whether Go's `unicode.IsDigit` accepts the character.
fn is_digit(c: char) -> bool {
    static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\p{Nd}$").ok());
    c.is_ascii_digit() || (!c.is_ascii() && is_of_class(&DIGIT, c))
}

fn is_of_class(class: &Option<Regex>, c: char) -> bool {
    class.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}
