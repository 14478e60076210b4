//! The system-assigned identity of a resource, read at the resource.

use http::Method;
use serde_json::json;

use super::API;
use crate::cx::Cx;
use crate::http::Answer;
use crate::identity::principals;
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;

pub(super) static OPERATIONS: &[Operation] = &[Operation {
    name: "SystemAssignedIdentities_GetByScope",
    method: Method::GET,
    path: "/{+scope}/providers/Microsoft.ManagedIdentity/identities/default",
    when: &[],
    api: API,
    access: Access::Control("Microsoft.ManagedIdentity/identities/read"),
    lro: false,
    run: get,
}];

/// Answers with the identity, else `ResourceNotFound`.
fn get(cx: &mut Cx<'_>, params: &Params) -> Result<Answer, Refusal> {
    let scope = params.get("scope");
    let found = match cx.resource(scope)? {
        // A user-assigned identity has a principal, too, but not as an identity of itself.
        Some(resource) if !resource.kind.eq_ignore_ascii_case(super::USER_ASSIGNED) => {
            principals::of_resource(cx.tx, &resource.id)?.map(|principal| (resource, principal))
        }
        _ => None,
    };
    let Some((resource, principal)) = found else {
        return Err(Refusal::new(
            404,
            "ResourceNotFound",
            format!("The resource '{scope}' does not exist or has no system-assigned identity."),
        ));
    };
    let client = principal.app_id.unwrap_or_default();
    Ok(Answer::ok(&json!({
        "id": format!("{}/providers/Microsoft.ManagedIdentity/identities/default", resource.id),
        "name": "default",
        "type": "Microsoft.ManagedIdentity/identities",
        "location": resource.location.unwrap_or_default(),
        "tags": {},
        "properties": { "tenantId": cx.tenant, "principalId": principal.oid, "clientId": client },
    })))
}
