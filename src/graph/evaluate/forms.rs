//! The formats that some values must have after expansion: file modes, ports, and signals.
//!
//! Owns the grammars. `steps` applies them and reports errors.

/// The names of signals without `SIG`. `RTMIN+N` and `RTMAX-N` name the other real-time signals.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "RTMAX", "RTMIN", "SEGV", "STKFLT", "STOP", "SYS",
    "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU",
    "XFSZ",
];

/// Returns whether `STOPSIGNAL` accepts a text: a number other than 0, or a name.
pub(super) fn is_signal(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().is_ok_and(|number| number != 0);
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let counted = |prefix, most: u8| {
        let count = name.strip_prefix(prefix).filter(|count| !count.starts_with(['0', '+']));
        count.and_then(|count| count.parse().ok()).is_some_and(|count: u8| count <= most)
    };
    SIGNALS.contains(&name) || counted("RTMIN+", 15) || counted("RTMAX-", 14)
}

/// Returns whether `--chmod` accepts a text: an octal number up to 7777, or changes such as
/// `u+x,go=`.
pub(super) fn is_mode(text: &str) -> bool {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let is_octal = text.bytes().all(|b| matches!(b, b'0'..=b'7'));
        return is_octal && u32::from_str_radix(text, 8).is_ok_and(|mode| mode <= 0o7777);
    }
    text.split(',').all(|clause| {
        let changes = clause.trim_start_matches(['a', 'u', 'g', 'o']);
        changes.starts_with(['+', '-', '=']) && changes.chars().all(|c| "+-=rwxXstugo".contains(c))
    })
}

/// Returns whether `EXPOSE` accepts a word: `80`, `80-90/udp`, or `address:port:port`, which
/// BuildKit also accepts.
pub(super) fn is_port(text: &str) -> bool {
    let mut parts = text.rsplitn(3, ':');
    let container = parts.next().unwrap_or_default();
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol = protocol.to_ascii_lowercase();
    if !["", "tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return false;
    }
    let Some(inside) = port_range(container) else { return false };
    let is_host = match parts.next() {
        None | Some("") => true,
        // A range of container ports needs a range of host ports of the same size.
        Some(host) => port_range(host).is_some_and(|outside| inside == 0 || inside == outside),
    };
    is_host && parts.next().is_none_or(is_address)
}

/// Returns the difference between the last and the first port of a range.
fn port_range(text: &str) -> Option<u32> {
    let port = |text: &str| text.parse::<u32>().ok().filter(|port| *port <= 65_535);
    match text.split_once('-') {
        None => port(text).map(|_| 0),
        Some((low, high)) => port(high)?.checked_sub(port(low)?),
    }
}

fn is_address(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    text.is_empty() || bare.unwrap_or(text).parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks two lists of texts separated by blanks: `yes` has valid ones and `no` has invalid
    /// ones.
    fn check(is: fn(&str) -> bool, yes: &str, no: &str) {
        for (texts, expected) in [(yes, true), (no, false)] {
            for text in texts.split(' ').filter(|text| !text.is_empty()) {
                assert_eq!(is(text), expected, "{text}");
            }
        }
    }

    #[test]
    fn signals_are_validated() {
        check(is_signal, "9 -1 +3 99 KILL SIGTERM sigint RTMIN RTMIN+15 SIGRTMAX-1", "0 x 1.5 SIG");
        check(is_signal, "XFSZ CLD", "RTMIN+16 RTMIN+ RTMAX-15 99999999999999999999");
        assert!(!is_signal(""));
        assert!(!is_signal("TERM KILL"));
    }

    #[test]
    fn file_modes_are_validated() {
        check(is_mode, "755 0644 7777 u+x a=rw +x go=u = u+rwX,g-w a+st u+x-w", "8 0o7 99999 -1");
        check(is_mode, "0 07777", "rwx x u u+x, 10000 u+q ,+x 755x");
        assert!(!is_mode(""));
    }

    #[test]
    fn ports_are_validated() {
        check(is_port, "80 80/tcp 80/TCP 80/ 80-90/udp 0 5-5 65535", "a -1 70000 90-80 1-2-3 80/x");
        check(is_port, "80:90 1.2.3.4:80:90 127.0.0.1::80 1-2:80 :80", "80: /tcp tcp/80 x:80");
        check(is_port, "[::1]:80:90 ::1:80:90 80-81:90-91", "80-90:90-95 [::1:80:90 x:80:90");
        assert!(!is_port(""));
    }
}
