//! The tables that diagnostic logs land in, and how a record of the audit log becomes a row.
//!
//! Sources: the table reference of Azure Monitor
//! (<https://learn.microsoft.com/azure/azure-monitor/reference/tables/azurediagnostics>, `/azkvauditlogs`).

use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use crate::resource_id::ResourceId;

/// Type of a column, with Kusto's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnKind {
    /// Text.
    Text,
    /// GUID.
    Guid,
    /// Whole number.
    Int,
    /// Number.
    Real,
    /// Instant.
    Time,
    /// A JSON document.
    Dynamic,
}

impl ColumnKind {
    /// Kusto's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Guid => "guid",
            Self::Int => "int",
            Self::Real => "real",
            Self::Time => "datetime",
            Self::Dynamic => "dynamic",
        }
    }
}

/// A record as the audit log keeps it, in the workspace that it was sent to.
pub(super) struct Record<'a> {
    /// Customer id of the workspace.
    pub workspace: &'a str,
    /// When it happened.
    pub time: DateTime<Utc>,
    /// The record of the audit log ([`crate::audit`]).
    pub entry: &'a Value,
}

impl Record<'_> {
    fn text(&self, pointer: &str) -> &str {
        self.entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn resource(&self) -> Option<ResourceId> {
        ResourceId::parse(self.text("/resourceId"))
    }

    fn status(&self) -> u16 {
        self.entry["resultSignature"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or_default()
    }

    /// `OK`, `Forbidden`: the name of the status without spaces.
    fn signature(&self) -> String {
        let name = StatusCode::from_u16(self.status()).ok().and_then(|status| status.canonical_reason());
        name.unwrap_or_default().replace(' ', "")
    }

    /// The `api-version` is no part of the addresses in the audit log.
    fn part(&self, of: impl Fn(&ResourceId) -> Option<String>) -> Value {
        self.resource().as_ref().and_then(of).unwrap_or_default().into()
    }
}

/// A column, and its value in a record; `Null` where the record has none.
pub(super) struct Column {
    /// Name.
    pub name: &'static str,
    /// Type.
    pub kind: ColumnKind,
    /// The value.
    pub value: fn(&Record<'_>) -> Value,
}

/// A table.
pub(super) struct Table {
    /// Name.
    pub name: &'static str,
    /// Columns in order.
    pub columns: &'static [Column],
}

const fn text(name: &'static str, value: fn(&Record<'_>) -> Value) -> Column {
    Column { name, kind: ColumnKind::Text, value }
}

/// All of them.
pub(super) static TABLES: &[Table] =
    &[Table { name: AZURE_DIAGNOSTICS, columns: DIAGNOSTICS }, Table { name: RESOURCE_SPECIFIC, columns: VAULT_AUDIT }];

/// The table that all types of resources share.
pub(super) const AZURE_DIAGNOSTICS: &str = "AzureDiagnostics";
/// The table of key vaults and managed HSMs alone.
pub(super) const RESOURCE_SPECIFIC: &str = "AZKVAuditLogs";

/// Time of a record; queries and retention go by it.
pub(super) const TIME: &str = "TimeGenerated";

static DIAGNOSTICS: &[Column] = &[
    text("TenantId", |r| r.workspace.into()),
    Column { name: TIME, kind: ColumnKind::Time, value: |r| crate::time::rfc3339(r.time).into() },
    text("ResourceId", |r| r.text("/resourceId").to_uppercase().into()),
    text("Category", |r| r.text("/category").into()),
    text("ResourceGroup", |r| r.part(|id| id.group().map(str::to_uppercase))),
    text("SubscriptionId", |r| r.part(|id| id.subscription().map(str::to_owned))),
    text("ResourceProvider", |r| r.part(|id| id.namespace().map(str::to_uppercase))),
    text("Resource", |r| r.part(|id| Some(id.name().to_uppercase()))),
    text("ResourceType", |r| r.part(|id| Some(id.kind().split('/').next_back()?.to_uppercase()))),
    text("OperationName", |r| r.text("/operationName").into()),
    text("ResultType", |r| r.text("/resultType").into()),
    text("ResultSignature", |r| r.signature().into()),
    text("ResultDescription", |r| r.text("/properties/errorCode").into()),
    text("CorrelationId", |r| r.text("/correlationId").into()),
    text("CallerIPAddress", |_| "127.0.0.1".into()),
    text("requestUri_s", |r| r.text("/properties/requestUri").into()),
    text("id_s", |r| r.text("/properties/id").into()),
    text("clientInfo_s", |r| r.text("/properties/clientInfo").into()),
    Column { name: "httpStatusCode_d", kind: ColumnKind::Real, value: |r| json!(f64::from(r.status())) },
    Column { name: "identity_claim_oid_g", kind: ColumnKind::Guid, value: |r| r.text("/identity/claim/oid").into() },
    Column {
        name: "identity_claim_appid_g",
        kind: ColumnKind::Guid,
        value: |r| r.text("/identity/claim/appid").into(),
    },
    text("identity_claim_upn_s", |r| r.text("/identity/claim/upn").into()),
    text("identity_claim_idtyp_s", |r| r.text("/identity/claim/idtyp").into()),
    text("algorithm_s", |r| r.text("/properties/algorithm").into()),
    text("SourceSystem", |_| "Azure".into()),
    text("Type", |_| AZURE_DIAGNOSTICS.into()),
    text("_ResourceId", |r| r.text("/resourceId").to_lowercase().into()),
];

static VAULT_AUDIT: &[Column] = &[
    text("TenantId", |r| r.workspace.into()),
    Column { name: TIME, kind: ColumnKind::Time, value: |r| crate::time::rfc3339(r.time).into() },
    text("OperationName", |r| r.text("/operationName").into()),
    text("ResultType", |r| r.text("/resultType").into()),
    text("ResultSignature", |r| r.signature().into()),
    text("ResultDescription", |r| r.text("/properties/errorCode").into()),
    text("CorrelationId", |r| r.text("/correlationId").into()),
    text("CallerIpAddress", |_| "127.0.0.1".into()),
    Column { name: "Identity", kind: ColumnKind::Dynamic, value: |r| r.entry["identity"].clone() },
    text("Id", |r| r.text("/properties/id").into()),
    text("ClientInfo", |r| r.text("/properties/clientInfo").into()),
    Column { name: "HttpStatusCode", kind: ColumnKind::Int, value: |r| r.status().into() },
    text("RequestUri", |r| r.text("/properties/requestUri").into()),
    text("Algorithm", |r| r.text("/properties/algorithm").into()),
    text("SourceSystem", |_| "Azure".into()),
    text("Type", |_| RESOURCE_SPECIFIC.into()),
    text("_ResourceId", |r| r.text("/resourceId").to_lowercase().into()),
    text("_SubscriptionId", |r| r.part(|id| id.subscription().map(str::to_owned))),
];
