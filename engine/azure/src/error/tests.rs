use super::*;

/// (status, header code, body) → (kind, code, outer code, role missing, start of message).
type Row = (u16, &'static str, &'static str, Kind, &'static str, &'static str, bool, &'static str);

/// Bodies as Azure sends them.
#[test]
fn bodies_of_every_service_become_errors() {
    let rows: &[Row] = &[
        (
            403,
            "",
            r#"{"error":{"code":"Forbidden","message":"Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role definitions were changed recently, please observe propagation time.\r\nCaller: appid=04b07795;oid=1;iss=https://sts.windows.net/t/\r\nAction: 'Microsoft.KeyVault/vaults/keys/read'\r\n","innererror":{"code":"ForbiddenByRbac"}}}"#,
            Kind::Forbidden,
            "ForbiddenByRbac",
            "Forbidden",
            true,
            "Caller is not authorized to perform action on resource.\nIf role",
        ),
        (
            403,
            "",
            r#"{"error":{"code":"AuthorizationFailed","message":"The client 'learner' with object id 'o' does not have authorization to perform action 'Microsoft.KeyVault/vaults/write' over scope '/subscriptions/s'."}}"#,
            Kind::Forbidden,
            "AuthorizationFailed",
            "",
            true,
            "The client 'learner'",
        ),
        (
            403,
            "AuthorizationPermissionMismatch",
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthorizationPermissionMismatch</Code><Message>This request is not authorized to perform this operation using this permission.\nRequestId:6f&amp;1\nTime:2026-01-01T00:00:00Z</Message></Error>",
            Kind::Forbidden,
            "AuthorizationPermissionMismatch",
            "",
            true,
            "This request is not authorized to perform this operation using this permission.\nRequestId:6f&1",
        ),
        (
            403,
            "KeyVaultEncryptionKeyNotFound",
            "",
            Kind::Forbidden,
            "KeyVaultEncryptionKeyNotFound",
            "",
            false,
            "the service answered with status 403 and no reason",
        ),
        (
            400,
            "",
            r#"{"error":{"code":"KeyVaultPolicyError","message":"Keyvault policy recoverable is not set"}}"#,
            Kind::BadRequest,
            "KeyVaultPolicyError",
            "",
            false,
            "Keyvault policy recoverable is not set",
        ),
        (
            400,
            "",
            r#"{"error":{"code":"InvalidTemplateDeployment","message":"The template is not valid.","details":[{"code":"QuotaExceeded","message":"Not enough cores.","target":"cores"}]}}"#,
            Kind::BadRequest,
            "QuotaExceeded",
            "InvalidTemplateDeployment",
            false,
            "Not enough cores.",
        ),
        (
            400,
            "",
            r#"{"error":{"code":"MultipleErrorsOccurred","message":"See details.","details":[{"code":"A","message":"a"},{"code":"B","message":"b"}]}}"#,
            Kind::BadRequest,
            "MultipleErrorsOccurred",
            "",
            false,
            "See details.",
        ),
        (
            400,
            "",
            r#"{"error":"invalid_grant","error_description":"AADSTS50126: Error validating credentials due to invalid username or password.\r\nTrace ID: t","error_codes":[50126]}"#,
            Kind::BadRequest,
            "AADSTS50126",
            "invalid_grant",
            false,
            "AADSTS50126: Error validating",
        ),
        (
            404,
            "",
            r#"{"error":{"code":"KeyNotFound","message":"A key with (name/id) cmk was not found in this key vault."}}"#,
            Kind::NotFound,
            "KeyNotFound",
            "",
            false,
            "A key with",
        ),
        (
            409,
            "ContainerAlreadyExists",
            "",
            Kind::Conflict,
            "ContainerAlreadyExists",
            "",
            false,
            "the service answered",
        ),
        (412, "ConditionNotMet", "", Kind::Conflict, "ConditionNotMet", "", false, "the service answered"),
        (
            429,
            "",
            r#"{"error":{"code":"SubscriptionRequestsThrottled","message":"Number of requests exceeded the limit."}}"#,
            Kind::Throttled,
            "SubscriptionRequestsThrottled",
            "",
            false,
            "Number of requests",
        ),
        (502, "", "<html><body>Bad Gateway</body></html>", Kind::Server, "Http502", "", false, "<html>"),
        (503, "ServerBusy", "", Kind::Server, "ServerBusy", "", false, "the service answered"),
    ];
    for (status, header, body, kind, code, outer, role, message) in rows {
        let mut headers = Headers::new();
        if !header.is_empty() {
            headers.insert("x-ms-error-code", *header);
        }
        headers.insert("x-ms-request-id", "r-1");
        let error = AzureError::from_answer(*status, &headers, body.as_bytes(), Effect::Read);
        assert_eq!((error.kind, error.code.as_str()), (*kind, *code), "{body}");
        assert_eq!(error.outer.as_deref().unwrap_or_default(), *outer, "{body}");
        assert_eq!(error.is_role_missing(), *role, "{body}");
        assert!(error.message.starts_with(message), "{:?}", error.message);
        assert_eq!(error.request_id.as_deref(), Some("r-1"));
    }
}

#[test]
fn predicates_follow_from_kind_and_code() {
    let rows = [
        (AzureError::answered(429, "TooManyRequests", ""), true, false),
        (AzureError::answered(500, "InternalServerError", ""), true, false),
        (AzureError::answered(200, "InternalServerError", ""), true, false),
        (AzureError::answered(400, "PrincipalNotFound", ""), true, false),
        (AzureError::answered(409, "ContainerBeingDeleted", ""), true, false),
        (AzureError::answered(409, "VaultAlreadyExists", ""), false, false),
        (AzureError::answered(200, "KeyVaultAccessForbidden", ""), false, true),
        (AzureError::answered(400, "KeyVaultAuthenticationFailure", ""), false, true),
        (AzureError::answered(429, "TooManyRequests", ""), true, false),
        (AzureError::new(Kind::Connection, "ConnectionLost", ""), true, false),
        (AzureError::new(Kind::SignIn, "SignInFailed", ""), false, false),
    ];
    for (error, transient, role) in rows {
        assert_eq!((error.is_transient(), error.is_role_missing()), (transient, role), "{error:?}");
        assert!(!error.outcome_unknown());
    }
}

#[test]
fn a_missing_role_is_forbidden_whatever_the_status() {
    for (status, code) in [(400, "KeyVaultAuthenticationFailure"), (200, "KeyVaultAccessForbidden"), (403, "X")] {
        assert_eq!(AzureError::answered(status, code, "").kind, Kind::Forbidden, "{code}");
    }
}

/// A write that the service failed in the middle of may have happened; a read cannot, a refusal did not.
#[test]
fn only_writes_have_unknown_outcomes() {
    let lost = azure_core::Error::with_message(ErrorKind::Io, "reset by peer");
    let unreachable = azure_core::Error::with_message(ErrorKind::Connection, "no route");
    assert!(AzureError::from_core(&lost, Effect::Write).outcome_unknown());
    assert!(!AzureError::from_core(&lost, Effect::Read).outcome_unknown());
    assert!(!AzureError::from_core(&unreachable, Effect::Write).outcome_unknown());
    for (status, unknown) in [(500, true), (503, true), (408, true), (429, false), (403, false), (409, false)] {
        let error = AzureError::from_answer(status, &Headers::new(), b"", Effect::Write);
        assert_eq!(error.outcome_unknown(), unknown, "{status}");
    }
}

#[test]
fn messages_are_made_safe_and_bounded() {
    let body = format!(r#"{{"error":{{"code":"X","message":"\u001b[31mred\u0000{}"}}}}"#, "é".repeat(3000));
    let error = AzureError::from_answer(400, &Headers::new(), body.as_bytes(), Effect::Read);
    assert!(error.message.starts_with("[31mred"));
    assert_eq!(error.message.chars().count(), 2001);
}

#[test]
fn display_tells_code_status_and_request() {
    let mut error = AzureError::answered(403, "ForbiddenByRbac", "Caller is not authorized.\n");
    error.request_id = Some("r-1".into());
    insta::assert_snapshot!(error, @"Caller is not authorized. (ForbiddenByRbac, status 403, request r-1)");
    let error = AzureError::new(Kind::SignIn, "SignInFailed", "az is not signed in");
    insta::assert_snapshot!(error, @"az is not signed in (SignInFailed)");
}
