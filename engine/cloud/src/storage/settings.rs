//! What a customer may say about an account: SKU, kind, properties and tags, checked against Azure's rules.
//!
//! A setting that would change behaviour which the embedded Azure does not have is refused and named, never stored
//! as if it worked.

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Replication kinds with their tier; conversions are allowed inside a family.
const SKUS: &[(&str, &str, Family)] = &[
    ("Standard_LRS", "Standard", Family::Local),
    ("Standard_GRS", "Standard", Family::Local),
    ("Standard_RAGRS", "Standard", Family::Local),
    ("Standard_ZRS", "Standard", Family::Zones),
    ("Standard_GZRS", "Standard", Family::Zones),
    ("Standard_RAGZRS", "Standard", Family::Zones),
    ("Premium_LRS", "Premium", Family::Premium),
    ("Premium_ZRS", "Premium", Family::Premium),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Local,
    Zones,
    Premium,
}

/// A SKU that Azure sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sku {
    /// Name in Azure's spelling.
    pub name: &'static str,
    /// `Standard` or `Premium`.
    pub tier: &'static str,
    family: Family,
}

impl Sku {
    /// All SKUs.
    pub fn all() -> impl Iterator<Item = Self> {
        SKUS.iter().map(|&(name, tier, family)| Self { name, tier, family })
    }

    /// Reads `sku.name` of a body.
    pub fn parse(sku: &Value) -> Result<Self, Refusal> {
        let given = sku["name"].as_str().unwrap_or_default();
        Self::all().find(|sku| sku.name.eq_ignore_ascii_case(given)).ok_or_else(|| {
            Refusal::new(
                400,
                "InvalidAccountType",
                format!(
                    "The AccountType {given} is invalid. For more information, see - https://aka.ms/storageaccountskus"
                ),
            )
        })
    }

    /// Whether an account may change to another SKU.
    pub fn check_conversion(self, to: Self) -> Result<(), Refusal> {
        if self.family == to.family && (self == to || self.family != Family::Premium) {
            return Ok(());
        }
        Err(Refusal::new(
            400,
            "StorageAccountTypeConversionNotAllowed",
            format!("Storage account type conversion from {} to {} is not allowed.", self.name, to.name),
        ))
    }

    /// Whether accounts of a kind come in this SKU.
    pub fn is_for(self, kind: Kind) -> bool {
        match kind {
            Kind::StorageV2 => self.tier == "Standard",
            Kind::BlockBlobStorage => self.tier == "Premium",
        }
    }
}

/// Account kinds that the embedded Azure has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// General purpose, version 2.
    StorageV2,
    /// Premium block blobs.
    BlockBlobStorage,
}

impl Kind {
    /// Both kinds.
    pub const ALL: [Self; 2] = [Self::StorageV2, Self::BlockBlobStorage];

    /// Azure's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StorageV2 => "StorageV2",
            Self::BlockBlobStorage => "BlockBlobStorage",
        }
    }

    /// Reads `kind` of a body.
    pub fn parse(kind: &Value) -> Result<Self, Refusal> {
        let given = kind.as_str().unwrap_or_default();
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(given)) {
            return Ok(kind);
        }
        let refusal =
            Refusal::new(400, "InvalidValuesForRequestParameters", "Values for request parameters are invalid: kind.");
        Err(match given.to_ascii_lowercase().as_str() {
            "storage" | "blobstorage" | "filestorage" => refusal.gap(format!("storage accounts of kind {given}")),
            _ => refusal,
        })
    }
}

/// How a property's value is judged.
enum Rule {
    /// A boolean, stored as it is.
    Bool,
    /// One of these words.
    Words(&'static [&'static str]),
    /// Stored as it is: it changes nothing that the embedded Azure does.
    Free,
    /// Only this boolean: the other one asks for something that the embedded Azure lacks.
    Only(bool),
    /// `networkAcls`.
    Network,
    /// Judged elsewhere.
    Elsewhere,
    /// Written by the service; a client may send back what it read.
    ReadOnly,
}

const PROPERTIES: &[(&str, Rule)] = &[
    ("accessTier", Rule::Words(&["Hot", "Cool", "Cold"])),
    ("allowBlobPublicAccess", Rule::Bool),
    ("allowCrossTenantReplication", Rule::Bool),
    ("allowSharedKeyAccess", Rule::Bool),
    ("allowedCopyScope", Rule::Words(&["AAD", "PrivateLink", "All"])),
    ("creationTime", Rule::ReadOnly),
    ("defaultToOAuthAuthentication", Rule::Bool),
    ("dnsEndpointType", Rule::Words(&["Standard"])),
    ("enableExtendedGroups", Rule::Only(false)),
    ("encryption", Rule::Elsewhere),
    ("isHnsEnabled", Rule::Only(false)),
    ("isLocalUserEnabled", Rule::Only(false)),
    ("isNfsV3Enabled", Rule::Only(false)),
    ("isSftpEnabled", Rule::Only(false)),
    ("keyCreationTime", Rule::ReadOnly),
    ("keyPolicy", Rule::Free),
    ("largeFileSharesState", Rule::Words(&["Disabled"])),
    ("minimumTlsVersion", Rule::Words(&["TLS1_0", "TLS1_1", "TLS1_2", "TLS1_3"])),
    ("networkAcls", Rule::Network),
    ("primaryEndpoints", Rule::ReadOnly),
    ("primaryLocation", Rule::ReadOnly),
    ("privateEndpointConnections", Rule::ReadOnly),
    ("provisioningState", Rule::ReadOnly),
    ("publicNetworkAccess", Rule::Words(&["Enabled", "Disabled"])),
    ("sasPolicy", Rule::Free),
    ("statusOfPrimary", Rule::ReadOnly),
    ("supportsHttpsTrafficOnly", Rule::Bool),
];

/// Copies the customer's properties into the account's, or refuses the first that can't be had.
pub(super) fn apply(account: &mut Map<String, Value>, given: &Value) -> Result<(), Refusal> {
    let given = match given {
        Value::Null => return Ok(()),
        Value::Object(given) => given,
        _ => {
            return Err(Refusal::new(
                400,
                "StorageAccountPropertiesNotValid",
                "The properties field in the request is invalid.",
            ));
        }
    };
    for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
        let found = PROPERTIES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((name, rule)) = found else {
            return Err(Refusal::new(
                400,
                "AccountPropertyCannotBeSet",
                format!("The property '{name}' was specified in the input, but it cannot be set."),
            )
            .gap(format!("the storage account property {name}")));
        };
        let invalid = || super::cmk::invalid_value(name);
        match rule {
            Rule::Elsewhere | Rule::ReadOnly => continue,
            Rule::Free => {}
            Rule::Bool if value.is_boolean() => {}
            Rule::Only(only) if value.as_bool() == Some(*only) => {}
            Rule::Only(_) if value.is_boolean() => {
                return Err(invalid().gap(format!("the storage account property {name} = {value}")));
            }
            Rule::Words(words) => {
                let word =
                    words.iter().find(|word| value.as_str().is_some_and(|given| word.eq_ignore_ascii_case(given)));
                account.insert((*name).to_owned(), (*word.ok_or_else(invalid)?).into());
                continue;
            }
            Rule::Network => check_network(value)?,
            Rule::Bool | Rule::Only(_) => return Err(invalid()),
        }
        account.insert((*name).to_owned(), value.clone());
    }
    Ok(())
}

/// `networkAcls` without rules: whoever reaches the embedded Azure comes from outside every network.
fn check_network(acls: &Value) -> Result<(), Refusal> {
    let action = acls["defaultAction"].as_str().unwrap_or_default();
    if !["Allow", "Deny"].contains(&action) {
        return Err(super::cmk::invalid_value("networkAcls.defaultAction"));
    }
    for rules in ["ipRules", "virtualNetworkRules", "resourceAccessRules"] {
        if acls[rules].as_array().is_some_and(|rules| !rules.is_empty()) {
            return Err(
                super::cmk::invalid_value(&format!("networkAcls.{rules}")).gap("network rules of storage accounts")
            );
        }
    }
    Ok(())
}

/// Reads `tags`: at most 50, keys up to 128 and values up to 256 characters.
pub(super) fn tags(given: &Value) -> Result<Value, Refusal> {
    let Some(tags) = given.as_object() else {
        return Err(super::cmk::invalid_value("tags"));
    };
    if tags.len() > 50 {
        return Err(Refusal::new(400, "TooManyTags", "Too many tags are specified for the storage account."));
    }
    for (key, value) in tags {
        let Some(value) = value.as_str() else {
            return Err(super::cmk::invalid_value("tags"));
        };
        if key.chars().count() > 128 {
            return Err(Refusal::new(400, "MaxTagKeyLengthExceeded", format!("The tag key {key} is too long.")));
        }
        if value.chars().count() > 256 {
            return Err(Refusal::new(400, "MaxTagValueLengthExceeded", format!("The value of tag {key} is too long.")));
        }
    }
    Ok(given.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(given: Value) -> String {
        let mut account = Map::new();
        match apply(&mut account, &given) {
            Ok(()) => Value::Object(account).to_string(),
            Err(refusal) => format!("{}{}", refusal.code, if refusal.gap.is_some() { " (gap)" } else { "" }),
        }
    }

    #[test]
    fn properties() {
        for (given, expected) in [
            (Value::Null, "{}"),
            (json!({ "allowBlobPublicAccess": false }), r#"{"allowBlobPublicAccess":false}"#),
            (json!({ "AllowBlobPublicAccess": true }), r#"{"allowBlobPublicAccess":true}"#),
            (json!({ "allowBlobPublicAccess": "no" }), "InvalidValuesForRequestParameters"),
            (json!({ "minimumTlsVersion": "tls1_2" }), r#"{"minimumTlsVersion":"TLS1_2"}"#),
            (json!({ "minimumTlsVersion": "SSL3" }), "InvalidValuesForRequestParameters"),
            (json!({ "isHnsEnabled": false }), r#"{"isHnsEnabled":false}"#),
            (json!({ "isHnsEnabled": true }), "InvalidValuesForRequestParameters (gap)"),
            (json!({ "creationTime": "x", "encryption": {} }), "{}"),
            (json!({ "customDomain": { "name": "x" } }), "AccountPropertyCannotBeSet (gap)"),
            (json!({ "networkAcls": { "defaultAction": "Deny" } }), r#"{"networkAcls":{"defaultAction":"Deny"}}"#),
            (
                json!({ "networkAcls": { "defaultAction": "Deny", "ipRules": [{}] } }),
                "InvalidValuesForRequestParameters (gap)",
            ),
            (json!({ "accessTier": null }), "{}"),
            (json!([]), "StorageAccountPropertiesNotValid"),
        ] {
            assert_eq!(outcome(given.clone()), expected, "{given}");
        }
    }

    #[test]
    fn skus_and_kinds() {
        let sku = |name: &str| Sku::parse(&json!({ "name": name }));
        let lrs = sku("standard_lrs").unwrap();
        assert_eq!((lrs.name, lrs.tier), ("Standard_LRS", "Standard"));
        assert_eq!(sku("Standard_XRS").unwrap_err().code, "InvalidAccountType");
        assert!(lrs.check_conversion(sku("Standard_GRS").unwrap()).is_ok());
        assert_eq!(
            lrs.check_conversion(sku("Standard_ZRS").unwrap()).unwrap_err().code,
            "StorageAccountTypeConversionNotAllowed"
        );
        assert!(lrs.is_for(Kind::StorageV2) && !lrs.is_for(Kind::BlockBlobStorage));
        for (kind, gap) in [("Storage", true), ("Blob", false), ("", false)] {
            assert_eq!(Kind::parse(&json!(kind)).unwrap_err().gap.is_some(), gap, "{kind}");
        }
    }

    #[test]
    fn tag_limits() {
        let code = |given: Value| tags(&given).err().map_or("ok".to_owned(), |refusal| refusal.code);
        assert_eq!(code(json!({ "a": "b" })), "ok");
        assert_eq!(code(json!({ "a".repeat(129): "b" })), "MaxTagKeyLengthExceeded");
        assert_eq!(code(json!({ "a": "b".repeat(257) })), "MaxTagValueLengthExceeded");
        assert_eq!(code(json!({ "a": 1 })), "InvalidValuesForRequestParameters");
        let many: Map<String, Value> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
        assert_eq!(code(Value::Object(many)), "TooManyTags");
    }
}
