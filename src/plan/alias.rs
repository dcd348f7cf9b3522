//! Aliases: names that only one run uses for the parents it builds on.
//!
//! Owns their form. A reference such as `acme/base:latest` is shared by all users of an engine, and parallel builds
//! share what they have resolved it to, so a build may get what it pointed to a moment earlier. A name that no one else
//! uses points to the planned image, and to no other. It is under `layers.invalid`, where no registry can exist (RFC
//! 2606), and names the process that made it, so that it can be removed after that process has died.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::process::has_ended;

/// The prefix of all aliases.
const DOMAIN: &str = "layers.invalid/";

/// The number of hash digits that distinguish machines.
const DIGITS: usize = 12;

/// Returns a new alias that is unique on all machines that use the same engine.
pub fn new_alias() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let [machine, boot] = this_machine();
    format!("{DOMAIN}{machine}-{boot}-{}/parent:{count}", std::process::id())
}

/// Returns whether a reference is an alias whose process is dead. It must be from this machine, where that can be found
/// out.
pub fn is_stale_alias(reference: &str) -> bool {
    let Some(maker) = reference.strip_prefix(DOMAIN) else { return false };
    let maker = maker.split('/').next().unwrap_or_default();
    let mut parts = maker.splitn(3, '-');
    let (machine, boot, process) = (parts.next(), parts.next(), parts.next());
    let [this_machine, this_boot] = this_machine();
    if machine != Some(this_machine) {
        return false;
    }
    let process = process.and_then(|process| process.parse::<u32>().ok());
    let is_dead = process.is_none_or(|it| has_ended(it, None));
    Path::new("/proc/self").exists() && (boot != Some(this_boot) || is_dead)
}

/// Returns those of some references that are aliases of dead processes.
pub fn stale_aliases(references: &[String]) -> impl Iterator<Item = &String> {
    references.iter().filter(|reference| is_stale_alias(reference))
}

/// Returns hashes that identify this machine and its current boot.
fn this_machine() -> &'static [String; 2] {
    static THIS_MACHINE: OnceLock<[String; 2]> = OnceLock::new();
    let read = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        blake3::hash(text.trim().as_bytes()).to_hex()[..DIGITS].to_owned()
    };
    THIS_MACHINE.get_or_init(|| {
        [read("/proc/sys/kernel/hostname"), read("/proc/sys/kernel/random/boot_id")]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::reference::Reference;

    #[test]
    fn aliases_are_valid_and_unique_references() {
        let (one, other) = (new_alias(), new_alias());
        assert_ne!(one, other);
        assert_eq!(Reference::parse(&one).unwrap().familiar(), one);
        assert!(!is_stale_alias(&one), "its maker is alive");
    }

    #[test]
    fn only_aliases_of_ended_processes_are_stale() {
        let [machine, boot] = this_machine();
        let check = |name: &str, expected| assert_eq!(is_stale_alias(name), expected, "{name}");
        check(&format!("layers.invalid/{machine}-{boot}-4294967295/parent:0"), true);
        check(&format!("layers.invalid/{machine}-000000000000-1/parent:0"), true);
        check(&format!("layers.invalid/{machine}-{boot}-1/parent:0"), false);
        check(&format!("layers.invalid/000000000000-{boot}-4294967295/parent:0"), false);
        check("acme/base:latest", false);
        check("layers.invalid/x:latest", false);
    }
}
