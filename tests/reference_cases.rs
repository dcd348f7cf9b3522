//! Image references compared with the normal forms from Docker's own code.

use layers::graph::reference::Reference;
use serde_json::Value;

#[test]
fn references_are_normalized_as_in_docker() {
    let cases: Vec<Value> = serde_json::from_str(include_str!("cases/references.json")).unwrap();
    assert!(!cases.is_empty());
    for case in &cases {
        let (id, text, expected) = (&case["id"], case["ref"].as_str().unwrap(), &case["expect"]);
        let read = Reference::parse(text);
        if expected["error"].is_string() {
            assert!(read.is_err(), "{id}: {text} was read as {read:?}");
            continue;
        }
        let read = read.unwrap_or_else(|error| panic!("{id}: {text}: {error}"));
        assert_eq!(Some(read.normalized().as_str()), expected["normalized"].as_str(), "{id}");
        assert_eq!(Some(read.domain.as_str()), expected["domain"].as_str(), "{id}");
        assert_eq!(Some(read.path.as_str()), expected["path"].as_str(), "{id}");
        assert_eq!(Some(read.familiar().as_str()), expected["familiar"].as_str(), "{id}");
        // Parsing the normal form again does not change it.
        assert_eq!(Reference::parse(&read.normalized()), Ok(read), "{id}");
    }
}
