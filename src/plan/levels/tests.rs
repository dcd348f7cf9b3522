//! Plans in groups of images that do not depend on each other.

use super::*;
use crate::base::Id;

#[test]
fn images_are_one_level_after_their_last_dependency() {
    let check = |parents: &[&[u32]], expected: &[&[u32]]| {
        let ids = |numbers: &[u32]| numbers.iter().copied().map(UnitId).collect::<Vec<_>>();
        let order = (0..parents.len()).map(UnitId::from_index).collect();
        let plan = Plan::from_parents(order, parents.iter().map(|it| ids(it)).collect());
        let expected: Vec<Vec<UnitId>> = expected.iter().map(|it| ids(it)).collect();
        assert_eq!(levels(&plan), expected, "{parents:?}");
    };
    check(&[], &[]);
    check(&[&[], &[], &[]], &[&[0, 1, 2]]);
    check(&[&[], &[0], &[1]], &[&[0], &[1], &[2]]);
    check(&[&[], &[], &[0, 1], &[1], &[2, 3]], &[&[0, 1], &[2, 3], &[4]]);
    // 3 depends on a near image and a far one.
    check(&[&[], &[0], &[1], &[0, 2]], &[&[0], &[1], &[2], &[3]]);
}

#[test]
fn images_outside_the_plan_are_not_in_any_level() {
    let parents = [vec![], vec![], vec![UnitId(1)]];
    let plan = Plan::from_parents(vec![UnitId(1), UnitId(2)], parents.into_iter().collect());
    assert_eq!(levels(&plan), [[UnitId(1)], [UnitId(2)]]);
}
