//! The options of a `RUN` mount after expansion.
//!
//! Owns the keys, their values, and the valid combinations, as in BuildKit's
//! `instructions/commands_runmount.go`.

use crate::base::{Diagnostic, Rule, Span, text};
use crate::parse::{Mount, MountField, is_switch};

/// The type of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum MountType {
    #[default]
    Bind,
    Cache,
    Tmpfs,
    Secret,
    Ssh,
}

const TYPES: [(&str, MountType); 5] = [
    ("bind", MountType::Bind),
    ("cache", MountType::Cache),
    ("tmpfs", MountType::Tmpfs),
    ("secret", MountType::Secret),
    ("ssh", MountType::Ssh),
];

const KEYS: [&str; 19] = [
    "type",
    "from",
    "source",
    "target",
    "readonly",
    "id",
    "sharing",
    "required",
    "size",
    "mode",
    "uid",
    "gid",
    "src",
    "dst",
    "destination",
    "ro",
    "rw",
    "readwrite",
    "env",
];

/// The parts of an expanded mount that determine what the build reads.
#[derive(Debug, Default)]
pub(super) struct MountInputs {
    pub(super) kind: MountType,
    pub(super) from: String,
    pub(super) source: String,
    /// The span of the source, or `None` if the mount has none.
    pub(super) source_span: Option<Span>,
    target: String,
    id: String,
    pub(super) required: bool,
    sharing: bool,
    owner: Option<&'static str>,
}

/// A diagnostic and its position.
pub(super) type MountProblem = (Box<Diagnostic>, Span);

/// Evaluates a mount. `expand` replaces the variables in a value.
///
/// # Errors
/// Returns an error if BuildKit would reject the mount when it builds the stage.
pub(super) fn read(
    mount: &Mount,
    expand: &mut dyn FnMut(&str) -> Result<String, Diagnostic>,
) -> Result<MountInputs, MountProblem> {
    let at = |span| move |diagnostic| (Box::new(diagnostic), span);
    let mut meaning = MountInputs::default();
    for field in &mount.fields {
        match &field.value {
            Some(value) => {
                let text = expand(&value.value).map_err(at(value.span))?;
                set(&mut meaning, (field, value.span), text).map_err(at(value.span))?;
            }
            None => set_bare(&mut meaning, field).map_err(at(field.key.span))?,
        }
    }
    check_together(&meaning).map_err(at(mount.span))?;
    Ok(meaning)
}

fn invalid(message: impl Into<String>) -> Diagnostic {
    Diagnostic::new(Rule::InvalidMount, message)
}

impl MountInputs {
    /// Returns a mount of which only the type is known.
    pub(super) fn of(kind: MountType) -> MountInputs {
        MountInputs { kind, ..MountInputs::default() }
    }

    /// Returns whether the client that starts the build provides what is mounted.
    fn is_from_client(&self) -> bool {
        matches!(self.kind, MountType::Secret | MountType::Ssh)
    }

    /// Returns the ID of the mounted secret or ssh agent. The rules are BuildKit's.
    pub(super) fn secret_id(&self) -> &str {
        let named = [&self.source, &self.id].into_iter().find(|name| !name.is_empty());
        match (named, self.kind) {
            (Some(id), _) => id,
            (None, MountType::Ssh) => "default",
            (None, _) => match self.target.trim_end_matches('/') {
                // Go's `path.Base` returns `/` for the root.
                "" => "/",
                target => target.rsplit('/').next().unwrap_or_default(),
            },
        }
    }
}

/// Sets a key that has no value.
fn set_bare(meaning: &mut MountInputs, field: &MountField) -> Result<(), Diagnostic> {
    let key = &field.key.value;
    match key.as_str() {
        "readonly" | "ro" | "readwrite" | "rw" => Ok(()),
        "required" if meaning.is_from_client() => {
            meaning.required = true;
            Ok(())
        }
        "required" => Err(invalid("`required` is only supported for secret and ssh mounts")),
        _ => Err(unknown_key(key, format!("mount option `{key}` requires a value"))),
    }
}

fn unknown_key(key: &str, message: String) -> Diagnostic {
    match text::closest(key, KEYS) {
        Some(near) if !KEYS.contains(&key) => invalid(message).hint(format!("write `{near}=…`")),
        _ => invalid(message),
    }
}

fn set(
    meaning: &mut MountInputs,
    (field, span): (&MountField, Span),
    value: String,
) -> Result<(), Diagnostic> {
    let key = field.key.value.as_str();
    let wrong = || invalid(format!("`{value}` is not a valid value for `{key}`"));
    let is_number = |radix| {
        let digits = value.bytes().all(|b| b.is_ascii_alphanumeric());
        digits && u32::from_str_radix(&value, radix).is_ok()
    };
    match key {
        "type" => {
            let kind = value.to_lowercase();
            let Some((_, kind)) = TYPES.iter().find(|(name, _)| *name == kind) else {
                let diagnostic = invalid(format!("unsupported mount type `{value}`"));
                let near = text::closest(&kind, TYPES.map(|(name, _)| name));
                return Err(match near {
                    Some(near) => diagnostic.hint(format!("write `type={near}`")),
                    None => diagnostic,
                });
            };
            meaning.kind = *kind;
        }
        "from" => meaning.from = value,
        "source" | "src" => {
            meaning.source = value;
            meaning.source_span = Some(span);
        }
        "target" | "dst" | "destination" => meaning.target = value,
        "readonly" | "ro" | "readwrite" | "rw" if is_switch(&value) => {}
        "required" if meaning.is_from_client() && is_switch(&value) => {
            meaning.required = value.starts_with(['1', 't', 'T']);
        }
        "size" if meaning.kind == MountType::Tmpfs && is_size(&value) => {}
        "id" => meaning.id = value,
        "sharing" if ["shared", "private", "locked"].contains(&value.to_lowercase().as_str()) => {
            meaning.sharing = true;
        }
        "mode" if is_number(8) => meaning.owner = Some("mode"),
        "uid" if is_number(10) => meaning.owner = Some("uid"),
        "gid" if is_number(10) => meaning.owner = Some("gid"),
        "env" => {}
        key if KEYS.contains(&key) => return Err(wrong()),
        key => return Err(unknown_key(key, format!("unknown mount option `{key}`"))),
    }
    Ok(())
}

/// Checks the combination of keys.
fn check_together(meaning: &MountInputs) -> Result<(), Diagnostic> {
    let MountInputs { kind, from, source, target, id, sharing, owner, .. } = meaning;
    let (is_cache, is_secret) = (*kind == MountType::Cache, *kind == MountType::Secret);
    if let Some(key) = owner.filter(|_| !meaning.is_from_client() && !is_cache) {
        return Err(invalid(format!("`{key}` is not supported for this mount type")));
    }
    let complaint = if *sharing && !is_cache {
        "`sharing` is only supported for cache mounts"
    } else if *kind == MountType::Ssh && !source.is_empty() {
        "`source` is not supported for ssh mounts"
    } else if is_secret && !from.is_empty() {
        "`from` is not supported for secret mounts"
    } else if is_secret && source.is_empty() && target.is_empty() && id.is_empty() {
        "a secret mount requires an `id`, a `source`, or a `target`"
    } else if is_secret && !source.is_empty() && !id.is_empty() {
        "a secret mount can't have both a `source` and an `id`"
    } else if !meaning.is_from_client() && target == "/" {
        // BuildKit compares the text, so it does not detect `/x/..`.
        "the target of a mount can't be `/`"
    } else {
        return Ok(());
    };
    Err(invalid(complaint))
}

/// Returns whether a text is a number of bytes such as `64m`, in the format of
/// github.com/docker/go-units.
fn is_size(text: &str) -> bool {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let unit = text[end..].strip_prefix(' ').unwrap_or(&text[end..]).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    text[..end].parse::<f64>().is_ok() && matches!(unit, "" | "k" | "m" | "g" | "t" | "p")
}
