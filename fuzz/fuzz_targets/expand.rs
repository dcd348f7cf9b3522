//! Any word is expanded: nothing panics, nothing grows without bound, plain words stay.
//!
//! The first line of the input is the word; each further line sets the variable A, B, C, ….

#![no_main]

use layers::parse::expand::{Variables, expand, expand_body};
use libfuzzer_sys::fuzz_target;

/// Twice what the expansion says that it allows.
const MOST: usize = 256 * 1024;

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
            assert!(text.len() <= MOST + word.len() * 256, "{} bytes", text.len());
            if !word.contains(['$', '\'', '"', '\u{feff}', escape]) {
                assert_eq!(text, word);
            }
        }
    }
    if let Ok(text) = expand_body(word, &values) {
        assert!(text.len() <= MOST + word.len() * 256, "{} bytes", text.len());
    }
});
