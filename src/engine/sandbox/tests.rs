//! The syntax of the options, as docker reads them.

use super::*;

#[track_caller]
fn check<T: FromStr<Err = InvalidOption>>(
    text: &str,
    shown: impl Fn(T) -> String,
    expected: Result<&str, &str>,
) {
    let read = text.parse().map(shown).map_err(|error| error.message);
    assert_eq!(read.as_deref().map_err(String::as_str), expected, "{text}");
}

#[track_caller]
fn check_size(text: &str, expected: Result<&str, &str>) {
    check(text, |size: ShmSize| format!("{} {size}", size.bytes()), expected);
}

#[test]
fn network_modes_are_those_of_buildkit() {
    let check = |text, expected| check(text, |mode: NetworkMode| mode.to_string(), expected);
    check("default", Ok("default"));
    check("none", Ok("none"));
    check("host", Ok("host"));
    check("bridge", Err("BuildKit does not support the network mode `bridge`"));
    check("", Err("BuildKit does not support the network mode ``"));
}

#[test]
fn sizes_are_parsed_and_shown_like_docker() {
    check_size("128m", Ok("134217728 128m"));
    check_size("128MB", Ok("134217728 128m"));
    check_size("128 MiB", Ok("134217728 128m"));
    check_size("134217728", Ok("134217728 128m"));
    check_size("1.5g", Ok("1610612736 1536m"));
    check_size("0.0000000001p", Ok("112589 112589"));
    check_size("1000b", Ok("1000 1000"));
    check_size("0", Ok("0 0"));
    check_size("8191p", Ok("9222246136947933184 8191p"));
    for text in ["", "m", "-1", "1.", ".5", "1.2.3", "1x", "1mm", "1mib2", "8192p", "1  m", "é"] {
        let message = format!("`{text}` is not a valid size");
        check_size(text, Err(&message));
    }
    check_size("99999999999999999999", Err("`99999999999999999999` is not a valid size"));
}

#[test]
fn ulimits_have_a_soft_and_a_hard_value() {
    let check = |text, expected| {
        check(text, |limit: Ulimit| format!("{} {}", limit.name, limit.limits), expected);
    };
    check("nofile=1024:2048", Ok("nofile 1024:2048"));
    check("nofile=1024", Ok("nofile 1024:1024"));
    check("core=-1", Ok("core -1:-1"));
    check("core=0:-1", Ok("core 0:-1"));
    check("nofile", Err("`nofile` has no value"));
    check("nofiles=1", Err("unknown ulimit `nofiles`"));
    check("NOFILE=1", Err("unknown ulimit `NOFILE`"));
    check("nofile=", Err("`` is not a valid value for a ulimit"));
    check("nofile=1:2:3", Err("`2:3` is not a valid value for a ulimit"));
    check("nofile=-2", Err("`-2` is not a valid value for a ulimit"));
    check("nofile=2:1", Err("the soft limit 2 exceeds the hard limit 1"));
    check("nofile=-1:5", Err("the soft limit -1 exceeds the hard limit 5"));
    let hint = |text: &str| text.parse::<Ulimit>().unwrap_err().hint;
    assert_eq!(hint("nofiles=1"), "did you mean `nofile`?");
    assert!(hint("x=1").starts_with("the ulimits are core, cpu, "), "{}", hint("x=1"));
}

#[test]
fn hosts_have_addresses_with_and_without_brackets() {
    let check = |text, expected| {
        check(text, |host: ExtraHost| format!("{} {}", host.name, host.address), expected);
    };
    check("db:10.0.0.1", Ok("db 10.0.0.1"));
    check("DB=10.0.0.1", Ok("db 10.0.0.1"));
    check("db:::1", Ok("db ::1"));
    check("db=[::1]", Ok("db ::1"));
    check("db:[0:0::1]", Ok("db ::1"));
    check("host.docker.internal:host-gateway", Ok("host.docker.internal host-gateway"));
    check("db", Err("`db` has no address"));
    check(":10.0.0.1", Err("`` is not a valid host name"));
    check("a b:10.0.0.1", Err("`a b` is not a valid host name"));
    check("a,b=10.0.0.1", Err("`a,b` is not a valid host name"));
    check("a\nb=10.0.0.1", Err("`a\\nb` is not a valid host name"));
    check("db:10.0.0", Err("`10.0.0` is not a valid IP address"));
    check("db:[10.0.0.1]", Err("`[10.0.0.1]` is not a valid IP address"));
    check("db:", Err("`` is not a valid IP address"));
}

#[test]
fn equal_options_are_described_alike() {
    let mut sandbox = Sandbox { network: Some(NetworkMode::Default), ..Sandbox::default() };
    sandbox.shm_size = Some("0".parse().unwrap());
    assert_eq!(sandbox.described(), BTreeMap::new());
    for host in ["db:10.0.0.2", "DB:10.0.0.1", "db=10.0.0.2"] {
        sandbox.add_host(host.parse().unwrap());
    }
    let limit: Ulimit = "nofile=5".parse().unwrap();
    sandbox.ulimits.insert(limit.name, limit.limits);
    let over = Sandbox {
        network: Some(NetworkMode::None),
        shm_size: Some("131072k".parse().unwrap()),
        ..Sandbox::default()
    };
    sandbox.extend(&over);
    let described: Vec<String> =
        sandbox.described().iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let expected =
        ["add-host db: 10.0.0.2 10.0.0.1", "network: none", "shm-size: 128m", "ulimit nofile: 5:5"];
    assert_eq!(described, expected);
}
