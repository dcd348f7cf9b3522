//! The labels of an image, and the options of its `RUN` instructions.
//!
//! Owns how the levels of the configuration are merged: by name, where there are names. Values that are
//! not valid are reported, and have no effect.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::base::Span;
use crate::engine::Sandbox;
use crate::engine::build_option::{InvalidOption, check_label_name};
use crate::engine::sandbox::{ExtraHost, NetworkMode, ShmSize, Ulimit};
use crate::scan::config::{ConfigFile, Labels, Setting};

use super::values::Values;
use super::{Collector, ConfigLevel, ImageDraft, SettingSpans};

impl<'a> Collector<'a> {
    /// Returns the labels of an image.
    pub(super) fn labels(
        &mut self,
        draft: &ImageDraft<'a>,
        values: &Values<'_>,
    ) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let all = draft.layers.iter().filter_map(|layer| layer.labels);
        for (name, setting) in all.flat_map(Labels::iter) {
            let span = ConfigFile::span(setting);
            let text = setting.get_ref().to_string();
            if self.valid(check_label_name(name), span).is_some()
                && let Some(value) = self.fill((&text, span), values)
            {
                labels.insert(name.to_owned(), value);
            }
        }
        labels
    }

    /// Returns the options of an image's `RUN` instructions, and records where its network is set.
    pub(super) fn sandbox(&mut self, draft: &ImageDraft<'a>, spans: &mut SettingSpans) -> Sandbox {
        let mut sandbox = Sandbox::default();
        for layer in &draft.layers {
            let own = self.sandbox_of(layer);
            sandbox.extend(&own);
            if let Some(setting) = layer.network {
                spans.network = Some(self.spot(setting));
            }
        }
        sandbox
    }

    fn sandbox_of(&mut self, layer: &ConfigLevel<'a>) -> Sandbox {
        let network = layer.network.and_then(|it| self.read::<NetworkMode>(it));
        let shm_size = layer.shm_size.and_then(|setting| {
            let read = setting.get_ref().to_string().parse::<ShmSize>();
            self.valid(read, ConfigFile::span(setting))
        });
        let mut sandbox = Sandbox { network, shm_size, ..Sandbox::default() };
        for setting in layer.ulimits {
            if let Some(Ulimit { name, limits }) = self.read(setting) {
                sandbox.ulimits.insert(name, limits);
            }
        }
        for setting in layer.add_hosts {
            if let Some(host) = self.read::<ExtraHost>(setting) {
                sandbox.add_host(host);
            }
        }
        sandbox
    }

    fn read<T: FromStr<Err = InvalidOption>>(&mut self, setting: &Setting) -> Option<T> {
        self.valid(setting.get_ref().parse(), ConfigFile::span(setting))
    }

    /// Reports a value that is not valid.
    fn valid<T>(&mut self, read: Result<T, InvalidOption>, span: Span) -> Option<T> {
        match read {
            Ok(value) => Some(value),
            Err(InvalidOption { message, hint }) => {
                self.report(message, span, &hint);
                None
            }
        }
    }
}
