//! Registers an application of Microsoft in the tenant.
use sealbook_sdk::prelude::*;

/// Which application.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Its application id, the same in every tenant.
    #[schemars(regex(pattern = r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"))]
    app_id: String,
}

/// Its service principal in this tenant.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Object id: what role assignments name.
    #[schemars(extend("x-az" = "az ad sp show --id ${inputs.app_id} --query id --output tsv"))]
    id: String,
    /// The application id.
    #[schemars(extend("x-is" = "${inputs.app_id}"))]
    app_id: String,
}

/// Registers an application.
pub struct ServicePrincipal;

impl Step for ServicePrincipal {
    const ASKS: &'static [&'static str] = &["directory:read,write ${inputs.app_id}"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        if let Some(found) = cx.directory().find(&i.app_id)? {
            return Ok(Check::Satisfied(i.out(&found)));
        }
        Ok(Check::needed(format!("Register the application {} in the tenant", i.app_id))
            .leaves(format!("the service principal of {}: others in the tenant may come to rely on it", i.app_id))
            .az(format!("az ad sp create --id {}", i.app_id)))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        Ok(i.out(&cx.directory().register("register", &i.app_id)?))
    }

    fn undo(_: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        // It concerns the whole tenant, and nobody can tell who relies on it by now.
        Ok(match past.operation("register").map(|op| op.ownership) {
            Some(Ownership::Ours) => Undone::clean().leaving(
                format!("the service principal of {}", i.app_id),
                "it is the whole tenant's, and others may rely on it; it costs nothing and has no rights of its own",
                None,
            ),
            _ => Undone::clean(),
        })
    }
}

impl In {
    fn out(&self, principal: &Value) -> Out {
        Out { id: principal["id"].as_str().unwrap_or_default().into(), app_id: self.app_id.clone() }
    }
}

sealbook_sdk::export!(ServicePrincipal);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const APP: &str = "bf7b6499-ff71-4aa2-97a4-f372087be7f0";

    fn step(fake: &Fake) -> Tested<ServicePrincipal> {
        fake.step(json!({ "app_id": APP }))
    }

    #[test]
    fn it_registers_once_and_never_takes_away() {
        let fake = Fake::new();
        fake.lose("register");
        step(&fake).apply().unwrap_err();
        let fake = Fake::new();
        let done = step(&fake).run().unwrap();
        assert_eq!(done.outputs.as_ref().unwrap()["id"], format!("oid-of-{APP}"));
        assert_eq!(step(&fake).undo(done).unwrap().0.len(), 1);
        assert!(step(&fake).check().unwrap().satisfied().is_some());
    }

    #[test]
    fn one_that_is_there_is_used_and_left_alone() {
        let fake = Fake::new().principal(APP, json!({ "id": "oid", "appId": APP }));
        let done = step(&fake).run().unwrap();
        assert_eq!(done.outputs.as_ref().unwrap()["id"], "oid");
        assert!(fake.effects().is_empty());
        assert_eq!(step(&fake).undo(done).unwrap(), Undone::clean());
    }
}
