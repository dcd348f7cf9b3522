//! `layers graph` on the command line.
//!
//! Owns its words and their help.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::EngineChoice;

/// `layers graph`
#[derive(Debug, Args)]
pub struct GraphArgs {
    /// The format [default: a tree].
    #[command(flatten)]
    pub format: GraphFormat,

    /// Show only IMAGE, its dependencies, and its dependents; repeatable.
    ///
    /// +IMAGE shows only the dependencies, and IMAGE+ only the dependents.
    #[arg(long, value_name = "IMAGE")]
    pub focus: Vec<String>,

    /// Omit edges that longer paths imply.
    #[arg(long)]
    pub reduce: bool,

    /// Color images in a tree, DOT, Mermaid, or SVG.
    ///
    /// verdict and size need an engine.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub color_by: Option<ColorBy>,

    /// The engine, for --color-by.
    #[command(flatten)]
    pub engine: EngineChoice,

    /// Write to FILE instead of stdout (`-`).
    ///
    /// Without a format option, the extension decides: .json, .dot, .mmd, .svg, .html, .hcl, .yaml,
    /// or .txt.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Compare with the existing file, and fail if it differs.
    ///
    /// Without --output, the file is graph.json, or the usual one of the format, such as
    /// docker-bake.hcl.
    #[arg(long)]
    pub check: bool,
}

/// At most one of the formats.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct GraphFormat {
    /// Print Graphviz DOT.
    #[arg(long)]
    pub dot: bool,
    /// Print a Mermaid flowchart.
    #[arg(long)]
    pub mermaid: bool,
    /// Print JSON, the format of graph.json.
    #[arg(long)]
    pub json: bool,
    /// Draw an SVG.
    #[arg(long)]
    pub svg: bool,
    /// Write a searchable HTML page.
    #[arg(long)]
    pub html: bool,
    /// Generate a docker-bake.hcl that builds the same images.
    #[arg(long)]
    pub bake: bool,
    /// Generate a compose.yaml that builds the same images.
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
    pub fn selected(&self) -> Option<Format> {
        let options = [
            (self.dot, Format::Dot),
            (self.mermaid, Format::Mermaid),
            (self.json, Format::Json),
            (self.svg, Format::Svg),
            (self.html, Format::Html),
            (self.bake, Format::Bake),
            (self.compose, Format::Compose),
        ];
        options.into_iter().find(|(is_set, _)| *is_set).map(|(_, format)| format)
    }
}

/// What images are colored by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorBy {
    /// What a build would do.
    Verdict,
    /// How many levels of dependencies it has.
    Depth,
    /// Its size in the engine's store.
    Size,
}
