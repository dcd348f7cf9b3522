//! Tests that values are found wherever a reader could reassemble them, and that nothing else is masked.

use super::*;

fn mask(values: &[&str]) -> Mask {
    Mask::new(values.iter().map(|value| value.as_bytes())).unwrap()
}

fn check(values: &[&str], text: &str, expected: &str) {
    assert_eq!(mask(values).hide_in(text.to_owned()), expected, "{values:?}: {text:?}");
}

#[test]
fn secret_values_are_masked_anywhere_in_a_line() {
    check(&[], "hunter2", "hunter2");
    check(&["hunter2"], "hunter2", "***");
    check(&["hunter2"], "a hunter2, hunter2hunter2.", "a ***, ***.");
    check(&["hunter2"], "hunter", "hunter");
    check(&[" hunter2 \r\n"], "<hunter2>", "<***>");
    check(&["one1\ntwo2\n\nxyz1"], "one1 x two2", "*** x ***");
    // Values that are too short to be secrets are not masked.
    check(&["abc", "}"], "abc }", "abc }");
    check(&["abcd"], "abcd", "***");
    // One value inside another, and two that overlap.
    check(&["abcd", "abcdefgh"], "abcdefgh abcd", "*** ***");
    check(&["abcd", "cdef"], "abcdef", "***");
    check(&["pä55"], "é pä55 é", "é *** é");
}

#[test]
fn values_split_by_invisible_characters_are_masked() {
    let values = ["password"];
    for between in [
        "\x1b[31m",
        "\x1b[0m\x1b[1;4m",
        "\u{9b}31m",
        "\x1b]0;title\x07",
        "\x1b]8;;https://x\x1b\\",
        "\u{9d}0;title\u{9c}",
        "\x1bP1;2q\x1b\\",
        "\x1b(B",
        "\t",
        "\0",
        "\x7f",
        "\x07",
        "\u{85}",
        "\u{200b}",
        "\u{200d}\u{2060}",
        "\u{feff}",
        "\u{ad}",
        "\u{202e}",
        "\u{2028}",
        "\u{e0041}",
        "\r",
    ] {
        check(&values, &format!("<pa{between}ss{between}word>"), "<***>");
        let all: String = "password".chars().map(|c| format!("{between}{c}")).collect();
        check(&values, &format!("a{all}b"), &format!("a{between}***b"));
    }
    // A value that itself contains such characters.
    check(&["pass\x1b[31m\tword"], "x pass\x1b[31m\tword x password", "x *** x ***");
}

#[test]
fn values_written_by_overwriting_text_are_masked() {
    let values = ["password"];
    check(&values, "a passx\x08word b\n", "***\n");
    check(&values, "passXXXX\x1b[4Dword", "***");
    check(&values, "XXXXword\rpass", "***");
    check(&values, "XXXXword\x1b[1Gpass", "***");
    check(&values, "p\x08pa\x08as\x08ss\x08sword", "***");
    // A verbatim value is masked without the rest of its line.
    check(&values, "10%\r20% password\r\n", "10%\r20% ***\r\n");
    check(&values, "passx\x08ing word", "passx\x08ing word");
}

#[test]
fn values_split_by_line_breaks_are_masked() {
    let letters: Vec<char> = ('a'..='z').collect();
    let value: String = (0..300).map(|it| letters[it * 7 % 26]).collect();
    for columns in [1, 7, 64, 76, 80, 299] {
        for (end, indent) in [("\n", ""), ("\r\n", ""), ("\n", "  "), ("\x1b[0m \n", "\t")] {
            let lines: Vec<&str> = value
                .as_bytes()
                .chunks(columns)
                .map(|line| std::str::from_utf8(line).unwrap())
                .collect();
            let wrapped = lines.join(&format!("{end}{indent}"));
            let shown = mask(&[&value]).hide_in(format!("<{wrapped}>\n"));
            for line in lines.iter().filter(|line| line.len() > 4) {
                assert!(!shown.contains(line), "{columns} {end:?}: {shown}");
            }
            assert!(shown.starts_with("<***") && shown.ends_with("***>\n"), "{shown}");
            assert_eq!(shown.lines().count(), lines.len(), "{shown}");
        }
    }
    // Wrapped at a blank of the value.
    let words = ["correct horse battery staple"];
    check(&words, "correct horse\nbattery staple", "***\n***");
    check(&words, "correct horse \n  battery\tstaple", "***\n***");
    check(&["a b c d"], "abcd", "abcd");
    // A value of several lines, wrapped at other positions.
    let key = "-----BEGIN KEY-----\nMIIabcdefgh\nijklmnop==\nxy\n-----END KEY-----\n";
    check(&[key], &format!("k: {key}"), "k: ***\n***\n***\n***\n***\n");
    check(&[key], "ijklmnop==", "***");
    check(&[key], "MIIabc\ndefghijklm\nnop==", "***\n***\n***");
    check(&["ab\ncd\nef\n"], "ab\ncd\nef ab\ncd", "***\n***\n*** ab\ncd");
}

#[test]
fn quoted_values_in_messages_are_masked() {
    check(
        &[r#"pa"ss\word"#],
        r#"process "echo pa\"ss\\word" failed"#,
        r#"process "echo ***" failed"#,
    );
}

/// Returns what a stream returns and when: the lines after each line that is added, and at the end.
fn flow(values: &[&str], lines: &[&str]) -> Vec<Vec<String>> {
    let mut stream = MaskStream::new(mask(values));
    let mut out = Vec::new();
    let take = |stream: &mut MaskStream| {
        let lines = std::iter::from_fn(|| stream.next_ready());
        lines.map(|line| String::from_utf8(line).unwrap()).collect::<Vec<_>>()
    };
    for line in lines {
        stream.feed(line.as_bytes().to_vec());
        out.push(take(&mut stream));
    }
    stream.finish();
    out.push(take(&mut stream));
    assert!(stream.is_empty());
    out
}

#[test]
fn only_possible_starts_of_values_are_buffered() {
    let check = |values: &[&str], lines: &[&str], expected: &[&[&str]]| {
        assert_eq!(flow(values, lines), expected, "{lines:?}");
    };
    let secret = &["hunter2"];
    check(secret, &["a\n", "b\n"], &[&["a\n"], &["b\n"], &[]]);
    check(secret, &["a hun\n", "ter2\n"], &[&[], &["a ***\n", "***\n"], &[]]);
    check(secret, &["a hun\n", "x\n"], &[&[], &["a hun\n", "x\n"], &[]]);
    check(secret, &["a hun\n"], &[&[], &["a hun\n"]]);
    // A line of a value is masked as soon as it is complete, regardless of what follows.
    let lines = &["one-one\ntwo-two\nxy"];
    check(lines, &["one-one\n", "two-two\n"], &[&["***\n"], &["***\n"], &[]]);
    // A piece of a line and the rest of it are one line.
    check(secret, &["a hun", "ter2 b\n"], &[&[], &["a ***", " b\n"], &[]]);
}

#[test]
fn buffered_output_is_limited() {
    let secret = mask(&["hunter2"]);
    let mut stream = MaskStream::new(secret);
    let (mut pending, mut most, mut out) = (0_usize, 0, Vec::new());
    for line in std::iter::once("a hun\n").chain(std::iter::repeat_n("\n", 200_000)) {
        stream.feed(line.as_bytes().to_vec());
        pending += line.len();
        while let Some(line) = stream.next_ready() {
            pending -= line.len().min(pending);
            out.push(line);
        }
        most = most.max(pending);
    }
    assert!(most < 100_000, "{most}");
    assert_eq!(out[0], b"a ***\n", "what may be the beginning of a value is hidden");
}

#[test]
fn repetitive_values_are_masked_completely() {
    let value = "a".repeat(20_000);
    let shown = mask(&[&value]).hide_in("a\n".repeat(50_000));
    assert!(shown.lines().all(|line| line == "***"), "{}", &shown[..40]);
    let shown = mask(&["abab"]).hide_in("ab".repeat(50_000));
    assert_eq!(shown, "***");
}
