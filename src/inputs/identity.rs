//! What a built image is, as far as a child can tell.
//!
//! Owns the identity: the digests of the unpacked layers, and the parts of the configuration
//! that a child inherits. When an image was made, by what and under which key does not count, so
//! that an image that is rebuilt and comes out the same leaves its dependents alone.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::Platform;
use crate::engine::StoredImage;
use crate::registry::RemoteImage;

/// What counts for an identity, as a number that is raised whenever that changes: identities of
/// another are not compared with today's.
pub const FORMAT: u32 = 3;

/// The label that carries an image's key.
pub const KEY_LABEL: &str = "dev.layers.key";

/// The label that carries the proof of an image's origin: see `plan/origin.rs`.
pub const PROOF_LABEL: &str = "dev.layers.proof";

/// The labels that this program adds to an image. They are no part of what a child inherits: every image
/// that is built here has its own.
pub const OUR_LABELS: [&str; 2] = [KEY_LABEL, PROOF_LABEL];

/// What is no part of a configuration that a child inherits: the container that a classic build
/// left behind, and the image that it began with.
const LEFTOVERS: [&str; 3] = ["Hostname", "Domainname", "Image"];

/// Two equal identities mean that a child can't tell the images apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The layers and the platform: all that `COPY --from` and a mount can see.
    pub layers: String,
    /// The configuration: what a `FROM` sees beside the layers.
    pub config: String,
}

impl Identity {
    /// The identity of an image in an engine's store.
    pub fn of(image: &StoredImage) -> Identity {
        let outer = [image.author.as_str(), image.os_version.as_str()];
        Identity::made_of(&image.platform, &image.diff_ids, &image.config, outer)
    }

    /// The identity of an image in a registry: what it will be in an engine's store, too.
    pub fn of_remote(image: &RemoteImage) -> Identity {
        let outer = [image.author.as_str(), image.os_version.as_str()];
        Identity::made_of(&image.platform, &image.diff_ids, &image.config, outer)
    }

    /// A child starts from the whole configuration of its base, without its creation time (BuildKit,
    /// `dockerfile2llb/convert.go` and `image.go`): the platform with the version of its operating system,
    /// the author (`outer`), and the runtime configuration. The `os.features` of a Windows image are
    /// inherited too, but engines do not report them.
    fn made_of(
        platform: &Platform,
        diff_ids: &[String],
        config: &Value,
        outer: [&str; 2],
    ) -> Identity {
        Identity {
            layers: digest(&(platform, diff_ids)),
            config: digest(&(outer, inherited(config))),
        }
    }
}

/// The configuration without what is empty (engines write `null`, `""`, `[]` or nothing for the
/// same), without leftovers and without our labels.
fn inherited(config: &Value) -> Value {
    let Value::Object(fields) = config else { return Value::Null };
    let kept = fields.iter().filter(|(name, _)| !LEFTOVERS.contains(&name.as_str()));
    let cleaned = kept.map(|(name, value)| match value {
        Value::Object(labels) if name == "Labels" => {
            let theirs = labels.iter().filter(|(label, _)| !OUR_LABELS.contains(&label.as_str()));
            let theirs = theirs.map(|(label, value)| (label.clone(), value.clone()));
            (name.clone(), Value::Object(theirs.collect()))
        }
        value => (name.clone(), value.clone()),
    });
    let mut cleaned: Vec<(String, Value)> = cleaned.filter(|(_, value)| !is_empty(value)).collect();
    cleaned.sort_by(|a, b| a.0.cmp(&b.0));
    Value::Object(cleaned.into_iter().collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        // An empty list is not always nothing: `ENTRYPOINT []` takes the parent's away, but what
        // is left in the image then is what an image without one has.
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn digest(value: &impl Serialize) -> String {
    // Strings, lists and maps always become JSON.
    let text = serde_json::to_vec(value).unwrap_or_default();
    blake3::hash(&text).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn image(config: Value) -> StoredImage {
        let diff_ids = vec!["sha256:a".to_owned()];
        StoredImage {
            platform: Platform::of("linux", "amd64", ""),
            diff_ids,
            config,
            ..Default::default()
        }
    }

    #[test]
    fn a_child_inherits_the_configuration_and_not_the_leftovers() {
        let plain = json!({"Env": ["A=b"], "Labels": {"x": "y"}, "Cmd": ["sh"]});
        let check = |config: Value, same: bool| {
            let (before, after) =
                (Identity::of(&image(plain.clone())), Identity::of(&image(config)));
            assert_eq!(before.layers, after.layers);
            assert_eq!(before.config == after.config, same);
        };
        check(plain.clone(), true);
        check(
            json!({"Env": ["A=b"], "Labels": {"x": "y", KEY_LABEL: "0", PROOF_LABEL: "1"}, "Cmd": ["sh"],
                   "Hostname": "h", "Image": "sha256:1", "OnBuild": null, "User": "", "Tty": false}),
            true,
        );
        // Any other label is inherited, whatever its name.
        let other = json!({"x": "y", "dev.layers.other": "0"});
        check(json!({"Env": ["A=b"], "Labels": other, "Cmd": ["sh"]}), false);
        // K61 to K64: a label, a variable, a trigger.
        check(json!({"Env": ["A=b"], "Labels": {"x": "z"}, "Cmd": ["sh"]}), false);
        check(json!({"Env": ["A=c"], "Labels": {"x": "y"}, "Cmd": ["sh"]}), false);
        check(
            json!({"Env": ["A=b"], "Labels": {"x": "y"}, "Cmd": ["sh"], "OnBuild": ["RUN x"]}),
            false,
        );
    }

    #[test]
    fn layers_and_platform_make_the_rest() {
        let one = image(Value::Null);
        let more =
            StoredImage { diff_ids: vec!["sha256:a".into(), "sha256:b".into()], ..one.clone() };
        let other = StoredImage { platform: Platform::of("linux", "arm64", ""), ..one.clone() };
        let again =
            StoredImage { created: "later".to_owned(), id: "other".to_owned(), ..one.clone() };
        for other in [
            StoredImage { author: "me".to_owned(), ..one.clone() },
            StoredImage { os_version: "10.0.1".to_owned(), ..one.clone() },
        ] {
            assert_eq!(Identity::of(&one).layers, Identity::of(&other).layers);
            assert_ne!(Identity::of(&one).config, Identity::of(&other).config, "inherited");
        }
        assert_ne!(Identity::of(&one).layers, Identity::of(&more).layers);
        assert_ne!(Identity::of(&one).layers, Identity::of(&other).layers);
        assert_eq!(Identity::of(&one), Identity::of(&again));
    }
}
