//! Random Dockerfiles: their stages, their lines, and their text.
//!
//! Owns the parts that instructions consist of. `@/f` in a line stands for the file `f` in the image's own
//! directory, wherever the context starts; `@.` is the directory itself.

use std::fmt::Write;

use crate::common::dice::Dice;

/// The images in dependency order: each can depend only on those before it.
pub const NAMES: [&str; 7] = ["base", "zed", "mid", "app", "tool", "extra", "leaf"];

/// Files that the lines refer to; most of them exist.
pub const FILES: [&str; 12] = [
    "f1",
    "f2",
    "a b",
    "dir/x",
    "dir/sub/z",
    "run.sh",
    "link",
    "dirlink/y",
    "h2",
    "dir/up",
    "keep.log",
    "dir",
];

/// The number of external images.
pub const EXTERNALS: usize = 3;

/// Returns the name of an external image.
pub fn external(namespace: &str, number: usize) -> String {
    format!("{namespace}/ext{number}:latest")
}

/// Returns the lines of a random external image: a file, a variable, labels, and triggers.
pub fn random_external(dice: &mut Dice, namespace: &str, is_modern: bool) -> Vec<String> {
    let mut lines = vec![
        format!("LABEL {}={namespace}", crate::common::TEST_LABEL),
        format!("COPY ext{} /ext", dice.below(3)),
        format!("ENV E=external{}", dice.below(3)),
    ];
    for _ in 0..dice.below(4) {
        lines.push(match dice.below(10) {
            0 => "ONBUILD ARG A".to_owned(),
            1 => "ONBUILD ENV E=$A-$E".to_owned(),
            2 => "ONBUILD COPY f2 /external/".to_owned(),
            3 => "ONBUILD COPY dir /external/".to_owned(),
            4 => "ONBUILD RUN busybox true $B".to_owned(),
            5 => format!("ONBUILD LABEL l0=triggered{}", dice.below(2)),
            6 => "ONBUILD RUN --mount=source=f1,target=/m busybox cat /m > /bound".to_owned(),
            7 if is_modern => format!("ONBUILD COPY --from={namespace}/shop-base /id-base /ob/"),
            8 => format!("LABEL l1={}", dice.below(3)),
            _ => format!("MAINTAINER someone{}", dice.below(3)),
        });
    }
    lines
}

const VALUES: [&str; 5] = ["1", "two", "dir", "f1", ""];
const VARIABLES: [&str; 4] = ["A", "B", "E", "P"];

/// The base of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    Scratch,
    /// An image, by its position in [`NAMES`].
    Image(usize),
    /// An image, through a global argument.
    Argument(usize),
    /// An earlier stage.
    Stage(usize),
    /// An external image.
    External(usize),
}

#[derive(Debug, Clone)]
pub struct Stage {
    pub name: String,
    pub from: From,
    pub lines: Vec<String>,
}

/// A Dockerfile.
#[derive(Debug, Clone)]
pub struct File {
    pub stages: Vec<Stage>,
    /// The defaults of global arguments.
    pub globals: Vec<(String, String)>,
    /// The seed of the formatting; 0 is plain.
    pub style: u64,
}

impl File {
    /// Creates a random Dockerfile for the image number `image`.
    pub fn random(dice: &mut Dice, image: usize, namespace: &str) -> File {
        let mut file = File {
            stages: Vec::new(),
            globals: vec![("A".to_owned(), dice.word(&VALUES).to_owned())],
            style: 0,
        };
        let stages = if image == 0 { 1 } else { 1 + dice.below(3) };
        for index in 0..stages {
            let from = file.random_from(dice, image, index);
            let lines = Vec::new();
            file.stages.push(Stage { name: format!("s{index}"), from, lines });
            for _ in 0..1 + dice.below(if index + 1 == stages { 5 } else { 2 }) {
                let line = file.random_line(dice, image, index, namespace);
                file.stages[index].lines.push(line);
            }
        }
        file
    }

    /// Returns a random base of a stage.
    pub fn random_from(&self, dice: &mut Dice, image: usize, stage: usize) -> From {
        if image == 0 {
            return From::Scratch;
        }
        match dice.below(8) {
            0 => From::Scratch,
            1 => From::Argument(dice.below(image)),
            2 | 3 if stage > 0 => From::Stage(dice.below(stage)),
            4 => From::Image(0),
            5 => From::External(dice.below(EXTERNALS)),
            _ => From::Image(dice.below(image)),
        }
    }

    /// Returns a random line for a stage. Most lines work.
    pub fn random_line(
        &self,
        dice: &mut Dice,
        image: usize,
        stage: usize,
        namespace: &str,
    ) -> String {
        let file = *dice.pick(&FILES);
        let value = dice.word(&VALUES);
        let variable = dice.word(&VARIABLES);
        let sibling = NAMES[dice.below(image.max(1))];
        let has_siblings = image > 0;
        let external = external(namespace, dice.below(EXTERNALS));
        match dice.below(32) {
            30 if has_siblings => format!("COPY --from={external} /ext /from/{file}"),
            31 if has_siblings => {
                format!("RUN --mount=from={external},target=/m busybox cat /m/ext > /ran")
            }
            0..=5 => random_copy(dice, file),
            6 if has_siblings => {
                format!("COPY --from={namespace}/shop-{sibling} /id-{sibling} /from/{file}")
            }
            7 if stage > 0 => {
                let other = &self.stages[dice.below(stage)].name;
                format!("COPY --from={other} /out /from-{other}/")
            }
            8 if stage > 0 => format!("COPY --from={} /out /from-number/", dice.below(stage)),
            9..=12 if has_siblings => random_run(dice, namespace, sibling),
            13 => format!("ARG {variable}"),
            14 => format!("ARG {variable}={value}"),
            15 => format!("ARG B=$A-{value}"),
            16 => format!("ENV E={value}"),
            17 => format!("ENV {variable} ${{A:-{value}}}"),
            18 => format!("LABEL l{}=\"{value} $E\"", dice.below(3)),
            19 => format!("WORKDIR /w/{value}$B"),
            20 => format!("CMD [\"{file}\", \"$A\"]"),
            21 => format!("ENTRYPOINT echo {file}  {value}"),
            22 => format!("EXPOSE {}", 80 + dice.below(3)),
            23 => format!("STOPSIGNAL SIG{}", dice.word(&["INT", "TERM"])),
            24 => format!("HEALTHCHECK --retries={} CMD true {value}", 1 + dice.below(3)),
            25 => format!("ADD @/t.tar /tar/{value}"),
            26 => format!("ADD @/{} /added/", dice.word(&["f1", "f2", "dir"])),
            27 => random_trigger(dice, has_siblings),
            28 => format!("USER {}", dice.word(&["0", "root", "0:0"])),
            _ => random_copy(dice, file),
        }
    }

    /// Returns the text for an image whose own directory is at `prefix` in the context (empty, or with a
    /// final `/`).
    pub fn render(&self, image: usize, prefix: &str, namespace: &str) -> String {
        let mut lines = Vec::new();
        for (name, value) in &self.globals {
            lines.push(format!("ARG {name}={value}"));
        }
        for (index, stage) in self.stages.iter().enumerate() {
            if let From::Argument(parent) = stage.from {
                let parent = NAMES[parent];
                lines.insert(0, format!("ARG BASE{index}={namespace}/shop-{parent}"));
            }
        }
        for (index, stage) in self.stages.iter().enumerate() {
            let from = match stage.from {
                From::Scratch => "scratch".to_owned(),
                From::Image(parent) => format!("{namespace}/shop-{}", NAMES[parent]),
                From::Argument(_) => format!("${{BASE{index}}}"),
                From::Stage(other) => self.stages[other].name.clone(),
                From::External(number) => external(namespace, number),
            };
            lines.push(format!("FROM {from} AS {}", stage.name));
            // The label with which images are found again, whatever happens to their names.
            if stage.from == From::Scratch {
                lines.push(format!("LABEL {}={namespace}", crate::common::TEST_LABEL));
            }
            if image == 0 && stage.from == From::Scratch {
                lines.push("COPY @/busybox /bin/busybox".to_owned());
                lines.push(
                    "RUN [\"/bin/busybox\", \"ln\", \"-s\", \"busybox\", \"/bin/sh\"]".into(),
                );
            }
            // What other images copy always exists.
            lines.push(format!("COPY @/id /id-{}", NAMES[image]));
            lines.push("COPY @/id /out/id".to_owned());
            lines.extend(stage.lines.iter().cloned());
        }
        let directory = if prefix.is_empty() { "." } else { prefix.trim_end_matches('/') };
        let plain = lines.iter().map(|line| line.replace("@/", prefix).replace("@.", directory));
        format_lines(plain, self.style)
    }
}

fn random_copy(dice: &mut Dice, file: &str) -> String {
    let flag = match dice.below(8) {
        0 => "--chown=1:2 ",
        1 => "--chown=7 ",
        2 => "--chmod=640 ",
        _ => "",
    };
    match dice.below(15) {
        0 => format!("COPY {flag}@. /all"),
        1 => format!("COPY {flag}@/f* /wild/"),
        2 => format!("COPY {flag}@/dir/s*/? /deep/"),
        3 => format!("COPY {flag}@/dir /dir"),
        4 => format!("COPY {flag}@/dir/ @/f1 /both/"),
        5 => format!("COPY {flag}[\"@/{file}\", \"/blank s/\"]"),
        6 => format!("COPY {flag}@/dirlink /x/"),
        7 => format!("COPY {flag}@/f[12] /class/"),
        8 => format!("COPY {flag}@/$P /p/"),
        9 => format!("COPY {flag}@/${{A:-f1}}* /a/"),
        10 => format!("COPY {flag}@/empty /empty/"),
        11 => format!("COPY {flag}. /everything/"),
        12 => format!("COPY {flag}@/**/? /stars/"),
        _ => format!("COPY {flag}[\"@/{file}\", \"/one/\"]"),
    }
}

fn random_run(dice: &mut Dice, namespace: &str, sibling: &str) -> String {
    match dice.below(10) {
        0 => "RUN --mount=target=/m busybox ls /m > /dev/null".to_owned(),
        1 => "RUN --mount=type=bind,source=@/dir,target=/m busybox cat /m/x > /ran".to_owned(),
        2 => "RUN --mount=source=@/f1,target=/m/f,rw busybox true".to_owned(),
        3 => format!(
            "RUN --mount=from={namespace}/shop-{sibling},target=/m busybox cp /m/id-{sibling} /ran"
        ),
        4 => "RUN --mount=type=cache,target=/cache busybox true".to_owned(),
        5 => "RUN --mount=type=tmpfs,target=/tmpfs busybox true".to_owned(),
        6 => "RUN [\"busybox\", \"true\", \"$A\"]".to_owned(),
        7 => "RUN echo  \"$A $B $E\" > /said".to_owned(),
        8 => format!("RUN busybox true {}", dice.below(4)),
        _ => "RUN busybox cat /id-* > /ran".to_owned(),
    }
}

fn random_trigger(dice: &mut Dice, has_shell: bool) -> String {
    match dice.below(6) {
        0 => "ONBUILD COPY f2 /triggered/".to_owned(),
        1 => "ONBUILD COPY . /triggered/".to_owned(),
        2 => "ONBUILD COPY f* /triggered/".to_owned(),
        3 if has_shell => "ONBUILD RUN busybox true $A".to_owned(),
        4 => "ONBUILD ENV E=triggered".to_owned(),
        _ => "ONBUILD ARG A".to_owned(),
    }
}

/// Formats the same instructions differently: comments, spaces, the case of keywords, continuations.
fn format_lines(lines: impl Iterator<Item = String>, style: u64) -> String {
    let mut text = String::new();
    let mut dice = Dice::new(style);
    for line in lines {
        let (keyword, rest) = line.split_once(' ').unwrap();
        if style == 0 {
            writeln!(text, "{keyword} {rest}").unwrap();
            continue;
        }
        match dice.below(4) {
            0 => writeln!(text, "# comment {}", dice.below(100)).unwrap(),
            1 => text.push('\n'),
            _ => {}
        }
        let keyword = if dice.one_in(2) { keyword.to_lowercase() } else { keyword.to_owned() };
        let between = dice.word(&[" ", "   ", "\t", " \\\n  ", " \\\n# within\n "]);
        let end = dice.word(&["", "", "  "]);
        // Spaces at the end of a command would be part of it.
        let end = if matches!(keyword.as_str(), "COPY" | "copy") { end } else { "" };
        writeln!(text, "{keyword}{between}{rest}{end}").unwrap();
    }
    text
}
