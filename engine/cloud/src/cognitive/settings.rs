//! What an account may be: its kind, SKU, names and settings.

use serde_json::Value;

use super::invalid;
use crate::refusal::Refusal;

/// A kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Azure AI Foundry.
    AiServices,
    /// Azure OpenAI.
    OpenAi,
    /// Several services behind one key.
    CognitiveServices,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::AiServices, Self::OpenAi, Self::CognitiveServices];

    /// Azure's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AiServices => "AIServices",
            Self::OpenAi => "OpenAI",
            Self::CognitiveServices => "CognitiveServices",
        }
    }

    /// Parses Azure's word, in its spelling.
    pub fn parse(given: &Value) -> Result<Self, Refusal> {
        let text = given.as_str().unwrap_or_default();
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            let refusal = Refusal::new(
                400,
                "InvalidApiSetId",
                format!("The account type '{text}' is either invalid or unavailable in given region."),
            );
            if text.is_empty() { refusal } else { refusal.gap(format!("accounts of kind {text}")) }
        })
    }

    /// Accounts per subscription and region.
    pub fn quota(self) -> i64 {
        match self {
            Self::OpenAi => 30,
            Self::AiServices | Self::CognitiveServices => 100,
        }
    }

    /// Name of that quota.
    pub fn quota_name(self) -> String {
        format!("{}.{SKU}.AccountCount", self.as_str())
    }

    /// Endpoint of an account with a subdomain.
    pub fn endpoint(self, subdomain: &str) -> String {
        match self {
            Self::OpenAi => format!("https://{subdomain}.openai.azure.com/"),
            Self::AiServices | Self::CognitiveServices => format!("https://{subdomain}.cognitiveservices.azure.com/"),
        }
    }
}

/// The only SKU of all these kinds.
pub(super) const SKU: &str = "S0";

/// Refuses another SKU.
pub(super) fn check_sku(given: &Value) -> Result<(), Refusal> {
    let name = given["name"].as_str().unwrap_or_default();
    if name == SKU {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InvalidSkuId",
        format!("The account SKU '{name}' is either invalid or unavailable in given region."),
    ))
}

/// Refuses a resource name: 2 to 64 letters, digits, `-`, `_` and `.`, the first a letter or digit.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Refusal> {
    let fits = (2..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if fits {
        return Ok(());
    }
    Err(Refusal::new(
        400,
        "InvalidResourceName",
        format!(
            "The {what} name '{name}' is not valid. A name has 2 to 64 letters, digits, '-', '_' or '.' and begins \
             with a letter or a digit."
        ),
    ))
}

/// Whether an account may have a subdomain: 2 to 64 letters, digits and hyphens, no hyphen at either end.
pub(super) fn is_subdomain(name: &str) -> bool {
    (2..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Settings of an account that are kept, with what a new account has.
const SETTINGS: &[(&str, &[&str])] = &[("publicNetworkAccess", &["Enabled", "Disabled"])];

/// Switches of an account, off at first.
const SWITCHES: &[&str] = &["allowProjectManagement", "disableLocalAuth"];

/// Properties that are dealt with elsewhere.
const ELSEWHERE: &[&str] = &["customSubDomainName", "defaultProject", "encryption", "restore"];

/// Properties that Azure alone writes; a client may send back what it read.
const READ_ONLY: &[&str] = &[
    "abusePenalty",
    "associatedProjects",
    "callRateLimit",
    "capabilities",
    "commitmentPlanAssociations",
    "dateCreated",
    "deletionDate",
    "endpoint",
    "endpoints",
    "internalId",
    "isMigrated",
    "privateEndpointConnections",
    "provisioningState",
    "quotaLimit",
    "scheduledPurgeDate",
    "skuChangeInfo",
];

/// Copies the settings of a body into a document's properties; what the embedded Azure has not is refused rather than
/// kept without effect.
pub(super) fn apply(properties: &mut Value, given: &Value, fresh: bool) -> Result<(), Refusal> {
    if fresh {
        for (name, values) in SETTINGS {
            properties[name] = values.first().copied().into();
        }
        for name in SWITCHES {
            properties[name] = false.into();
        }
    }
    for (name, value) in given.as_object().into_iter().flatten() {
        let name = name.as_str();
        if value.is_null() || READ_ONLY.contains(&name) || ELSEWHERE.contains(&name) {
            continue;
        }
        if SWITCHES.contains(&name) {
            properties[name] = value.as_bool().ok_or_else(|| invalid(format!("{name} is true or false.")))?.into();
        } else if let Some((_, values)) = SETTINGS.iter().find(|(known, _)| *known == name) {
            let word = values.iter().find(|word| value.as_str().is_some_and(|given| given.eq_ignore_ascii_case(word)));
            properties[name] =
                (*word.ok_or_else(|| invalid(format!("{name} is one of {}.", values.join(", "))))?).into();
        } else if !is_empty(value) {
            return Err(invalid(format!("The property '{name}' is not available.")).gap(format!("accounts: {name}")));
        }
    }
    Ok(())
}

/// Whether a value asks for nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}
