//! The settings of an image at one level of the configuration: all images, a group, or one image.
//!
//! Owns which settings each level can have. The collector decides which level takes precedence.

use std::num::NonZeroU16;

use crate::scan::config::{
    Args, ArgumentValue, Config, Contexts, Group, ImageConfig, Labels, OneOrMore, Setting,
};

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
    pub(super) labels: Option<&'a Labels>,
    pub(super) network: Option<&'a Setting>,
    pub(super) shm_size: Option<&'a toml::Spanned<ArgumentValue>>,
    pub(super) ulimits: &'a [Setting],
    pub(super) add_hosts: &'a [Setting],
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
            labels: Some(&config.labels),
            network: config.network.as_ref(),
            shm_size: config.shm_size.as_ref(),
            ulimits: &config.ulimits,
            add_hosts: &config.add_hosts,
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
            labels: Some(&group.labels),
            network: group.network.as_ref(),
            shm_size: group.shm_size.as_ref(),
            ulimits: &group.ulimits,
            add_hosts: &group.add_hosts,
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
            labels: Some(&image.labels),
            network: image.network.as_ref(),
            shm_size: image.shm_size.as_ref(),
            ulimits: &image.ulimits,
            add_hosts: &image.add_hosts,
            weight: image.weight,
            push: image.push,
        }
    }
}
