//! The wording of counts, lists, and command lines, and the closest match among several names.
//!
//! Owns small pieces of English that messages share.

use super::screen::{is_unseen, visible};

/// Formats a count with its noun: `1 image`, `2 images`.
pub fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Formats a list of names: `` `a` ``, `` `a` and `b` ``, `` `a`, `b` and `c` ``.
pub fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> =
        items.into_iter().map(|item| format!("`{}`", visible(item.as_ref()))).collect();
    and(&items)
}

/// Joins items: `a`, `a and b`, `a, b and c`.
pub fn and(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Quotes a word for a POSIX shell, if necessary.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "+-_./:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes a word for a POSIX shell, with line breaks replaced by spaces.
pub fn inline_shell_word(word: &str) -> String {
    // U+2028 and U+2029 end a line in some formats.
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let word: String = word.chars().map(|c| if is_break(c) { ' ' } else { c }).collect();
    shell_word(&word)
}

/// Quotes a word for a shell so that all its characters are visible: with `$'…'` if one would be invisible, or would
/// move others.
pub fn visible_shell_word(word: &str) -> String {
    if !word.chars().any(is_unseen) {
        return shell_word(word);
    }
    let mut text = String::from("$'");
    for character in word.chars() {
        match character {
            '\\' | '\'' => text.extend(['\\', character]),
            character if is_unseen(character) => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    text.push_str(&format!("\\{byte:03o}"));
                }
            }
            character => text.push(character),
        }
    }
    text.push('\'');
    text
}

/// Returns the candidate that was probably meant by `name`, if one is close enough.
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance > 0 && *distance <= limit && *distance < candidate.chars().count()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns a "did you mean" question for the closest candidate, if one is close enough.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    closest(name, candidates).map(|near| format!("did you mean `{near}`?"))
}

/// Whether the part of an image name before the first `/` is a registry. It is one if it cannot be the first
/// part of a repository's name (distribution/reference, `splitDockerDomain`).
pub fn names_registry(first: &str) -> bool {
    first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase)
}

/// Converts `NodeChrome` and `node_chrome` to `node-chrome`.
pub fn kebab(text: &str) -> String {
    let mut kebab = String::new();
    let mut before: Option<char> = None;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let starts_word = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    || (before.is_uppercase()
                        && characters.peek().is_some_and(|next| next.is_lowercase()))
            });
        before = Some(character);
        if matches!(character, '_' | ' ') {
            kebab.push('-');
            continue;
        }
        if starts_word {
            kebab.push('-');
        }
        kebab.extend(character.to_lowercase());
    }
    kebab
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lists_are_formatted_in_english() {
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(0, "image"), "0 images");
        assert_eq!(list(["a"]), "`a`");
        assert_eq!(list(["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(list::<&str>([]), "");
    }

    #[test]
    fn shell_words_are_quoted_on_one_line() {
        let check = |word: &str, expected: &str| assert_eq!(inline_shell_word(word), expected);
        check("+docker/base", "+docker/base");
        check("dev-*", "'dev-*'");
        check("it's", r"'it'\''s'");
        check("a\nb\u{85}c\u{2028}d", "'a b c d'");
        check("", "''");
    }

    #[test]
    fn the_closest_name_is_similar_but_not_identical() {
        let check = |name, expected| {
            assert_eq!(closest(name, ["base", "builder", "dev"]), expected, "{name}");
        };
        check("bsae", Some("base"));
        check("bulider", Some("builder"));
        check("base", None);
        check("nothing", None);
        check("de", Some("dev"));
        check("x", None);
    }

    #[test]
    fn names_are_converted_to_kebab_case() {
        for (text, expected) in [
            ("NodeChrome", "node-chrome"),
            ("EventBus", "event-bus"),
            ("HTTPServer", "http-server"),
            ("node_base", "node-base"),
            ("already-so", "already-so"),
            ("Python3Base", "python3-base"),
        ] {
            assert_eq!(kebab(text), expected);
        }
    }
}
