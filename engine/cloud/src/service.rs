//! The two things a folder of the embedded Azure contributes: services (hosts) and providers (namespaces).

use serde_json::Value;

use crate::arm::{self, kind::Kind};
use crate::audit::Entry;
use crate::cx::{Caller, Cx};
use crate::http::{Answer, Request};
use crate::identity::token::TokenError;
use crate::lro::Lro;
use crate::operation::{Operation, Params};
use crate::refusal::Refusal;
use crate::store::resources::Resource;

/// A set of hosts with one way to authenticate, authorise and refuse.
pub(crate) trait Service: Sync {
    /// Name in the request log.
    fn name(&self) -> &'static str;

    /// Whether it answers for a host (lower case, no port).
    fn answers(&self, host: &str) -> bool;

    /// Its operations.
    fn tables(&self) -> Vec<&'static [Operation]>;

    /// Whether a HEAD request without an operation of its own asks whether what GET would answer is there.
    fn heads(&self, _request: &Request) -> bool {
        false
    }

    /// Query parameters that choose between operations on one path (see [`Operation::when`]).
    fn discriminators(&self) -> &'static [&'static str] {
        &[]
    }

    /// Token audiences it accepts, compared without trailing slashes.
    fn audiences(&self) -> &'static [&'static str] {
        &[]
    }

    /// Tells who calls. By default: a bearer token for one of the audiences.
    fn authenticate(&self, cx: &Cx<'_>) -> Result<Caller, Refusal> {
        crate::identity::token::authenticate(cx, self.audiences())
            .and_then(|result| result.map_err(|e| self.unauthorized(cx, &e)))
    }

    /// The tenant whose tokens a request needs: that of the subscription it is about. `None` when any will do.
    fn tenant(&self, _cx: &Cx<'_>) -> Result<Option<String>, Refusal> {
        Ok(None)
    }

    /// Refuses a request without a valid token, with the service's challenge.
    fn unauthorized(&self, cx: &Cx<'_>, error: &TokenError) -> Refusal;

    /// Runs after authentication and before authorisation: whatever every operation of the service needs to hold.
    fn before(&self, _cx: &mut Cx<'_>, _operation: &'static Operation, _params: &Params) -> Result<(), Refusal> {
        Ok(())
    }

    /// Runs after authorisation: refusals that only somebody with the permission may learn of.
    fn ready(&self, _cx: &mut Cx<'_>, _operation: &'static Operation, _params: &Params) -> Result<(), Refusal> {
        Ok(())
    }

    /// The resource id at which role assignments are looked up for an operation.
    fn scope(&self, cx: &Cx<'_>, operation: &'static Operation, params: &Params) -> Result<String, Refusal>;

    /// Refuses a caller who may not do what an operation demands. By default its role assignments decide; a service
    /// with other credentials asks those, too.
    fn permit(
        &self,
        cx: &Cx<'_>,
        operation: &'static Operation,
        params: &Params,
        action: &str,
        data: bool,
    ) -> Result<(), Refusal> {
        let scope = self.scope(cx, operation, params)?;
        if cx.authorize(action, data, &scope)?.allowed {
            return Ok(());
        }
        Err(self.forbidden(cx, action, &scope))
    }

    /// Refuses a caller who lacks `action` at `scope`.
    fn forbidden(&self, cx: &Cx<'_>, action: &str, scope: &str) -> Refusal;

    /// The version that a request asks for.
    fn version(&self, request: &Request) -> Option<String> {
        request.query("api-version").map(str::to_owned)
    }

    /// Refuses a missing or unknown version.
    fn wrong_version(
        &self,
        cx: &Cx<'_>,
        operation: &'static Operation,
        params: &Params,
        given: Option<&str>,
    ) -> Refusal;

    /// Refuses a request because of an injected 429; `Retry-After` is added by the dispatcher.
    fn throttled(&self, _cx: &Cx<'_>) -> Refusal {
        Refusal::new(429, "TooManyRequests", "Too many requests. Please try again later.")
    }

    /// Refuses a path that is in no table. The dispatcher adds the gap header.
    fn unknown(&self, cx: &Cx<'_>) -> Refusal;

    /// Renders a refusal in the service's envelope.
    fn render(&self, cx: &Cx<'_>, refusal: &Refusal) -> Answer;

    /// Adds the headers that every answer of the service carries.
    fn finish(&self, _cx: &Cx<'_>, _answer: &mut Answer) {}

    /// The audit entry for a request, refused or not; written in the same transaction, outside of the
    /// operation's own savepoint.
    fn audit(&self, _cx: &Cx<'_>, _operation: &'static Operation, _params: &Params, _answer: &Answer) -> Option<Entry> {
        None
    }
}

/// A resource type of a provider, as `GET /providers` lists it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResourceType {
    /// Type below the namespace, such as `vaults` or `locations/deletedVaults`.
    pub name: &'static str,
    /// Supported api-versions, newest first.
    pub api: &'static [&'static str],
    /// Whether it exists per location.
    pub regional: bool,
}

/// Virtual machines that a resource runs on, itself or as nodes: what vCPU quotas count.
#[derive(Clone, Debug)]
pub(crate) struct Machines {
    /// Id of the resource.
    pub resource: String,
    /// Size of each.
    pub size: String,
    /// How many.
    pub count: u32,
}

/// A resource provider: a namespace on Azure Resource Manager with its tables, hooks and data planes.
///
/// A folder without ARM types (Entra, Graph) is one too: it contributes services and a schema.
pub(crate) trait Provider: Sync {
    /// Namespace, such as `Microsoft.KeyVault`.
    fn namespace(&self) -> &'static str;

    /// SQL that creates its own tables (`CREATE TABLE IF NOT EXISTS …`), run when the cloud is opened.
    fn schema(&self) -> &'static str {
        ""
    }

    /// Queries (kind, id, state) for what exists besides ARM resources.
    fn inventory(&self) -> &'static [&'static str] {
        &[]
    }

    /// Operations on `management.azure.com`.
    fn operations(&self) -> Vec<&'static [Operation]> {
        Vec::new()
    }

    /// Resource types that do everything in the common way.
    fn kinds(&self) -> &'static [&'static dyn Kind] {
        &[]
    }

    /// Resource types besides [`Provider::kinds`]; see [`crate::registry::types`] for all.
    fn types(&self) -> &'static [ResourceType] {
        &[]
    }

    /// Whether a fresh subscription has the provider registered.
    fn registered_at_first(&self) -> bool {
        true
    }

    /// Services besides Azure Resource Manager (data planes).
    fn services(&self) -> &'static [&'static dyn Service] {
        &[]
    }

    /// The allocated machines of its resources in a subscription and region.
    fn machines(&self, _cx: &Cx<'_>, _subscription: &str, _location: &str) -> Result<Vec<Machines>, Refusal> {
        Ok(Vec::new())
    }

    /// Deletes one of its resources because the resource group goes: a vault is soft-deleted, an account vanishes.
    /// The resource row and the role assignments below it are removed by the caller of this hook.
    fn delete(&self, cx: &mut Cx<'_>, resource: &Resource) -> Result<(), Refusal> {
        arm::resource::destroy(cx, resource)
    }

    /// Finishes a long-running operation that it started; `cx.now` is the instant it fell due.
    /// Returns the operation's result. A refusal makes the operation `Failed`.
    fn complete(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<Option<Value>, Refusal> {
        arm::resource::complete(cx, lro)
    }

    /// Cleans up after a long-running operation whose `complete` hook refused; that hook's writes are rolled back.
    fn failed(&self, cx: &mut Cx<'_>, lro: &Lro) -> Result<(), Refusal> {
        arm::resource::failed(cx, lro)
    }

    /// Does what has fallen due by `cx.now` (scheduled purges, rotation). Runs at the start of every request.
    fn tick(&self, _cx: &mut Cx<'_>) -> Result<(), Refusal> {
        Ok(())
    }
}
