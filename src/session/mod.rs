//! Operations on a workspace: selection, planning, the image provider of a run, external images,
//! parent aliases, publishing, secrets, and the observers of a run.

pub mod ancestry;
pub mod attest;
pub mod consent;
pub mod externals;
pub mod image_provider;
pub mod observers;
pub mod parent_aliases;
pub mod pins;
pub mod publish;
pub mod pull;
pub mod secrets;
pub mod selection;
pub mod tag_moves;
