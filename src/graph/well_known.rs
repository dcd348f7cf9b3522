//! Images of one word that many Dockerfiles use.
//!
//! Owns the list, so that guesses about misspelled names leave those images alone.

/// Images of one word that many Dockerfiles use. A stage or directory of a similar name is no
/// reason to doubt them.
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

/// Returns whether a repository is one of them.
pub fn is_well_known(repository: &str) -> bool {
    WELL_KNOWN.contains(&repository)
}
