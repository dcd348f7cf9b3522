//! Reads the repository from disk and from git: Dockerfiles, the configuration, ignore files, contexts,
//! and the files that describe builds for other tools.
//!
//! Owns finding, reading, and listing files. It knows neither the syntax of Dockerfiles nor images.

pub mod build_files;
pub mod config;
pub mod context;
pub mod dockerfiles;
pub mod git;
pub mod glob;
pub mod groups;
pub mod ignore_file;
pub mod listing;
pub mod skeleton;
pub mod usual_names;
