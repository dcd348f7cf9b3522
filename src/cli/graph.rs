//! `layers graph` on the command line.
//!
//! Owns its words and their help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EngineChoice;

/// `layers graph`
#[derive(Debug, Args)]
pub struct Graph {
    /// How to draw it [default: a tree].
    #[command(flatten)]
    pub format: GraphFormat,

    /// Draw only IMAGE, all that it needs and all that needs it; as for build, +IMAGE is one side and
    /// IMAGE+ the other. May be given several times.
    #[arg(long, value_name = "IMAGE")]
    pub focus: Vec<String>,

    /// Leave out needs that a longer way implies.
    #[arg(long)]
    pub reduce: bool,

    /// Mark images in a tree, DOT, Mermaid or SVG; verdict and size ask the engine.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub color_by: Option<ColorBy>,

    /// Which engine, for --color-by.
    #[command(flatten)]
    pub engine: EngineChoice,

    /// Write to FILE instead of the standard output, which is also `-`; the ending (.json, .dot, .mmd,
    /// .svg, .html, .hcl, .yaml, .txt) names the format where no option does.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Compare with the file of --output, else with graph.json or what the format's file is called, such as
    /// docker-bake.hcl, and fail with the difference.
    #[arg(long)]
    pub check: bool,
}

/// At most one of the formats.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct GraphFormat {
    /// Draw for Graphviz.
    #[arg(long)]
    pub dot: bool,
    /// Draw for Mermaid.
    #[arg(long)]
    pub mermaid: bool,
    /// Print as JSON, the format of graph.json.
    #[arg(long)]
    pub json: bool,
    /// Draw as a picture.
    #[arg(long)]
    pub svg: bool,
    /// Write a page of HTML that can be searched.
    #[arg(long)]
    pub html: bool,
    /// Write a docker-bake.hcl that builds the same.
    #[arg(long)]
    pub bake: bool,
    /// Write a compose.yaml that builds the same.
    #[arg(long)]
    pub compose: bool,
}

/// A format, called as its option is; there is none for the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A tree.
    Tree,
    /// Graphviz's language.
    Dot,
    /// Mermaid's language.
    Mermaid,
    /// The format of graph.json.
    Json,
    /// A picture.
    Svg,
    /// A page.
    Html,
    /// A docker-bake.hcl.
    Bake,
    /// A compose.yaml.
    Compose,
}

impl GraphFormat {
    /// The format that is chosen, if one is.
    pub fn chosen(&self) -> Option<Format> {
        let options = [
            (self.dot, Format::Dot),
            (self.mermaid, Format::Mermaid),
            (self.json, Format::Json),
            (self.svg, Format::Svg),
            (self.html, Format::Html),
            (self.bake, Format::Bake),
            (self.compose, Format::Compose),
        ];
        options.into_iter().find(|(is_given, _)| *is_given).map(|(_, format)| format)
    }
}

/// What images are marked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorBy {
    /// What a build would do.
    Verdict,
    /// How many images lie below.
    Depth,
    /// How large they are.
    Size,
}
