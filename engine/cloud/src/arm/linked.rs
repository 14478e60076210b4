//! Resources that name other resources: a network interface its subnet, a disk its encryption set.

use crate::cx::Cx;
use crate::refusal::Refusal;
use crate::resource_id::ResourceId;
use crate::store::resources::{self, Resource};

/// The resource `target` that `user` wants to use, when the caller may do `action` with it.
///
/// Refused with `InvalidResourceReference` when there is none, with `LinkedAuthorizationFailed` when the caller lacks
/// the right.
pub(crate) fn require(cx: &Cx<'_>, user: &ResourceId, target: &str, action: &str) -> Result<Resource, Refusal> {
    let found = ResourceId::parse(target).map(|id| cx.resource(&id.to_string())).transpose()?.flatten();
    let Some(found) = found else {
        return Err(Refusal::new(
            400,
            "InvalidResourceReference",
            format!(
                "Resource {target} referenced by resource {user} was not found. Please make sure that the referenced \
                 resource exists, and that both resources are in the same region."
            ),
        ));
    };
    authorize(cx, user, &found.id, action)?;
    Ok(found)
}

/// Refuses a caller who may not do `action` with `target`, which `user` is to use.
pub(crate) fn authorize(cx: &Cx<'_>, user: &ResourceId, target: &str, action: &str) -> Result<(), Refusal> {
    if cx.authorize(action, false, target)?.allowed {
        return Ok(());
    }
    Err(Refusal::new(
        403,
        "LinkedAuthorizationFailed",
        format!(
            "The client '{}' with object id '{}' has permission to perform action '{}/write' on scope '{user}'; \
             however, it does not have permission to perform action(s) '{action}' on the linked scope(s) '{target}' \
             (respectively) or the linked scope(s) are invalid.",
            cx.caller.name(),
            cx.caller.oid,
            user.kind(),
        ),
    ))
}

/// The resources whose documents name `target`, itself and its parts aside.
pub(crate) fn users(cx: &Cx<'_>, target: &str) -> Result<Vec<Resource>, Refusal> {
    resources::naming(cx.tx, target)
}
