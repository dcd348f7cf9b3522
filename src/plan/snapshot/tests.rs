//! Lists of images, looked up by reference and by key.

use super::*;
use crate::base::clock::UnixTime;

fn listed(id: &str, key: Option<&str>, created: u32, references: &[&str]) -> ListedImage {
    let label = |key: &str| (KEY_LABEL.to_owned(), key.to_owned());
    ListedImage {
        id: id.to_owned(),
        created: UnixTime::from_seconds(created.into()),
        references: references.iter().map(|it| (*it).to_owned()).collect(),
        labels: key.into_iter().map(label).collect(),
        size: created.into(),
    }
}

fn references(texts: &[&str]) -> Vec<Reference> {
    texts.iter().map(|text| Reference::parse(text).unwrap()).collect()
}

fn snapshot() -> StoreSnapshot {
    StoreSnapshot::read(vec![
        listed("old", Some("k"), 1, &["acme/a:latest", "acme/a:1"]),
        listed("young", Some("k"), 3, &["acme/b:latest"]),
        listed("other", Some("l"), 2, &[]),
        listed("foreign", None, 4, &["acme/c:latest"]),
    ])
}

#[test]
fn references_point_to_one_image_to_several_or_to_none() {
    let snapshot = snapshot();
    let check = |texts: &[&str], expected: &str| {
        let found = match snapshot.target_of(&references(texts)) {
            ReferenceTarget::One(image) => format!("one {}", image.id),
            ReferenceTarget::Missing(reference) => format!("missing {reference}"),
            ReferenceTarget::Several(reference) => format!("several {reference}"),
        };
        assert_eq!(found, expected, "{texts:?}");
    };
    check(&["acme/a"], "one old");
    check(&["acme/a:1", "docker.io/acme/a:latest"], "one old");
    check(&["acme/a:1", "acme/b"], "several acme/b:latest");
    check(&["acme/a:1", "acme/a:2", "acme/b"], "missing acme/a:2");
    // An image without a key was not built by `layers`.
    check(&["acme/c"], "missing acme/c:latest");
    check(&[], "missing ");
}

#[test]
fn any_reference_to_an_image_with_a_key_is_found() {
    let snapshot = snapshot();
    assert!(snapshot.holds_any(&references(&["acme/x", "acme/a:1"])));
    assert!(!snapshot.holds_any(&references(&["acme/x", "acme/c"])));
    assert!(!snapshot.holds_any(&[]));
}

#[test]
fn images_with_a_key_are_sorted_newest_first() {
    let snapshot = snapshot();
    let ids = |key: &str| snapshot.with_key(key).map(|it| it.id.as_str()).collect::<Vec<_>>();
    assert_eq!(ids("k"), ["young", "old"]);
    assert_eq!(ids("l"), ["other"]);
    assert!(ids("m").is_empty());
    let sizes = ["old", "young", "foreign"].map(|id| snapshot.size(id));
    assert_eq!(sizes, [Some(1), Some(3), None]);
}

#[test]
fn missing_or_moved_references_are_lost() {
    let snapshot = snapshot();
    let old = snapshot.with_key("k").find(|it| it.id == "old").unwrap();
    let lost = |texts: &[&str]| snapshot.lost(old, &references(texts));
    assert!(lost(&["acme/a:1", "acme/a"]).is_empty());
    assert_eq!(lost(&["acme/a:1", "acme/b", "acme/x:2"]), ["acme/b:latest", "acme/x:2"]);
}

#[test]
fn aliases_of_ended_processes_are_stale() {
    let alive = alias::new_alias();
    let id = std::process::id();
    let dead = alive.replace(&format!("-{id}/"), "-4294967295/");
    assert_ne!(alive, dead);
    let snapshot =
        StoreSnapshot::read(vec![listed("x", Some("k"), 1, &["acme/a:latest", &alive, &dead])]);
    assert_eq!(snapshot.stale_aliases(), [dead]);
}
