//! What the query language means.

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::parser::parse;
use super::{evaluate, span};
use crate::loganalytics::schema::{AZURE_DIAGNOSTICS, Record, TABLES};

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_323_045, 0).unwrap()
}

fn entry(operation: &str, status: u16, oid: &str) -> Value {
    json!({
        "resourceId": "/subscriptions/s/resourceGroups/Lab/providers/Microsoft.KeyVault/vaults/Lab-Vault",
        "category": "AuditEvent",
        "operationName": operation,
        "resultType": if status < 400 { "Success" } else { "Failed" },
        "resultSignature": status,
        "correlationId": "c",
        "identity": { "claim": { "oid": oid, "appid": "a", "upn": null, "idtyp": "app" } },
        "properties": { "id": "https://lab-vault.vault.azure.net/keys/kek/1", "requestUri": "https://lab-vault/keys/kek" },
    })
}

/// Operations that a query finds, or what it is refused with.
fn find(query: &str) -> Result<Vec<String>, String> {
    let entries = [entry("KeyCreate", 200, "one"), entry("KeyRelease", 403, "two"), entry("KeyRelease", 200, "one")];
    let hours = |n: usize| now() - Duration::hours(i64::try_from(n).unwrap());
    let records: Vec<Record<'_>> = entries
        .iter()
        .enumerate()
        .map(|(n, entry)| Record { workspace: "w", time: hours(entries.len() - n), entry })
        .collect();
    let query = parse(query, now()).map_err(|fault| fault.message)?;
    assert_eq!(query.table, AZURE_DIAGNOSTICS);
    let found = evaluate::run(&query, &TABLES[0], &records, (None, None)).map_err(|fault| fault.message)?;
    let table = &found["tables"][0];
    let columns = table["columns"].as_array().unwrap();
    let operation = columns.iter().position(|column| column["name"] == "OperationName").unwrap();
    let status = columns.iter().position(|column| column["name"] == "httpStatusCode_d").unwrap();
    let shown = |row: &Value| format!("{}:{}", row[operation].as_str().unwrap(), row[status]);
    Ok(table["rows"].as_array().unwrap().iter().map(shown).collect())
}

#[test]
fn conditions_orders_and_limits() {
    let all = ["KeyCreate:200.0", "KeyRelease:403.0", "KeyRelease:200.0"];
    let table: &[(&str, &[usize])] = &[
        ("", &[0, 1, 2]),
        ("| where OperationName == 'KeyRelease'", &[1, 2]),
        ("| where OperationName == 'keyrelease'", &[]),
        ("| where OperationName =~ \"keyrelease\"", &[1, 2]),
        ("|where OperationName!='KeyRelease'", &[0]),
        ("| where OperationName in ('KeyCreate', \"KeyRelease\") and httpStatusCode_d < 400", &[0, 2]),
        ("| where OperationName !in ('KeyCreate')", &[1, 2]),
        ("| where OperationName in~ ('KEYCREATE')", &[0]),
        ("| where httpStatusCode_d >= 300 and not(OperationName == 'Authentication')", &[1]),
        ("| where httpStatusCode_d == 401 or httpStatusCode_d == 403", &[1]),
        ("| where (httpStatusCode_d == 403 or OperationName == 'KeyCreate') and identity_claim_oid_g == 'one'", &[0]),
        ("| where httpStatusCode_d between (200 .. 299)", &[0, 2]),
        ("| where TimeGenerated > ago(2h)", &[2]),
        ("| where TimeGenerated >= ago(2h) // a comment\n| where TimeGenerated <= now()", &[1, 2]),
        ("| where TimeGenerated < datetime('2026-01-02T00:30:00Z')", &[0]),
        ("| where id_s has 'kek'", &[0, 1, 2]),
        ("| where id_s has 'ke'", &[]),
        ("| where id_s contains 'VAULT.azure'", &[0, 1, 2]),
        ("| where Resource startswith 'lab' and _ResourceId endswith 'lab-vault'", &[0, 1, 2]),
        ("| where ResourceProvider == 'MICROSOFT.KEYVAULT' and ResourceType == 'VAULTS'", &[0, 1, 2]),
        ("| where ResultSignature == 'Forbidden' and ResultType == 'Failed'", &[1]),
        ("| order by TimeGenerated desc | take 2", &[2, 1]),
        ("| sort by OperationName asc, TimeGenerated | limit 2", &[0, 2]),
        ("| project OperationName, TimeGenerated, httpStatusCode_d | order by TimeGenerated asc", &[0, 1, 2]),
    ];
    for (rest, expected) in table {
        let expected: Vec<String> = expected.iter().map(|n| all[*n].to_owned()).collect();
        assert_eq!(find(&format!("AzureDiagnostics\n{rest}")), Ok(expected), "{rest}");
    }
}

#[test]
fn what_is_not_offered_is_refused_by_name() {
    let table = [
        ("| summarize count() by OperationName", "Query could not be parsed at 'summarize'"),
        ("| where OperationName", "Query could not be parsed at 'end of query'"),
        ("| where OperationName matches 'x'", "Query could not be parsed at 'matches'"),
        ("| where OperationName == 'x", "Query could not be parsed at ''x'"),
        ("| take 1.5", "Query could not be parsed at '1.5'"),
        ("| where TimeGenerated > ago(1 day)", "Query could not be parsed at '1'"),
        ("; AzureDiagnostics", "Query could not be parsed at ';'"),
        ("| where Colour == 'red'", "'where' operator: Failed to resolve table or column expression named 'Colour'"),
        ("| project Colour", "'project' operator: Failed to resolve table or column expression named 'Colour'"),
        (
            "| where httpStatusCode_d == '403'",
            "Cannot compare the column 'httpStatusCode_d' of type real with that value. Try adding explicit casts",
        ),
    ];
    for (rest, expected) in table {
        assert_eq!(find(&format!("AzureDiagnostics {rest}")), Err(expected.to_owned()), "{rest}");
    }
    let deep = format!("AzureDiagnostics | where {}", "(".repeat(10_000));
    assert!(find(&deep).is_err(), "nesting has an end");
}

#[test]
fn time_spans() {
    let shown = |text: &str| {
        let (from, to) = span::parse(text, now())?;
        Some((crate::time::rfc3339(from), crate::time::rfc3339(to)))
    };
    let here = "2026-01-02T03:04:05.001Z";
    let table = [
        ("P1D", Some(("2026-01-01T03:04:05.000Z", here))),
        ("PT86400.0S", Some(("2026-01-01T03:04:05.000Z", here))),
        ("P1DT1H", Some(("2026-01-01T02:04:05.000Z", here))),
        ("2026-01-01T00:00:00Z/2026-01-02T00:00:00Z", Some(("2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"))),
        ("2026-01-01/PT1H", Some(("2026-01-01T00:00:00.000Z", "2026-01-01T01:00:00.000Z"))),
        ("PT1H/2026-01-01", Some(("2025-12-31T23:00:00.000Z", "2026-01-01T00:00:00.000Z"))),
        ("2026-01-02/2026-01-01", None),
        ("1D", None),
        ("P", None),
        ("P1H", None),
        ("a/b", None),
    ];
    for (text, expected) in table {
        let expected = expected.map(|(from, to)| (from.to_owned(), to.to_owned()));
        assert_eq!(shown(text), expected, "{text}");
    }
}
