//! Names: which ones Azure accepts for accounts, containers and blobs.

use crate::refusal::Refusal;

/// Whether an account may have this name: 3 to 24 lower-case letters and digits.
pub(super) fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Azure's sentence about a name that it does not accept.
pub(super) fn account_rule(name: &str) -> String {
    format!(
        "{name} is not a valid storage account name. Storage account name must be between 3 and 24 characters in \
         length and use numbers and lower-case letters only."
    )
}

/// Refuses a container name that breaks the rules: 3 to 63 lower-case letters, digits and single hyphens, which
/// neither start nor end it; `$root`, `$logs` and `$web` have theirs from Azure.
pub(super) fn check_container(name: &str) -> Result<(), Refusal> {
    if !(3..=63).contains(&name.len()) {
        return Err(Refusal::new(
            400,
            "OutOfRangeInput",
            "The specified resource name length is not within the permissible limits.",
        ));
    }
    let well_formed = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--");
    if well_formed || matches!(name, "$root" | "$logs" | "$web") {
        return Ok(());
    }
    Err(Refusal::new(400, "InvalidResourceName", "The specified resource name contains invalid characters."))
}

/// Refuses a blob name that is empty, longer than 1,024 characters or deeper than 254 segments.
pub(super) fn check_blob(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.chars().count() > 1024 || name.split('/').count() > 254 {
        return Err(Refusal::new(
            400,
            "OutOfRangeInput",
            "The specified resource name length is not within the permissible limits.",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        for (name, expected) in [
            ("abc", true),
            ("cmklab0123456789abcdefgh", true),
            ("cmklab0123456789abcdefghi", false),
            ("ab", false),
            ("Abc", false),
            ("a-b", false),
            ("a_b", false),
            ("", false),
            ("äbc", false),
        ] {
            assert_eq!(is_account(name), expected, "{name}");
        }
    }

    #[test]
    fn containers_and_blobs() {
        let code = |result: Result<(), Refusal>| result.err().map_or("ok".to_owned(), |refusal| refusal.code);
        for (name, expected) in [
            ("data", "ok"),
            ("a-b-1", "ok"),
            ("$root", "ok"),
            ("ab", "OutOfRangeInput"),
            ("a--b", "InvalidResourceName"),
            ("-ab", "InvalidResourceName"),
            ("ab-", "InvalidResourceName"),
            ("Data", "InvalidResourceName"),
            ("$other", "InvalidResourceName"),
        ] {
            assert_eq!(code(check_container(name)), expected, "{name}");
        }
        assert_eq!(code(check_container(&"a".repeat(64))), "OutOfRangeInput");
        assert_eq!(code(check_blob(&"ä".repeat(1024))), "ok");
        assert_eq!(code(check_blob(&"a".repeat(1025))), "OutOfRangeInput");
        assert_eq!(code(check_blob(&"a/".repeat(254))), "OutOfRangeInput");
    }
}
