//! The options of `layers graph` as they are typed again.
//!
//! Owns the command line that hints and headers show.

use clap::ValueEnum;

use crate::cli::{Global, Graph as Options, GraphFormat};

/// What was said on the command line.
#[derive(Clone, Copy)]
pub struct Said<'a> {
    pub options: &'a Options,
    pub global: &'a Global,
    /// The format, where it is known otherwise than by an option.
    pub format: Option<&'a str>,
}

impl Said<'_> {
    /// `layers graph` with the options that say what is drawn.
    pub fn command(&self) -> String {
        let mut words = vec!["layers graph".to_owned()];
        words.extend(self.format.or(option_of(&self.options.format)).map(|it| format!("--{it}")));
        words.extend(self.options.focus.iter().map(|image| format!("--focus {}", quote(image))));
        if self.options.reduce {
            words.push("--reduce".to_owned());
        }
        if let Some(by) = self.options.color_by {
            let by = by.to_possible_value().map(|it| it.get_name().to_owned());
            words.push(format!("--color-by {}", by.unwrap_or_default()));
        }
        words.extend(self.settings());
        words.join(" ")
    }

    /// The options of all commands that change what is drawn.
    fn settings(&self) -> Vec<String> {
        let Global {
            directory: _,
            build_args,
            platform,
            target,
            namespace,
            app,
            tags,
            registry: _,
        } = self.global;
        let said =
            [("platform", platform), ("target", target), ("namespace", namespace), ("app", app)];
        let arguments = build_args.iter().map(|it| ("build-arg", it));
        let said = said.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let said = arguments.chain(said).chain(tags.iter().map(|it| ("tag", it)));
        said.map(|(name, value)| format!("--{name} {}", quote(value))).collect()
    }
}

fn option_of(format: &GraphFormat) -> Option<&'static str> {
    let options = [
        (format.dot, "dot"),
        (format.mermaid, "mermaid"),
        (format.json, "json"),
        (format.svg, "svg"),
        (format.html, "html"),
        (format.bake, "bake"),
        (format.compose, "compose"),
    ];
    options.into_iter().find(|(is_given, _)| *is_given).map(|(_, option)| option)
}

/// A word as a shell takes it, on one line.
fn quote(word: &str) -> String {
    let word: String = word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let is_plain = |c: char| c.is_alphanumeric() || "+-_./:@%,=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn words_are_quoted_for_a_shell() {
        let check = |word: &str, expected: &str| assert_eq!(quote(word), expected);
        check("+docker/base", "+docker/base");
        check("dev-*", "'dev-*'");
        check("it's", r"'it'\''s'");
        check("a\nb", "'a b'");
        check("", "''");
    }
}
