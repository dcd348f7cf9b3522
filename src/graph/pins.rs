//! The digests at which a committed graph.json pins externals.
//!
//! Owns reading them, tolerantly: the file may be of another version, edited by hand or no JSON at all;
//! what can't be understood pins nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::reference::is_digest;

/// Digests by the image that needs an external and the external's reference, normalised.
#[derive(Debug, Clone, Default)]
pub struct Pins(BTreeMap<String, BTreeMap<String, String>>);

impl Pins {
    /// Those in the text of a graph.json.
    pub fn read(text: &[u8]) -> Pins {
        let lock: Value = serde_json::from_slice(text).unwrap_or_default();
        let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let mut pins = Pins::default();
        for image in list(&lock, "images") {
            let Some(name) = image["name"].as_str() else { continue };
            for external in list(&image, "externals") {
                let texts = (external["reference"].as_str(), external["digest"].as_str());
                let (Some(reference), Some(digest)) = texts else { continue };
                if is_digest(digest) {
                    let of_image = pins.0.entry(name.to_owned()).or_default();
                    of_image.insert(reference.to_owned(), digest.to_owned());
                }
            }
        }
        pins
    }

    /// The digest of an external of an image.
    pub fn find(&self, image: &str, reference: &str) -> Option<&str> {
        self.0.get(image)?.get(reference).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_be_understood_pins_nothing() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let lock = |digest: &str| {
            format!(
                r#"{{"images":[7,{{"name":"a","externals":[{{"reference":"x","digest":{digest}}}]}}]}}"#
            )
        };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(Pins::read(text.as_bytes()).find("a", "x"), expected, "{text}");
        };
        check(&lock(&format!("\"{digest}\"")), Some(&digest));
        check(&lock("null"), None);
        check(&lock("\"sha256:12|<b>\""), None);
        for text in ["", "{", "7", "{\"images\":{}}", "{\"images\":[{\"name\":\"a\"}]}"] {
            check(text, None);
        }
        assert_eq!(Pins::read(lock(&format!("\"{digest}\"")).as_bytes()).find("b", "x"), None);
    }
}
