//! Popular official images.
//!
//! Owns the list, so that suggestions for misspelled names ignore these images.

/// Official images that many Dockerfiles use. A stage or directory with a similar name is not a
/// reason to suspect a typo.
const WELL_KNOWN: [&str; 40] = [
    "alpine",
    "amazonlinux",
    "archlinux",
    "bash",
    "buildpack-deps",
    "busybox",
    "caddy",
    "centos",
    "clojure",
    "composer",
    "debian",
    "docker",
    "elixir",
    "erlang",
    "fedora",
    "gcc",
    "golang",
    "gradle",
    "haproxy",
    "haskell",
    "httpd",
    "julia",
    "mariadb",
    "maven",
    "memcached",
    "mongo",
    "mysql",
    "nginx",
    "node",
    "openjdk",
    "perl",
    "php",
    "postgres",
    "python",
    "rabbitmq",
    "redis",
    "ruby",
    "rust",
    "traefik",
    "ubuntu",
];

/// Returns whether a repository is a well-known image.
pub fn is_well_known(repository: &str) -> bool {
    WELL_KNOWN.contains(&repository)
}
