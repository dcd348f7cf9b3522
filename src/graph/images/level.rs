//! The settings of an image at one level of the configuration: all images, a group, or one image.
//!
//! Owns which settings each level can have. The collector decides which level takes precedence.

use std::num::NonZeroU16;

use crate::scan::config::{Args, Config, Contexts, Group, ImageConfig, OneOrMore, Setting};

/// The settings of an image at one level of the configuration.
#[derive(Clone, Copy, Default)]
pub(super) struct ConfigLevel<'a> {
    pub(super) name: Option<&'a Setting>,
    pub(super) reference: Option<&'a OneOrMore>,
    pub(super) context: Option<&'a Setting>,
    pub(super) target: Option<&'a Setting>,
    pub(super) targets: &'a [Setting],
    pub(super) args: Option<&'a Args>,
    pub(super) contexts: Option<&'a Contexts>,
    pub(super) weight: Option<NonZeroU16>,
    pub(super) push: Option<bool>,
}

impl<'a> ConfigLevel<'a> {
    pub(super) fn of_all(config: &'a Config) -> ConfigLevel<'a> {
        ConfigLevel {
            name: config.name.as_ref(),
            reference: config.reference.as_ref(),
            context: config.context.as_ref(),
            args: Some(&config.args),
            contexts: Some(&config.contexts),
            ..ConfigLevel::default()
        }
    }

    pub(super) fn of_group(group: &'a Group) -> ConfigLevel<'a> {
        ConfigLevel {
            name: group.name.as_ref(),
            reference: group.reference.as_ref(),
            context: group.context.as_ref(),
            target: group.target.as_ref(),
            targets: &group.targets,
            args: Some(&group.args),
            contexts: Some(&group.contexts),
            weight: group.weight,
            push: None,
        }
    }

    pub(super) fn of_image(image: &'a ImageConfig) -> ConfigLevel<'a> {
        ConfigLevel {
            name: None,
            reference: image.reference.as_ref(),
            context: image.context.as_ref(),
            target: image.target.as_ref(),
            targets: &image.targets,
            args: Some(&image.args),
            contexts: Some(&image.contexts),
            weight: image.weight,
            push: image.push,
        }
    }
}
