//! The virtual TPM of a machine, as its driver reaches it: a TPM 2.0 command in, the TPM's response out.
//!
//! It is a host that only a machine's own door knows. Source of the wire format: Trusted Platform Module Library,
//! Part 3: Commands.

use http::Method;

use crate::cx::{Caller, Cx};
use crate::http::Answer;
use crate::identity::token::TokenError;
use crate::operation::{Access, Operation, Params};
use crate::refusal::Refusal;
use crate::service::Service;

/// The service.
pub(crate) struct Vtpm;

static OPERATIONS: &[Operation] = &[Operation {
    name: "Transmit",
    method: Method::POST,
    path: "/",
    when: &[],
    api: &[],
    access: Access::Open,
    lro: false,
    run: transmit,
}];

fn transmit(cx: &mut Cx<'_>, _: &Params) -> Result<Answer, Refusal> {
    if cx.request.machine.is_none() {
        return Err(Refusal::new(404, "NotFound", "A virtual TPM answers its own machine alone."));
    }
    Err(Refusal::new(501, "NotImplemented", "This machine has no virtual TPM.").gap("virtual TPM of machines"))
}

impl Service for Vtpm {
    fn name(&self) -> &'static str {
        "vtpm"
    }

    fn answers(&self, host: &str) -> bool {
        host == "vtpm.internal"
    }

    fn tables(&self) -> Vec<&'static [Operation]> {
        vec![OPERATIONS]
    }

    fn authenticate(&self, _: &Cx<'_>) -> Result<Caller, Refusal> {
        Ok(Caller::default())
    }

    fn unauthorized(&self, _: &Cx<'_>, error: &TokenError) -> Refusal {
        Refusal::new(401, "Unauthorized", error.to_string())
    }

    fn scope(&self, _: &Cx<'_>, _: &'static Operation, _: &Params) -> Result<String, Refusal> {
        Ok("/".to_owned())
    }

    fn forbidden(&self, _: &Cx<'_>, _: &str, _: &str) -> Refusal {
        Refusal::new(403, "Forbidden", "Forbidden")
    }

    fn wrong_version(&self, _: &Cx<'_>, _: &'static Operation, _: &Params, _: Option<&str>) -> Refusal {
        Refusal::new(400, "InvalidApiVersion", "A virtual TPM has no versions.")
    }

    fn unknown(&self, _: &Cx<'_>) -> Refusal {
        Refusal::new(404, "NotFound", "A virtual TPM has one address: POST /.")
    }

    fn render(&self, _: &Cx<'_>, refusal: &Refusal) -> Answer {
        refusal.render_arm()
    }
}
