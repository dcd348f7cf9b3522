//! What lies on the disk: ignore files and the files of a context.
//!
//! Owns finding and listing. It reads no Dockerfile and knows no image.

pub mod context;
pub mod ignore_file;
