//! Assigns a built-in Azure role at any scope.
use sealbook_sdk::prelude::*;

/// Who may do what, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// Resource id at which, and below which, the role is to hold.
    scope: ArmId,
    /// Object id of who is to hold it.
    principal: String,
    /// What `principal` is. A managed identity is a service principal.
    #[serde(default)]
    principal_type: PrincipalType,
    /// The role's name, as in the portal.
    role: String,
}

/// Kinds of principals.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
enum PrincipalType {
    User,
    Group,
    #[default]
    ServicePrincipal,
}

/// The assignment.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// Its resource id.
    id: String,
}

/// Assigns a role.
pub struct Role;

impl Step for Role {
    const ASKS: &'static [&'static str] = &["azure:assign ${inputs.scope} role='${inputs.role}'"];
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        if let Some(found) = cx.azure().assigned(&i.scope, &i.principal, &i.role)? {
            return Ok(Check::Satisfied(Out { id: found.id }));
        }
        Ok(Check::needed(format!("Give {} the role {} on {}", i.principal, i.role, i.scope.name())).az(format!(
            "az role assignment create --role \"{}\" --assignee-object-id {} --assignee-principal-type {} --scope {}",
            i.role,
            i.principal,
            i.kind(),
            i.scope
        )))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        let made = cx.azure().assign("assign", &i.scope, &i.principal, i.kind(), &i.role)?;
        Ok(Out { id: made.id })
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let found = cx.azure().assigned(&i.scope, &i.principal, &i.role)?;
        let detail = found.as_ref().map_or("nobody holds it there", |a| a.id.as_str());
        let mut evidence = vec![Evidence::new(format!("{} holds {}", i.principal, i.role), found.is_some(), detail)];
        if let Some(found) = &found {
            evidence.push(Evidence::same("it is this step's assignment", &found.id, &outputs.id));
        }
        Ok(evidence)
    }

    fn undo(cx: &Cx, _: &In, past: Past<Out>) -> Result<Undone> {
        // The name derives from this run, so an assignment of that name is this run's even when its answer was lost.
        if past.may_restore("assign")
            && let Some(op) = past.operation("assign")
        {
            cx.azure().delete("unassign", &op.target.parse()?)?;
        }
        Ok(Undone::clean())
    }
}

impl In {
    fn kind(&self) -> &'static str {
        match self.principal_type {
            PrincipalType::User => "User",
            PrincipalType::Group => "Group",
            PrincipalType::ServicePrincipal => "ServicePrincipal",
        }
    }
}

sealbook_sdk::export!(Role);

#[cfg(test)]
mod tests {
    use super::*;
    use sealbook_sdk::testing::{Fake, Tested};

    const SCOPE: &str = "/subscriptions/s/resourceGroups/g/providers/Microsoft.KeyVault/vaults/v";
    const ROLE: &str = "Key Vault Crypto Officer";

    fn step(fake: &Fake) -> Tested<Role> {
        fake.step(json!({ "scope": SCOPE, "principal": "p", "principal_type": "User", "role": ROLE }))
    }

    #[test]
    fn it_assigns_and_takes_away() {
        let fake = Fake::new();
        let done = step(&fake).run().unwrap();
        assert!(done.preview.as_ref().unwrap().az.as_ref().unwrap().contains("--assignee-principal-type User"));
        assert!(done.evidence.iter().all(|e| e.passed));
        assert_eq!(fake.roles(), [format!("{ROLE} to p at {SCOPE}")]);
        step(&fake).undo(done).unwrap();
        assert!(fake.roles().is_empty());
    }

    #[test]
    fn an_assignment_whose_answer_was_lost_is_taken_away_too() {
        let fake = Fake::new();
        fake.lose("assign");
        step(&fake).apply().unwrap_err();
        assert_eq!(fake.roles().len(), 1);
        step(&fake).undo_from(&Value::Null, None).unwrap();
        assert!(fake.roles().is_empty());
    }

    #[test]
    fn an_equal_assignment_of_somebody_else_stays() {
        let fake = Fake::new().role(SCOPE, "p", ROLE);
        assert!(step(&fake).check().unwrap().satisfied().is_some());
        step(&fake).apply().unwrap();
        step(&fake).undo_from(&Value::Null, None).unwrap();
        assert_eq!(fake.roles().len(), 1);
    }
}
