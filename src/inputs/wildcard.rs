//! Wildcards in a path component of a `COPY` source: Go's `filepath.Match` without `/`.
//!
//! Owns that syntax: `*`, `?`, `[a-z]`, `[^a]`, and `\`. Docker's other wildcards, those in ignore files, are in
//! `scan::ignore_file`.

/// A name with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wildcard(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Wildcard {
    /// Parses a name; `None` if Go would reject it (a `[` that is not closed, …).
    pub fn new(text: &str) -> Option<Wildcard> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Star,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next()?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let low = class_char(&mut chars)?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => class_char(&mut chars)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Token::Class { negated, ranges }
                }
                c => Token::Char(c),
            });
        }
        Some(Wildcard(tokens))
    }

    /// Returns whether a text contains a wildcard or a backslash.
    pub fn is_in(text: &str) -> bool {
        text.contains(['*', '?', '[', '\\'])
    }

    /// Returns whether a name matches. Bytes that are not valid UTF-8 count as one character each.
    pub fn matches(&self, name: &[u8]) -> bool {
        let mut chars = Vec::with_capacity(name.len());
        for chunk in name.utf8_chunks() {
            chars.extend(chunk.valid().chars());
            chars.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
        }
        let (mut token, mut at) = (0, 0);
        // Where to continue if the tokens after the last star do not match: one character further on.
        let mut retry = None;
        while at < chars.len() || token < self.0.len() {
            match self.0.get(token) {
                Some(Token::Star) => {
                    retry = Some((token, at + 1));
                    token += 1;
                }
                Some(one) if chars.get(at).is_some_and(|c| one.takes(*c)) => {
                    token += 1;
                    at += 1;
                }
                _ => match retry {
                    Some((star, from)) if from <= chars.len() => (token, at) = (star, from),
                    _ => return false,
                },
            }
        }
        true
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Char(own) => *own == c,
            Token::Any => true,
            Token::Star => false,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn class_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `yes` and `no` are lists of names, separated by spaces.
    fn check(pattern: &str, yes: &str, no: &str) {
        let wildcard = Wildcard::new(pattern).unwrap();
        for (names, expected) in [(yes, true), (no, false)] {
            for name in names.split(' ').filter(|name| !name.is_empty()) {
                assert_eq!(wildcard.matches(name.as_bytes()), expected, "{pattern} on {name}");
            }
        }
    }

    #[test]
    fn wildcards_match_names() {
        check("a.txt", "a.txt", "a.tx a.txtx b.txt");
        check("*", "a .a é", "");
        check("a*.txt", "a.txt ab.txt a.txt.txt", "b.txt a.txt.tx");
        check("*a*b*", "ab xaxbx aab", "ba a b");
        check("a?c", "abc aéc", "ac abbc");
        check("**", "a ab", "");
        check("[ab]x", "ax bx", "cx abx");
        check("[^ab]", "c é", "a b");
        check("[a-c\\]]", "b ]", "d \\");
        check("[[]0]", "[0]", "0");
        check("[*]", "*", "a");
        check("\\d", "d", "7");
        check("\\*", "*", "a");
        check(&format!("{}b", "a*".repeat(40)), "", &"a".repeat(200));
    }

    #[test]
    fn invalid_utf8_bytes_match_as_characters() {
        assert!(Wildcard::new("a?b").unwrap().matches(b"a\xffb"));
        assert!(Wildcard::new("a*").unwrap().matches(b"a\xff\xfe"));
    }

    #[test]
    fn patterns_that_go_rejects_are_invalid() {
        for text in ["[", "[a", "[]", "[]a]", "[a-]", "[-a]", "a\\", "[a\\"] {
            assert_eq!(Wildcard::new(text), None, "{text}");
        }
    }
}
