//! Text to Dockerfile: total, with the place of every word.
//!
//! Owns the reading of one file. It never fails, never panics, reads no disk and knows no other
//! file; what is wrong becomes a diagnostic. Variables stay as they are written: `graph` expands
//! them with `expand`.
//!
//! The rules are those of BuildKit's Dockerfile frontend, in its newest version.

pub mod logical;
pub mod syntax;

pub use syntax::{
    Add, Command, Copy, Declaration, Directives, Dockerfile, Files, Heredoc, Instruction,
    InstructionKind, Mount, MountField, Onbuild, Pair, Piece, PieceKind, Run, Stage,
};
