//! What a Dockerfile means under some settings: its stages, what the target reaches, which
//! images that needs, and what is read from the build context.

mod scope;
mod view;

pub use scope::{Scope, Value};
pub use view::{
    Base, ContextKind, ContextUse, Download, Evaluation, Need, NeedKind, Settings, StageFrom,
    StageView, Trigger,
};

use crate::graph::reference::Reference;
use crate::parse::Dockerfile;
/// tmp
pub fn evaluate(
    _: &Dockerfile,
    _: &Settings,
    _: &(dyn Fn(&Reference) -> Vec<Trigger> + Sync),
) -> Evaluation {
    todo!()
}
