//! References as distribution's own code normalises them.

use layers::graph::reference::Reference;

#[test]
fn every_case_is_normalised_as_docker_does() {
    let cases: Vec<serde_json::Value> =
        serde_json::from_str(include_str!("cases/references.json")).unwrap();
    assert!(!cases.is_empty());
    let mut wrong = Vec::new();
    for case in &cases {
        let (text, expect) = (case["ref"].as_str().unwrap(), &case["expect"]);
        let found = match Reference::parse(text) {
            Ok(it) => serde_json::json!({
                "normalised": it.normalised(),
                "domain": it.domain,
                "path": it.path,
                "familiar": it.familiar(),
            }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        if found != *expect {
            wrong.push(format!("{} `{text}`:\n  {found}\n  {expect}", case["id"]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
