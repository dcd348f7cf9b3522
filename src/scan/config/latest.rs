//! The setting `latest`: when a release with additional tags also moves the names without them.
//!
//! Owns its three values. `session::publish` moves the tags.

use serde::Deserialize;

/// The value of `latest`. `auto` follows Docker's metadata-action (`flavor: latest=auto`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Latest {
    /// When a tag comes from a git tag that is a release version.
    #[default]
    Auto,
    /// In every release.
    Always,
    /// Only when it is one of the tags.
    Never,
}

impl Latest {
    /// Returns whether a release moves the names without additional tags. `has_release` is whether
    /// one of these tags comes from a git tag that is a release version.
    pub fn is_moved(self, has_release: bool) -> bool {
        match self {
            Latest::Auto => has_release,
            Latest::Always => true,
            Latest::Never => false,
        }
    }
}
