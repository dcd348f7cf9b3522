//! Text from elsewhere stays code, and lists stay within their size limits.

use proptest::prelude::*;

use super::markdown::{code, names, short_reference, within};

#[test]
fn names_and_paths_are_formatted_as_code() {
    let check = |text: &str, expected: &str| assert_eq!(code(text), expected, "{text:?}");
    check("base", "`base`");
    check("docker/@scope/<b>/__init__.py", "`docker/@scope/<b>/__init__.py`");
    check("a|b", "<code>a&#124;b</code>");
    check("a`b c\\", "<code>a&#96;b c&#92;</code>");
    check("a\nb\u{1b}[31m\u{202e}c", "`abc`");
    check("", "(empty)");
    check(" \n", "(empty)");
    assert!(code(&"x".repeat(500)).len() < 130);
}

#[test]
fn long_lists_of_names_end_with_a_count() {
    assert_eq!(names(&["a"]), "`a`");
    assert_eq!(names(&["a", "b", "c"]), "`a`, `b` and `c`");
    let many: Vec<String> = (0..20).map(|number| format!("i{number}")).collect();
    assert_eq!(names(&many), "`i0`, `i1`, `i2`, `i3`, `i4`, `i5`, `i6`, `i7` and 12 more");
    assert_eq!(names(&many[..9]), "`i0`, `i1`, `i2`, `i3`, `i4`, `i5`, `i6`, `i7` and 1 more");
}

#[test]
fn digests_are_shortened() {
    let digest = "a".repeat(64);
    assert_eq!(short_reference(&format!("x:1@sha256:{digest}")), "x:1@sha256:aaaaaaaaaaaa…");
    assert_eq!(short_reference("x:1"), "x:1");
}

#[test]
fn rows_over_the_limit_are_counted() {
    let rows = ["| a |\n", "| b |\n", "| c |\n"].map(str::to_owned);
    assert_eq!(within(&rows, 18, "row", "`all`"), "| a |\n| b |\n| c |\n");
    assert_eq!(
        within(&rows, 17, "row", "`all`"),
        "| a |\n| b |\n\n… and 1 more row. `all` shows all.\n"
    );
    assert_eq!(within(&rows, 5, "row", "`all`"), "\n… and 3 more rows. `all` shows all.\n");
}

proptest! {
    /// A cell stays a single cell on one line, and its content has no effect on the Markdown around it.
    #[test]
    fn text_never_escapes_its_table_cell(text in "(?s).{0,200}") {
        let cell = code(&text);
        prop_assert!(!cell.contains(['\n', '\r', '|']), "{cell:?}");
        match cell.strip_prefix("<code>") {
            Some(rest) => {
                let inner = rest.strip_suffix("</code>").unwrap();
                prop_assert!(!inner.contains(['<', '>', '`', '*', '_', '[', '@', '\\']), "{cell:?}");
            }
            None if cell == "(empty)" => {}
            None => {
                let inner = cell.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')).unwrap();
                prop_assert!(!inner.is_empty() && !inner.contains(['`', '\\']), "{cell:?}");
            }
        }
    }
}
