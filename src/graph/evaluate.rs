//! stub
#![allow(missing_docs)]
use super::reference::Reference;
use crate::base::*;
use std::collections::BTreeMap;
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub build_args: BTreeMap<String, String>,
    pub platform: String,
    pub build_platform: String,
    pub target: Option<String>,
    pub contexts: BTreeMap<String, String>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NeedKind {
    From,
    Copy,
    Mount,
    Add,
    Context,
}
#[derive(Debug)]
pub struct Need {
    pub kind: NeedKind,
    pub reference: Reference,
    pub source: Source,
    pub span: Span,
}
#[derive(Debug, Clone)]
pub struct Trigger {}
#[derive(Debug)]
pub struct Evaluation {
    pub needs: Vec<Need>,
    pub onbuild: Vec<Trigger>,
    pub diagnostics: Vec<Diagnostic>,
}
pub fn evaluate(
    _: &crate::parse::Dockerfile,
    _: &Settings,
    _: &dyn Fn(&Reference) -> Vec<Trigger>,
) -> Evaluation {
    todo!()
}
