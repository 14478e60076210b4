//! Looks before the first resource whether region, quota, names and providers will do.
mod look;

use sealbook_sdk::prelude::*;

/// What the lab is going to need.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct In {
    /// The subscription to work in.
    subscription: ArmId,
    /// The Azure region to work in.
    location: String,
    /// A resource provider to register if it is not.
    #[serde(default)]
    provider: Option<Provider>,
    /// Resource id of the group that will hold the resources: what this run made in it already does not count as taken.
    #[serde(default)]
    group: Option<ArmId>,
    /// A key vault's name that has to be free.
    #[serde(default)]
    vault: Option<String>,
    /// A storage account's name that has to be free.
    #[serde(default)]
    storage_account: Option<String>,
    /// The storage account's SKU, offered in the region.
    #[serde(default = "one_region")]
    storage_sku: String,
    /// A virtual machine size that the region has to offer, with enough quota for one. Empty: none.
    #[serde(default)]
    vm_size: Option<String>,
}

/// Providers that a preflight may register.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
enum Provider {
    #[serde(rename = "Microsoft.KeyVault")]
    KeyVault,
    #[serde(rename = "Microsoft.Storage")]
    Storage,
    #[serde(rename = "Microsoft.Compute")]
    Compute,
    #[serde(rename = "Microsoft.Network")]
    Network,
    #[serde(rename = "Microsoft.ContainerService")]
    ContainerService,
    #[serde(rename = "Microsoft.CognitiveServices")]
    CognitiveServices,
    #[serde(rename = "Microsoft.ManagedIdentity")]
    ManagedIdentity,
    #[serde(rename = "Microsoft.OperationalInsights")]
    OperationalInsights,
    #[serde(rename = "Microsoft.Insights")]
    Insights,
    #[serde(rename = "Microsoft.Attestation")]
    Attestation,
}

fn one_region() -> String {
    "Standard_LRS".into()
}

/// What was found.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Out {
    /// The region.
    location: String,
    /// Every look and what it showed.
    looks: Vec<Look>,
}

/// One look.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct Look {
    what: String,
    seen: String,
}

/// Looks ahead.
pub struct Preflight;

impl Step for Preflight {
    const ASKS: &'static [&'static str] = &[
        "azure:read ${inputs.subscription}/locations",
        "azure:read ${inputs.subscription}/providers",
        "azure:read ${inputs.group}",
        "azure:write ${inputs.subscription}/providers/${inputs.provider}/register",
    ];
    // The list of a region's machine sizes is a few megabytes of JSON.
    const LIMITS: Limits = Limits { memory_mib: 256, fuel_millions: 0, host_calls: 0 };
    type In = In;
    type Out = Out;

    fn check(cx: &Cx, i: &In) -> Result<Check<Out>> {
        let found = i.look(cx)?;
        let Some(provider) = i.unregistered(cx)? else { return Ok(Check::Satisfied(found)) };
        Ok(Check::needed(format!("Register the provider {provider} in the subscription"))
            .leaves(format!("the registration of {provider}, which costs nothing"))
            .az(format!("az provider register --wait --namespace {provider}")))
    }

    fn apply(cx: &Cx, i: &In) -> Result<Out> {
        if let Some(provider) = i.unregistered(cx)? {
            cx.azure().post("register", &i.provider_id(provider)?.join("register")?, json!({}))?;
        }
        // Registration goes on by itself for a minute or two; the engine asks again.
        match i.unregistered(cx)? {
            Some(provider) => Err(Problem::transient(format!("The provider {provider} is still being registered"))),
            None => i.look(cx),
        }
    }

    fn verify(cx: &Cx, i: &In, outputs: &Out) -> Result<Vec<Evidence>> {
        let mut evidence = vec![match i.region(cx)? {
            Ok(look) => Evidence::new(look.what, true, look.seen),
            Err((failing, _)) => Evidence::new("region", false, failing),
        }];
        // Names and quota were free before the lab used them: that can't be looked at again, only told.
        let before = outputs.looks.iter().filter(|look| look.what != "region");
        evidence.extend(before.map(|l| Evidence::new(format!("{}, before the lab", l.what), true, l.seen.as_str())));
        if let Some(provider) = i.provider {
            evidence.push(Evidence::same(format!("provider {provider}"), &i.state(cx, provider)?, "Registered"));
        }
        Ok(evidence)
    }

    fn undo(_: &Cx, i: &In, past: Past<Out>) -> Result<Undone> {
        Ok(match (i.provider, past.operation("register")) {
            (Some(provider), Some(_)) => Undone::clean().leaving(
                format!("registration of {provider}"),
                "others in the subscription may rely on it by now; it costs nothing",
                None,
            ),
            _ => Undone::clean(),
        })
    }
}

impl In {
    fn provider_id(&self, provider: Provider) -> Result<ArmId> {
        Ok(self.subscription.join(&format!("providers/{provider}"))?)
    }

    fn state(&self, cx: &Cx, provider: Provider) -> Result<String> {
        let found = cx.azure().get(&self.provider_id(provider)?)?;
        Ok(found["registrationState"].as_str().unwrap_or_default().into())
    }

    /// The provider, while it is not registered.
    fn unregistered(&self, cx: &Cx) -> Result<Option<Provider>> {
        let Some(provider) = self.provider else { return Ok(None) };
        Ok((self.state(cx, provider)? != "Registered").then_some(provider))
    }
}

impl std::fmt::Display for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KeyVault => "Microsoft.KeyVault",
            Self::Storage => "Microsoft.Storage",
            Self::Compute => "Microsoft.Compute",
            Self::Network => "Microsoft.Network",
            Self::ContainerService => "Microsoft.ContainerService",
            Self::CognitiveServices => "Microsoft.CognitiveServices",
            Self::ManagedIdentity => "Microsoft.ManagedIdentity",
            Self::OperationalInsights => "Microsoft.OperationalInsights",
            Self::Insights => "Microsoft.Insights",
            Self::Attestation => "Microsoft.Attestation",
        })
    }
}

sealbook_sdk::export!(Preflight);

#[cfg(test)]
mod tests;
