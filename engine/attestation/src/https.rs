//! The little of URLs (RFC 3986) that trust hangs on: who serves an https URL, and whether two texts name one issuer.

/// Returns the authority (host, and port when it is written) of an https URL; `None` when it is none, or when it has what
/// makes readers disagree about its host: user information, a backslash, blanks, control characters.
pub(crate) fn authority(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let odd = |c: char| c == '@' || c == '\\' || c.is_whitespace() || c.is_control();
    (!host(authority).is_empty() && !url.contains(['\\']) && !authority.contains(odd)).then_some(authority)
}

/// Returns the host of an authority. Hosts here are names; an IPv6 address in brackets stays with what is behind it.
pub(crate) fn host(authority: &str) -> &str {
    match authority.split_once(':') {
        Some((host, _)) if !authority.starts_with('[') => host,
        _ => authority,
    }
}

/// Whether two texts name one issuer: the same text, apart from one slash at the end. Policies are written with it and
/// without, tokens without.
pub(crate) fn same_issuer(authority: &str, issuer: &str) -> bool {
    let trim = |text| -> &str { str::strip_suffix(text, '/').unwrap_or(text) };
    trim(authority) == trim(issuer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_what_every_reader_takes_them_for() {
        let table = [
            ("https://a.example", Some(("a.example", "a.example"))),
            ("https://a.example/", Some(("a.example", "a.example"))),
            ("https://a.example:8443/x?y#z", Some(("a.example:8443", "a.example"))),
            ("https://a.example?x=/b", Some(("a.example", "a.example"))),
            ("https://a.example#b", Some(("a.example", "a.example"))),
            ("https://[::1]:1/", Some(("[::1]:1", "[::1]:1"))),
            ("https://a.example@evil.example/", None),
            ("https://a.example\\@evil.example/", None),
            ("https://a.example/\\evil", None),
            ("https://a example/", None),
            ("https://", None),
            ("https:///x", None),
            ("https://:8443/", None),
            ("http://a.example", None),
            ("HTTPS://a.example", None),
            ("a.example", None),
        ];
        for (url, expected) in table {
            assert_eq!(authority(url).map(|found| (found, host(found))), expected, "{url}");
        }
    }
}
