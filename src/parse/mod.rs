//! stub
#![allow(missing_docs)]
use crate::base::*;
#[derive(Debug)]
pub struct Dockerfile {
    pub source: Source,
    pub stages: Vec<Stage>,
    pub diagnostics: Vec<Diagnostic>,
}
#[derive(Debug)]
pub struct Stage {
    pub name: Option<Spanned<String>>,
    pub from: Span,
    pub instructions: Vec<Instruction>,
}
#[derive(Debug)]
pub struct Instruction {
    pub span: Span,
    pub keyword: Spanned<String>,
    pub text: String,
}
pub fn parse(_: &Source) -> Dockerfile {
    todo!()
}
