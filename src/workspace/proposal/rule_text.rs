//! How naming rules are written in `layers.toml`.
//!
//! Owns the names of images that rules apply to, and the placeholders and captures of their templates. `wording` owns the
//! rest of the file.

use std::collections::{BTreeMap, HashSet};

use crate::base::RelPath;
use crate::graph::images::templates::{PROPOSALS, is_name, name_by};

use super::path_group::{Filter, PathPart, SplitPath};
use super::reference_template::ReferenceTemplate;
use super::rules::NamingRule;

/// The settings of one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RuleText {
    /// The glob, unless there is a pattern.
    pub(super) glob: String,
    pub(super) pattern: Option<String>,
    /// The template for names, or empty for the default.
    pub(super) name: String,
    pub(super) references: Vec<String>,
    /// The names of the images, by Dockerfile.
    pub(super) names: BTreeMap<usize, String>,
}

impl RuleText {
    /// Writes a rule whose glob finds the Dockerfiles `found`. The names of their images differ from those in `used`. Returns
    /// `None` if that is not possible.
    pub(super) fn of(
        rule: &NamingRule,
        found: &[usize],
        paths: &[RelPath],
        directory: &str,
        used: &HashSet<String>,
    ) -> Option<RuleText> {
        let captures = Captures::of(rule);
        let own: Vec<String> = captures.name_templates(rule);
        let proposals = PROPOSALS.into_iter().map(str::to_owned);
        let mut templates =
            proposals.map(|it| (it, false)).chain(own.into_iter().map(|it| (it, true)));
        let (name, names) = templates.find_map(|(template, is_own)| {
            let mut seen = HashSet::new();
            let mut names = BTreeMap::new();
            for at in found {
                let name = match is_own {
                    true => captures.fill(&template, &SplitPath::of(&paths[*at])),
                    false => name_by(&template, &paths[*at], directory),
                };
                let name = name.filter(|name| is_name(name) && !used.contains(name))?;
                seen.insert(name.clone()).then_some(())?;
                names.insert(*at, name);
            }
            Some((template, names))
        })?;
        let templates = std::iter::once(&rule.template).chain(&rule.second);
        let references: Vec<String> = templates
            .map(|it| it.write(&|part, filter| captures.placeholder(part, filter)))
            .collect();
        let uses_captures = references.iter().chain([&name]).any(|it| captures.occur_in(it));
        let pattern = uses_captures.then(|| rule.group.pattern(&|levels| captures.name(levels)));
        Some(RuleText { glob: rule.group.glob(), pattern, name, references, names })
    }
}

/// The captures of a pattern: directories more than two levels up, which have no placeholder.
struct Captures {
    levels: Vec<usize>,
}

impl Captures {
    fn of(rule: &NamingRule) -> Captures {
        let mut levels: Vec<usize> = Vec::new();
        let second = rule.second.iter().flat_map(ReferenceTemplate::parts);
        for part in rule.template.parts().into_iter().chain(second) {
            if let PathPart::Above(above) = part
                && above > 2
                && !levels.contains(&above)
            {
                levels.push(above);
            }
        }
        levels.sort_unstable_by_key(|above| std::cmp::Reverse(*above));
        Captures { levels }
    }

    fn name(&self, levels: usize) -> Option<String> {
        let at = self.levels.iter().position(|it| *it == levels)?;
        let letter = u8::try_from(at).ok().map(|at| char::from(b'a' + at % 26))?;
        Some(letter.to_string())
    }

    fn placeholder(&self, part: PathPart, filter: Filter) -> String {
        let name = match part {
            PathPart::Above(1) => "dir".to_owned(),
            PathPart::Above(2) => "parent".to_owned(),
            PathPart::Above(levels) => self.name(levels).unwrap_or_default(),
            PathPart::Stem => "stem".to_owned(),
        };
        format!("{{{name}{}}}", filter.suffix())
    }

    fn occur_in(&self, template: &str) -> bool {
        self.levels.iter().any(|levels| {
            Filter::ALL
                .into_iter()
                .any(|it| template.contains(&self.placeholder(PathPart::Above(*levels), it)))
        })
    }

    /// Returns templates for names from the parts that the references are made from.
    fn name_templates(&self, rule: &NamingRule) -> Vec<String> {
        let joined = |filter: Filter| {
            let parts = rule.template.parts().into_iter();
            let parts: Vec<String> = parts.map(|part| self.placeholder(part, filter)).collect();
            parts.join("-")
        };
        vec![joined(Filter::None), joined(Filter::Kebab)]
    }

    fn fill(&self, template: &str, path: &SplitPath) -> Option<String> {
        let mut text = template.to_owned();
        for (part, value) in path.values() {
            for filter in Filter::ALL {
                if matches!(part, PathPart::Above(levels) if levels > 2 && self.name(levels).is_none())
                {
                    continue;
                }
                text = text.replace(&self.placeholder(part, filter), &filter.apply(value));
            }
        }
        (!text.contains('{')).then_some(text)
    }
}
