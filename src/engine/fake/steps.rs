//! A minimal Dockerfile parser for the fake engine.
//!
//! Owns a parser that knows continuation lines, here-documents, and `FROM`, and little else of the language.

use crate::engine::BuildStep;

/// A stage with its instructions, beginning with `FROM`.
struct FakeStage {
    base: String,
    name: Option<String>,
    texts: Vec<String>,
}

fn stages(dockerfile: &str) -> Vec<FakeStage> {
    let mut stages: Vec<FakeStage> = Vec::new();
    for instruction in instructions(dockerfile) {
        if let Some((base, name)) = from(&instruction) {
            let (base, name) = (base.to_owned(), name.map(str::to_owned));
            stages.push(FakeStage { base, name, texts: Vec::new() });
        }
        if let Some(stage) = stages.last_mut() {
            stage.texts.push(instruction);
        }
    }
    stages
}

/// Returns one step per instruction, numbered within its stage.
pub(super) fn steps(dockerfile: &str) -> Vec<BuildStep> {
    let numbered =
        stages(dockerfile).into_iter().flat_map(|FakeStage { name: stage, texts, .. }| {
            let total = u32::try_from(texts.len()).unwrap_or(u32::MAX);
            let step =
                move |(number, text)| BuildStep { stage: stage.clone(), number, total, text };
            (1..).zip(texts).map(step)
        });
    numbered.collect()
}

/// Returns the images that `FROM` and `--from=` name, in source order.
pub(super) fn bases(dockerfile: &str) -> Vec<String> {
    let named = |instruction: &String| {
        let copied = || instruction.split_whitespace().find_map(|it| it.strip_prefix("--from="));
        from(instruction).map(|(base, _)| base).or_else(copied).map(str::to_owned)
    };
    instructions(dockerfile).iter().filter_map(named).collect()
}

/// Returns the base image at the bottom of the stages that the target, or the last stage, builds on, and the
/// instructions of those stages after their `FROM`, the lowest stage first.
pub(super) fn chain_of(dockerfile: &str, target: Option<&str>) -> Option<(String, Vec<String>)> {
    let stages = stages(dockerfile);
    let named = |name: &str| stages.iter().position(|stage| stage.name.as_deref() == Some(name));
    let mut at = target.and_then(named).or(stages.len().checked_sub(1))?;
    let mut chain = Vec::new();
    loop {
        let FakeStage { base, texts, .. } = &stages[at];
        chain.splice(..0, texts.iter().skip(1).cloned());
        match named(base) {
            // A stage can only build on an earlier one, so this loop ends.
            Some(below) if below < at => at = below,
            _ => return Some((base.clone(), chain)),
        }
    }
}

/// Returns whether an instruction leaves no history entry.
pub(super) fn is_trigger(instruction: &str) -> bool {
    instruction.split_whitespace().next().is_some_and(|it| it.eq_ignore_ascii_case("onbuild"))
}

/// Returns the labels that an instruction sets.
pub(super) fn labels(instruction: &str) -> Vec<(String, String)> {
    let mut words = instruction.split_whitespace();
    if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("label")) {
        return Vec::new();
    }
    let pairs = words.filter_map(|word| word.split_once('='));
    let bare = |text: &str| text.trim_matches(['"', '\'']).to_owned();
    pairs.map(|(name, value)| (bare(name), bare(value))).collect()
}

/// Returns the triggers that the `ONBUILD` instructions leave to a child.
pub(super) fn on_build(dockerfile: &str) -> Vec<String> {
    let trigger = |text: &String| {
        let (word, rest) = text.split_once(' ')?;
        word.eq_ignore_ascii_case("onbuild").then(|| rest.trim().to_owned())
    };
    instructions(dockerfile).iter().filter_map(trigger).collect()
}

fn instructions(dockerfile: &str) -> Vec<String> {
    let mut instructions = Vec::new();
    let mut open = String::new();
    let mut lines = dockerfile.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        open.push_str(line.strip_suffix('\\').unwrap_or(line).trim_end());
        if line.ends_with('\\') {
            open.push(' ');
        } else {
            for end in heredocs(&open) {
                // The lines of a here-document are not instructions.
                lines.by_ref().find(|line| line.trim_start_matches('\t') == end);
            }
            instructions.push(std::mem::take(&mut open));
        }
    }
    instructions.extend(Some(open.trim_end().to_owned()).filter(|open| !open.is_empty()));
    instructions
}

/// Returns the delimiters of an instruction's here-documents, in order.
fn heredocs(instruction: &str) -> Vec<&str> {
    let mut words = instruction.split_whitespace();
    let is_open = |word: &str| {
        ["copy", "add", "run", "onbuild"].iter().any(|it| word.eq_ignore_ascii_case(it))
    };
    if !words.next().is_some_and(is_open) {
        return Vec::new();
    }
    let ends = words.filter_map(|word| word.strip_prefix("<<"));
    let bare = ends.map(|end| end.trim_start_matches('-').trim_matches(['"', '\'']));
    bare.filter(|end| !end.is_empty()).collect()
}

/// Returns the base and the name in a `FROM`.
fn from(instruction: &str) -> Option<(&str, Option<&str>)> {
    let mut words = instruction.split_whitespace();
    words.next().filter(|word| word.eq_ignore_ascii_case("from"))?;
    let mut words = words.skip_while(|word| word.starts_with("--"));
    let base = words.next()?;
    let named = words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"));
    Some((base, words.next().filter(|_| named)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_become_numbered_steps() {
        let text =
            "# c\nARG A\nFROM x:1 AS one\nRUN a \\\n  # c\n  && b\n\nfrom --platform=p one\nCMD c";
        let texts: Vec<_> = steps(text)
            .iter()
            .map(|s| format!("{:?} {}/{} {}", s.stage.as_deref(), s.number, s.total, s.text))
            .collect();
        let expected = [
            "Some(\"one\") 1/2 FROM x:1 AS one",
            "Some(\"one\") 2/2 RUN a && b",
            "None 1/2 from --platform=p one",
            "None 2/2 CMD c",
        ];
        assert_eq!(texts, expected);
        assert_eq!(bases("FROM a\nCOPY --from=b x y\nRUN c"), ["a", "b"]);
        assert_eq!(steps("RUN x \\"), []);
        let text = "FROM x\nCOPY <<EOF <<-\"E2\" /d\nFROM y\nEOF\nRUN z\n\tE2\nRUN a";
        let texts: Vec<_> = steps(text).into_iter().map(|step| step.text).collect();
        assert_eq!(texts, ["FROM x", "COPY <<EOF <<-\"E2\" /d", "RUN a"]);
        let stages = "FROM x AS one\nFROM y AS two\nFROM one AS three\nCOPY --from=z a b";
        let check = |target, base: &str, chain: &[&str]| {
            let chain = chain.iter().map(|it| (*it).to_owned()).collect();
            assert_eq!(chain_of(stages, target), Some((base.to_owned(), chain)));
        };
        check(None, "x", &["COPY --from=z a b"]);
        check(Some("two"), "y", &[]);
        assert_eq!(labels("LABEL a=b \"c\"='d'").len(), 2);
        assert_eq!(on_build("FROM a\nONBUILD RUN x"), ["RUN x"]);
    }
}
