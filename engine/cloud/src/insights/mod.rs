//! Microsoft.Insights: the activity log of Azure Resource Manager, and diagnostic settings.

pub(crate) mod activity;
pub(crate) mod diagnostics;
mod events;

use http::Method;

use crate::operation::{Access, Operation};
use crate::service::{Provider, ResourceType};

/// The provider.
pub(crate) static PROVIDER: Insights = Insights;

/// Microsoft.Insights.
pub(crate) struct Insights;

/// The one version of the activity log ("Activity Logs - List" in the Azure Monitor REST reference).
const API: &[&str] = &["2015-04-01"];

static OPERATIONS: &[Operation] = &[Operation {
    name: "ActivityLogs_List",
    method: Method::GET,
    path: "/subscriptions/{subscription}/providers/Microsoft.Insights/eventtypes/management/values",
    when: &[],
    api: API,
    access: Access::Control("Microsoft.Insights/eventtypes/values/read"),
    lro: false,
    run: events::list,
}];

impl Provider for Insights {
    fn namespace(&self) -> &'static str {
        "Microsoft.Insights"
    }

    fn schema(&self) -> &'static str {
        activity::SCHEMA
    }

    fn operations(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS, diagnostics::OPERATIONS]
    }

    fn types(&self) -> &'static [ResourceType] {
        &[
            ResourceType { name: "eventtypes", api: API, regional: false },
            ResourceType { name: "diagnosticSettings", api: diagnostics::API, regional: false },
            ResourceType { name: "diagnosticSettingsCategories", api: diagnostics::API, regional: false },
        ]
    }
}
