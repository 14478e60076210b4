//! What of the key stores' data planes the embedded Azure lacks, by name.

/// `GET /keys/{key}/{version}/attestation`.
pub(super) const KEY_ATTESTATION: &str = "key attestation (get_key_attestation)";

/// The name of what a path asks for; none: it is nothing that Azure has under such a path.
pub(super) fn of(path: &str) -> Option<&'static str> {
    let mut segments = path.trim_start_matches('/').split('/');
    let (first, last) = (segments.next().unwrap_or_default(), segments.next_back().unwrap_or_default());
    match (first, last) {
        ("keys", "attestation") => Some(KEY_ATTESTATION),
        ("certificates" | "deletedcertificates", _) => Some("certificates"),
        ("storage" | "deletedstorage", _) => Some("managed storage accounts"),
        _ => None,
    }
}
