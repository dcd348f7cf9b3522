//! An image in the registry has the same identity for a child as in an engine.

use std::collections::BTreeMap;

use layers::engine::ImageStore;
use layers::engine::docker::Docker;
use layers::engine::docker::endpoint::EndpointEnvironment;
use layers::inputs::Identity;

use crate::common::registry::Registry;
use crate::world::{Machine, Tree, held};

/// Everything that a configuration can contain, and empty values.
const RICH: &str = r#"
MAINTAINER "me"
ENV A=b PATH=/bin:/usr/bin EMPTY=
LABEL one="two three" four=''
WORKDIR /w/x
USER 7:8
EXPOSE 80/tcp 53/udp
VOLUME ["/v"]
STOPSIGNAL SIGINT
HEALTHCHECK --interval=5s CMD ["/check"]
SHELL ["/bin/sh", "-ec"]
ONBUILD RUN x
ENTRYPOINT ["/e", "f"]
CMD g "h i"
"#;

#[test]
fn image_identities_match_between_engine_and_registry() {
    let Some(registry) = Registry::start() else { return };
    let Some(machine) = Machine::start_or_skip() else { return };
    let address = registry.address();
    let tree = Tree::new(&[("bare", "", &[]), ("rich", "", &[]), ("child", "bare", &[])]);
    tree.write("docker/rich/Dockerfile", &format!("FROM scratch\nCOPY file /rich{RICH}"));
    machine.build(&tree, address, "--all --push").well();
    let host = Some(machine.daemon.address());
    let engine =
        Docker::find(&EndpointEnvironment { host, ..EndpointEnvironment::default() }).unwrap();
    let mut seen = BTreeMap::new();
    for image in tree.images() {
        let stored = engine.inspect(&tree.reference(&image)).unwrap().unwrap();
        let remote = held(address, &tree.repository(&image), "latest").unwrap();
        assert_eq!(remote.platform, stored.platform, "{image}");
        assert_eq!(remote.diff_ids, stored.diff_ids, "{image}");
        let identity = Identity::of(&stored);
        assert_eq!(Identity::of_remote(&remote), identity, "{image}: {remote:?} {stored:?}");
        seen.insert(identity, image);
    }
    assert_eq!(seen.len(), 3, "they differ from one another: {seen:?}");
}
