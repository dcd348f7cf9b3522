//! Tags from templates such as `{git.branch}-{git.sha}`.
//!
//! Owns the conversion of git's names to parts of a tag. A character that is not allowed in a tag
//! becomes `-`, and one that is not allowed at its start becomes `_`. In a tag that is too long,
//! the values from git are shortened, so that a long branch name does not displace the commit after
//! it. It does not run git.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use crate::scan::config::{PlaceholderError, Template};

use super::reference::LONGEST_TAG;

/// Fills the placeholders of a tag. Literal text is kept unchanged, even if it is not valid in a
/// tag. Requests each value only once.
///
/// # Errors
/// Returns an error if a placeholder has no value, with its byte range in the template.
pub fn fill(
    template: &str,
    value: &dyn Fn(&str) -> Result<String, PlaceholderError>,
) -> Result<String, (Range<usize>, PlaceholderError)> {
    let parsed = Template::parse_tag(template);
    if !parsed.has_placeholders() {
        return parsed.fill(value);
    }
    let cache: RefCell<HashMap<String, String>> = RefCell::default();
    let part = |name: &str, most: usize| {
        let mut cache = cache.borrow_mut();
        if !cache.contains_key(name) {
            cache.insert(name.to_owned(), value(name)?.chars().map(allowed).collect());
        }
        let text = &cache[name];
        // All characters are ASCII.
        Ok(text[..most.min(text.len())].to_owned())
    };
    let mut most = LONGEST_TAG;
    let mut filled = loop {
        let filled = parsed.fill(&|name| part(name, most))?;
        if filled.len() <= LONGEST_TAG || most == 1 {
            break filled;
        }
        most -= 1;
    };
    let starts_badly = |text: &str| text.starts_with(['.', '-']);
    if starts_badly(&filled) && !starts_badly(template) {
        filled.replace_range(..1, "_");
    }
    Ok(filled)
}

fn allowed(character: char) -> char {
    let is_allowed = character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    if is_allowed { character } else { '-' }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::reference::is_tag;

    const SHA: &str = "0123456789ab";

    fn filled(template: &str, branch: &str) -> String {
        let value = |name: &str| match name {
            "git.branch" => Ok(branch.to_owned()),
            "git.sha" => Ok(SHA.to_owned()),
            _ => Err(PlaceholderError::unknown("placeholder", name, ["git.branch", "git.sha"])),
        };
        match fill(template, &value) {
            Ok(tag) => tag,
            Err((at, unfilled)) => {
                format!("{}: {}; {}", &template[at], unfilled.message, unfilled.hint)
            }
        }
    }

    #[test]
    fn characters_not_allowed_in_tags_are_replaced() {
        let check = |template, branch, expected: &str| {
            assert_eq!(filled(template, branch), expected, "{template} {branch}");
        };
        check("1.2", "", "1.2");
        check("-bad", "", "-bad");
        check("{git.branch}", "main", "main");
        check("{git.branch}", "feature/JIRA-1_x", "feature-JIRA-1_x");
        check("{git.branch:lower}", "Feature/X", "feature-x");
        check("v{git.branch}-{git.sha}", "über", "v-ber-0123456789ab");
        check("{git.branch}", "über", "_ber");
        check("{git.branch}", ".x", "_x");
        check("{git.branch}", "漢字", "_-");
        check("{git.branch:kebab}", "_x", "_x");
        check("-{git.branch}", "x", "-x");
        check(
            "{git.shaa}",
            "x",
            "{git.shaa}: unknown placeholder `git.shaa`; did you mean `git.sha`?",
        );
        check(
            "a{gti.sha}",
            "x",
            "{gti.sha}: unknown placeholder `gti.sha`; did you mean `git.sha`?",
        );
    }

    #[test]
    fn long_branch_names_are_truncated_but_the_commit_is_not() {
        let tag = filled("{git.branch}-{git.sha}", &"x".repeat(300));
        assert_eq!(tag, format!("{}-{SHA}", "x".repeat(LONGEST_TAG - 13)));
        // Literal text is never shortened.
        let long = "y".repeat(200);
        assert_eq!(filled(&format!("{long}{{git.branch}}"), "abc"), format!("{long}a"));
    }

    #[test]
    fn each_value_is_computed_once() {
        let calls = std::cell::Cell::new(0);
        let value = |_: &str| {
            calls.set(calls.get() + 1);
            Ok("x".repeat(300))
        };
        fill("{git.branch}-{git.branch}", &value).unwrap();
        assert_eq!(calls.get(), 1);
    }

    proptest! {
        #[test]
        fn every_branch_name_becomes_a_valid_tag(branch in "(?s).{1,300}") {
            for template in ["{git.branch}", "{git.branch:kebab}", "{git.branch:lower}.{git.branch}"] {
                let tag = filled(template, &branch);
                prop_assert!(is_tag(&tag), "{template} {branch:?}: {tag:?}");
            }
            let tag = filled("v{git.branch:kebab}-{git.sha}", &branch);
            prop_assert!(is_tag(&tag) && tag.ends_with(&format!("-{SHA}")), "{branch:?}: {tag:?}");
        }
    }
}
