//! Microsoft.CognitiveServices: accounts of Azure AI Foundry and Azure OpenAI with their projects, on Azure Resource
//! Manager alone. What an account keeps at rest here are its access keys; a data encryption key seals them, and a
//! customer's key may protect that one.
//!
//! - `account`, `settings`, `project`: the resource types
//! - `row`: what Azure Resource Manager never shows
//! - `cmk`: who protects the data encryption key
//! - `deleted`: accounts in their 48 hours of soft delete
//! - `actions`, `regional`: keys, SKUs, quotas, names

mod account;
mod actions;
mod cmk;
mod deleted;
mod project;
mod regional;
mod row;
mod settings;
mod table;
#[cfg(test)]
mod tests;

use crate::arm::kind::Kind;
use crate::cx::Cx;
use crate::operation::Operation;
use crate::refusal::Refusal;
use crate::service::{Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: CognitiveServices = CognitiveServices;

/// Namespace and type of accounts.
const ACCOUNTS: &str = "Microsoft.CognitiveServices/accounts";
/// Namespace and type of projects.
const PROJECTS: &str = "Microsoft.CognitiveServices/accounts/projects";

/// Api-versions, newest first.
const API: &[&str] = &[
    "2026-05-15-preview",
    "2026-05-01",
    "2026-03-01",
    "2025-12-01",
    "2025-10-01-preview",
    "2025-09-01",
    "2025-07-01-preview",
    "2025-06-01",
    "2025-04-01-preview",
    "2024-10-01",
    "2023-05-01",
];

/// Microsoft.CognitiveServices.
pub(crate) struct CognitiveServices;

impl Provider for CognitiveServices {
    fn namespace(&self) -> &'static str {
        "Microsoft.CognitiveServices"
    }

    fn schema(&self) -> &'static str {
        row::SCHEMA
    }

    fn inventory(&self) -> &'static [&'static str] {
        &["SELECT 'soft-deleted account', resource, 'deleted' FROM cognitive_accounts WHERE purge IS NOT NULL"]
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        table::tables()
    }

    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[&account::Account, &project::Project]
    }

    fn types(&self) -> &'static [ResourceType] {
        const fn plain(name: &'static str) -> ResourceType {
            ResourceType { name, api: API, regional: false }
        }
        const {
            &[
                plain("checkDomainAvailability"),
                plain("deletedAccounts"),
                plain("locations"),
                plain("locations/checkSkuAvailability"),
                plain("locations/operationResults"),
                plain("locations/resourceGroups"),
                plain("locations/resourceGroups/deletedAccounts"),
                plain("locations/usages"),
                plain("skus"),
            ]
        }
    }

    fn registered_at_first(&self) -> bool {
        false
    }

    fn tick(&self, cx: &mut Cx<'_>) -> Result<(), Refusal> {
        row::purge_due(cx)
    }
}

/// Refuses a value of an account or project that breaks a rule.
fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(400, "InvalidResourceProperties", message)
}
