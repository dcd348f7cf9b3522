//! Expands any word. Checks that nothing panics, that the result has a limited size, and that plain words stay
//! unchanged.
//!
//! The first line of the input is the word. The other lines are the values of the variables A, B, C, ….

#![no_main]

use layers::parse::expand::{Variables, expand, expand_body};
use libfuzzer_sys::fuzz_target;

/// Twice the limit of the expansion.
const LIMIT: usize = 256 * 1024;

struct Values<'a>(Vec<&'a str>);

impl Variables for Values<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        let [letter @ b'A'..=b'Z'] = name.as_bytes() else { return None };
        self.0.get(usize::from(letter - b'A')).copied()
    }
}

fuzz_target!(|input: &str| {
    let mut lines = input.split('\n');
    let word = lines.next().unwrap_or_default();
    let values = Values(lines.collect());
    for escape in ['\\', '`'] {
        if let Ok(text) = expand(word, escape, &values) {
            assert!(text.len() <= LIMIT + word.len() * 256, "{} bytes", text.len());
            if !word.contains(['$', '\'', '"', '\u{feff}', escape]) {
                assert_eq!(text, word);
            }
        }
    }
    if let Ok(text) = expand_body(word, &values) {
        assert!(text.len() <= LIMIT + word.len() * 256, "{} bytes", text.len());
    }
});
