//! What the `RUN` instructions of an image may do only with consent: use the network of the engine's
//! machine, and run without isolation.
//!
//! Owns which instructions and settings require an entitlement, and where they are. `session` decides
//! whether it is granted.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::base::{Source, Span};
use crate::engine::build_option::Entitlement;
use crate::engine::sandbox::NetworkMode;
use crate::parse::{InstructionKind, Run, parse_trigger};

use super::Image;
use super::evaluate::Trigger;

/// An instruction or a setting that requires an entitlement.
#[derive(Debug, Clone)]
pub struct EntitlementUse {
    /// The entitlement.
    pub entitlement: Entitlement,
    /// What requires it, as written.
    pub written: &'static str,
    /// The file that contains it.
    pub source: Source,
    /// The span in that file.
    pub span: Span,
}

/// A `RUN` of an image, or of one of its bases' triggers.
struct ImageRun<'a> {
    run: Cow<'a, Run>,
    trigger: Option<&'a Trigger>,
}

impl Image {
    /// Returns whether its build runs commands, as far as this is known.
    pub fn runs_commands(&self) -> bool {
        self.has_unknown_frontend() || !self.runs().is_empty()
    }

    /// Returns the entitlements that its build uses, whatever sets its network.
    pub fn entitlements(&self) -> BTreeSet<Entitlement> {
        let is_host = self.sandbox.network == Some(NetworkMode::Host);
        let network = is_host.then_some(Entitlement::NetworkHost);
        self.entitlement_uses().iter().map(|it| it.entitlement).chain(network).collect()
    }

    /// Returns what requires an entitlement. The network that the command line sets does not.
    pub fn entitlement_uses(&self) -> Vec<EntitlementUse> {
        let runs = self.runs();
        let mut uses: Vec<EntitlementUse> = runs
            .iter()
            .flat_map(|ImageRun { run, trigger }| {
                let host = run.network.as_ref().filter(|it| it.value == "host");
                let insecure = run.security.as_ref().filter(|it| it.value == "insecure");
                let both = [
                    (Entitlement::NetworkHost, "RUN --network=host", host),
                    (Entitlement::SecurityInsecure, "RUN --security=insecure", insecure),
                ];
                both.into_iter().filter_map(|(entitlement, written, value)| {
                    let span = value?.span;
                    let (source, span) = match trigger {
                        Some(trigger) => (trigger.source.clone(), trigger.locate(span)),
                        None => (self.file.source.clone(), span),
                    };
                    Some(EntitlementUse { entitlement, written, source, span })
                })
            })
            .collect();
        let is_host = self.sandbox.network == Some(NetworkMode::Host);
        let inherits = |it: &ImageRun<'_>| {
            it.run.network.as_ref().is_none_or(|network| network.value == "default")
        };
        if let Some((source, span)) = self.network_setting.clone().filter(|_| is_host)
            && runs.iter().any(inherits)
        {
            let (entitlement, written) = (Entitlement::NetworkHost, "network = \"host\"");
            uses.push(EntitlementUse { entitlement, written, source, span });
        }
        uses
    }

    /// Returns the commands that its build runs.
    fn runs(&self) -> Vec<ImageRun<'_>> {
        let mut runs = Vec::new();
        for (view, stage) in self.evaluation.stages.iter().zip(&self.file.stages) {
            if !view.reached || view.replaced {
                continue;
            }
            for trigger in &view.triggers {
                let text = Source::new(trigger.source.path().clone(), trigger.text.clone());
                if let Some(InstructionKind::Run(run)) = parse_trigger(&text).0.map(|it| it.kind) {
                    runs.push(ImageRun { run: Cow::Owned(run), trigger: Some(trigger) });
                }
            }
            let own = stage.instructions.iter().filter_map(|instruction| match &instruction.kind {
                InstructionKind::Run(run) => Some(run),
                _ => None,
            });
            runs.extend(own.map(|run| ImageRun { run: Cow::Borrowed(run), trigger: None }));
        }
        runs
    }
}
