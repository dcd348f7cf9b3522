//! The identity of a built image: everything that a child can observe.
//!
//! Owns what the identity consists of: the digests of the uncompressed layers, and the parts of the configuration
//! that a child inherits. When an image was built, by what, and under which key does not count, so a rebuilt image
//! that comes out the same does not make its dependents stale.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::Platform;
use crate::engine::StoredImage;
use crate::registry::RemoteImage;

/// The version of what an identity consists of. Identities of different versions are not compared.
pub const FORMAT: u32 = 3;

/// The label that contains an image's key.
pub const KEY_LABEL: &str = "dev.layers.key";

/// The label that contains an image's proof of origin; see `plan/origin.rs`.
pub const PROOF_LABEL: &str = "dev.layers.proof";

/// The labels that this program adds to images. Children do not inherit them, because every image that this program
/// builds has its own.
pub const OUR_LABELS: [&str; 2] = [KEY_LABEL, PROOF_LABEL];

/// The parts of a configuration that a child does not inherit: the container that a classic build left behind, and
/// the image that it started from.
const LEFTOVERS: [&str; 3] = ["Hostname", "Domainname", "Image"];

/// The identity of an image. If two identities are equal, a child cannot distinguish the images.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The layers and the platform: everything visible to `COPY --from` and mounts.
    pub layers: String,
    /// The configuration: what `FROM` uses in addition to the layers.
    pub config: String,
}

impl Identity {
    /// Returns the identity of an image in an engine's store.
    pub fn of(image: &StoredImage) -> Identity {
        let outer = [image.author.as_str(), image.os_version.as_str()];
        Identity::made_of(&image.platform, &image.diff_ids, &image.config, outer)
    }

    /// Returns the identity of an image in a registry, which is the same as in an engine's store.
    pub fn of_remote(image: &RemoteImage) -> Identity {
        let outer = [image.author.as_str(), image.os_version.as_str()];
        Identity::made_of(&image.platform, &image.diff_ids, &image.config, outer)
    }

    /// Returns the identity from its parts. A child starts from the whole configuration of its base except the
    /// creation time (BuildKit, `dockerfile2llb/convert.go` and `image.go`): the platform with the version of its
    /// operating system, the author (`outer`), and the runtime configuration. The `os.features` of a Windows image
    /// are inherited too, but engines do not report them.
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

/// Returns the configuration without empty values (engines write `null`, `""`, `[]`, or nothing for the same),
/// leftovers, and the labels that this program adds.
fn inherited(config: &Value) -> Value {
    let Value::Object(fields) = config else { return Value::Null };
    let fields = fields.iter().filter(|(name, _)| !LEFTOVERS.contains(&name.as_str()));
    let cleaned = fields.map(|(name, value)| match value {
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
        // An empty list in an instruction can have a meaning: `ENTRYPOINT []` removes the parent's. But the
        // resulting image is the same as one without an entrypoint.
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn digest(value: &impl Serialize) -> String {
    // Serializing strings, lists, and maps cannot fail.
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
    fn only_inherited_configuration_is_part_of_the_identity() {
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
        // All other labels are inherited, whatever their names.
        let other = json!({"x": "y", "dev.layers.other": "0"});
        check(json!({"Env": ["A=b"], "Labels": other, "Cmd": ["sh"]}), false);
        // Cases K61 to K64 in `tests/cases/parents.json`: a label, a variable, a trigger.
        check(json!({"Env": ["A=b"], "Labels": {"x": "z"}, "Cmd": ["sh"]}), false);
        check(json!({"Env": ["A=c"], "Labels": {"x": "y"}, "Cmd": ["sh"]}), false);
        check(
            json!({"Env": ["A=b"], "Labels": {"x": "y"}, "Cmd": ["sh"], "OnBuild": ["RUN x"]}),
            false,
        );
    }

    #[test]
    fn layers_and_platform_are_part_of_the_identity() {
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
