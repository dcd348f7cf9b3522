//! What lies on the disk: Dockerfiles, the configuration, ignore files and contexts.
//!
//! Owns finding, reading and listing. It knows no Dockerfile syntax and no images.

pub mod config;
pub mod context;
pub mod dockerfiles;
pub mod git;
pub mod glob;
pub mod groups;
pub mod ignore_file;
pub mod listing;
pub mod skeleton;
