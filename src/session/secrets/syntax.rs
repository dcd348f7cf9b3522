//! The syntax of `--secret` and `--ssh`, as in `docker build`.
//!
//! Owns their grammar: comma-separated fields for a secret, an ID and paths for an agent. Does not access anything.

use crate::base::error::{InfrastructureError, usage};
use crate::base::text::closest;
use crate::engine::secret::DEFAULT_AGENT;
use crate::parse::split_csv;
use crate::scan::config::SecretSource;

const KEYS: [&str; 5] = ["id", "src", "source", "env", "type"];

/// A secret as given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// Its ID.
    pub id: String,
    /// Its source, or `None` if only the ID is given.
    pub source: Option<SecretSource>,
}

/// Parses `id=ID,src=FILE`, `id=ID,env=NAME`, and similar.
///
/// # Errors
/// Returns what is wrong with the text, with a hint.
pub fn read_secret(text: &str) -> Result<SecretSpec, InfrastructureError> {
    let wrong =
        |what: &str, hint: &str| Err(usage(format!("`--secret {text}`: {what}")).hint(hint));
    let Some(fields) = split_csv(text) else {
        return wrong("unexpected quote", "write `id=ID,src=FILE` or `id=ID,env=NAME`");
    };
    let (mut id, mut src, mut env, mut is_env) = (None, None, None, None);
    for (field, _) in &fields {
        let Some((key, value)) = field.split_once('=') else {
            let hint = format!("write `--secret id={field},env=NAME` or `id={field},src=FILE`");
            return wrong(&format!("`{field}` has no value"), &hint);
        };
        let value = Some(value.to_owned()).filter(|value| !value.is_empty());
        match (key.to_ascii_lowercase().as_str(), value.as_deref()) {
            ("id", _) => id = value,
            ("src" | "source", _) => src = value,
            ("env", _) => env = value,
            ("type", Some("env")) => is_env = Some(true),
            ("type", Some("file")) => is_env = Some(false),
            ("type", _) => {
                return wrong("unknown type", "write `type=file` or `type=env`");
            }
            (other, _) => {
                let near = closest(other, KEYS).unwrap_or("src");
                return wrong(
                    &format!("unknown field `{key}`"),
                    &format!("did you mean `{near}=`?"),
                );
            }
        }
    }
    let Some(id) = id else {
        return wrong("the ID is missing", "start with `id=`, as in `id=npm,env=NPM_TOKEN`");
    };
    let source = match (src, env, is_env) {
        (Some(_), Some(_), _) => {
            return wrong("both a file and a variable are specified", "remove one of them");
        }
        (None, Some(_), Some(false)) => return wrong("`env` needs `type=env`", "write `type=env`"),
        (Some(name), None, Some(true)) => Some(SecretSource::Variable(name)),
        (Some(path), None, _) => Some(SecretSource::File(path)),
        (None, Some(name), _) => Some(SecretSource::Variable(name)),
        (None, None, Some(true)) => Some(SecretSource::Variable(id.clone())),
        (None, None, Some(false)) => Some(SecretSource::File(id.clone())),
        (None, None, None) => None,
    };
    Ok(SecretSpec { id, source })
}

/// Parses `default`, `ID`, `ID=SOCKET`, or `ID=KEY,KEY`. Returns the ID and the paths.
pub fn read_agent(text: &str) -> (&str, Vec<&str>) {
    let (id, paths) = text.split_once('=').unwrap_or((text, ""));
    let id = if id.is_empty() { DEFAULT_AGENT } else { id };
    (id, paths.split(',').filter(|path| !path.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_specs_are_parsed_as_in_docker() {
        let file = |path: &str| Some(SecretSource::File(path.to_owned()));
        let variable = |name: &str| Some(SecretSource::Variable(name.to_owned()));
        let check = |text: &str, id: &str, source: Option<SecretSource>| {
            let expected = SecretSpec { id: id.to_owned(), source };
            assert_eq!(read_secret(text).unwrap(), expected, "{text}");
        };
        check("id=npm,src=a/b", "npm", file("a/b"));
        check("id=npm,source=a/b", "npm", file("a/b"));
        check("src=a/b,id=npm", "npm", file("a/b"));
        check("ID=npm,SRC=a=b", "npm", file("a=b"));
        check("id=npm,env=NPM", "npm", variable("NPM"));
        check("type=env,id=npm,src=NPM", "npm", variable("NPM"));
        check("type=env,id=npm,env=NPM", "npm", variable("NPM"));
        check("type=file,id=npm,src=a", "npm", file("a"));
        check("id=npm", "npm", None);
        check("id=npm,src=", "npm", None);
        check("type=env,id=npm", "npm", variable("npm"));
        check("type=file,id=npm", "npm", file("npm"));
        check("id=npm,\"src=a,b\"", "npm", file("a,b"));
    }

    #[test]
    fn invalid_secret_specs_are_reported_with_a_hint() {
        let check = |text: &str, expected: &str| {
            let message = crate::base::error::text(&read_secret(text).unwrap_err().into());
            let message = message.strip_prefix(&format!("`--secret {text}`: ")).unwrap();
            assert_eq!(message, expected);
        };
        check(
            "npm",
            "`npm` has no value\nhint: write `--secret id=npm,env=NAME` or `id=npm,src=FILE`",
        );
        check("src=a", "the ID is missing\nhint: start with `id=`, as in `id=npm,env=NPM_TOKEN`");
        check(
            "id=,src=a",
            "the ID is missing\nhint: start with `id=`, as in `id=npm,env=NPM_TOKEN`",
        );
        check("id=a,evn=B", "unknown field `evn`\nhint: did you mean `env=`?");
        check(
            "id=a,env=B,src=c",
            "both a file and a variable are specified\nhint: remove one of them",
        );
        check("id=a,type=file,env=B", "`env` needs `type=env`\nhint: write `type=env`");
        check("id=a,type=x", "unknown type\nhint: write `type=file` or `type=env`");
        check("id=a\"", "unexpected quote\nhint: write `id=ID,src=FILE` or `id=ID,env=NAME`");
    }

    #[test]
    fn ssh_specs_are_parsed_into_an_id_and_paths() {
        let check = |text: &str, id: &str, paths: &[&str]| {
            assert_eq!(read_agent(text), (id, paths.to_vec()), "{text}");
        };
        check("default", "default", &[]);
        check("", "default", &[]);
        check("work", "work", &[]);
        check("work=", "work", &[]);
        check("work=/run/agent", "work", &["/run/agent"]);
        check("=/run/agent", "default", &["/run/agent"]);
        check("work=a,b", "work", &["a", "b"]);
        check("work=a=b", "work", &["a=b"]);
    }
}
