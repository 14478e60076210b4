//! The first of the two gates: which interfaces a component is linked to.

use std::collections::BTreeSet;

use sealbook_model::grant::{Capability, Gate, Use, Verb};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::bindings::{FullPre, sealbook::plugin as contract};
use super::desk::State;
use super::fault::Fault;
use super::provider;
use super::wasi;
use crate::step::{Failure, StepError};

/// The capabilities a component is linked to.
pub(crate) type Links = BTreeSet<Capability>;

/// A component whose imports are linked and whose exports are known to be a step.
pub(crate) type Plugin = FullPre<State>;

/// What every component gets, granted or not.
const ALWAYS: [&str; 4] = ["types", "log", "progress", "ownership"];

/// A capability that a component imports.
#[derive(Clone, Copy)]
pub(crate) struct Import {
    capability: Capability,
    /// Whether it can call anything, or only names the types (a handle in another interface's signature).
    calls: bool,
}

/// Decides what to link, by what the component imports and what the gate lets through.
///
/// # Errors
/// A capability that was not asked for, not granted, or forbidden.
pub(crate) fn links(imports: &[Import], gate: &Gate) -> Result<Links, Failure> {
    let open = gate.interfaces();
    let mut links = Links::new();
    for import in imports {
        if import.calls && !open.contains(&import.capability) {
            return Err(denied(gate, import.capability).into());
        }
        links.insert(import.capability);
    }
    Ok(links)
}

/// Reads the capabilities out of a component's imports.
///
/// # Errors
/// [`Fault::ForeignImport`] naming everything that is offered to nobody, instead of the linker's first complaint.
pub(crate) fn imports(engine: &Engine, component: &Component) -> Result<Vec<Import>, Fault> {
    let ty = component.component_type();
    let mut found = Vec::new();
    let mut foreign = Vec::new();
    for (name, item) in ty.imports(engine) {
        let interface = ours(name);
        let capability = interface.and_then(|i| i.parse::<Capability>().ok());
        match (capability, item.ty) {
            (Some(capability), ComponentItem::ComponentInstance(instance)) => {
                let calls = instance.exports(engine).any(|(_, e)| matches!(e.ty, ComponentItem::ComponentFunc(_)));
                found.push(Import { capability, calls });
            }
            (None, _) if interface.is_some_and(|i| ALWAYS.contains(&i)) || wasi::offers(name) => {}
            _ => foreign.push(format!("`{}`", super::text::one_line(name, 120))),
        }
    }
    if foreign.is_empty() { Ok(found) } else { Err(Fault::ForeignImport(foreign.join(", "))) }
}

/// The interface of `sealbook:plugin` that an import names, on the version track that this host speaks.
fn ours(import: &str) -> Option<&str> {
    let (interface, version) = import.strip_prefix("sealbook:plugin/")?.split_once('@')?;
    version.strip_prefix("0.1.").map(|_| interface)
}

/// Says in the gate's own words why an interface is closed: the ask that lacks its grant if there is one.
fn denied(gate: &Gate, capability: Capability) -> StepError {
    let verb = match capability {
        Capability::Azure | Capability::Keyvault | Capability::Blob | Capability::Hsm | Capability::Directory => {
            Verb::Read
        }
        Capability::Artifacts | Capability::Crypto | Capability::Attestation => Verb::Use,
    };
    let name = capability.to_string();
    let missing = gate.missing().into_iter().find(|d| d.capability.split(':').next() == Some(name.as_str()));
    let denial = missing.or_else(|| gate.allows(&Use { interface: capability, verb, target: "", role: None }).err());
    match denial {
        Some(denial) => denial.into(),
        None => StepError::Denied { capability: name, scope: String::new(), line: String::new() },
    }
}

/// Links a component and checks that it exports a step.
///
/// # Errors
/// [`Fault::ForeignImport`] for a function or type that this host does not know, [`Fault::NotAPlugin`] when the
/// exports do not fit the contract.
pub(crate) fn plugin(engine: &Engine, component: &Component, links: &Links) -> Result<Plugin, Fault> {
    let pre = linker(engine, links)
        .map_err(|error| Fault::Host(format!("linking failed: {error:#}")))?
        .instantiate_pre(component)
        .map_err(|error| {
            Fault::ForeignImport(super::text::one_line(
                &format!("something of another shape or of a newer contract ({error:#})"),
                400,
            ))
        })?;
    FullPre::new(pre).map_err(|error| {
        Fault::NotAPlugin(super::text::one_line(
            &format!("it must export `sealbook:plugin/step@0.1.0` ({error:#})"),
            400,
        ))
    })
}

fn linker(engine: &Engine, links: &Links) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    let l = &mut linker;
    wasi::add_to_linker(l)?;
    contract::types::add_to_linker::<State, provider::HasTypes>(l, State::types)?;
    contract::log::add_to_linker::<State, provider::HasLog>(l, State::log)?;
    contract::progress::add_to_linker::<State, provider::HasProgress>(l, State::progress)?;
    contract::ownership::add_to_linker::<State, provider::HasOwnership>(l, State::ownership)?;
    for capability in links {
        match capability {
            Capability::Azure => contract::azure::add_to_linker::<State, provider::HasAzure>(l, State::azure)?,
            Capability::Keyvault => {
                contract::keyvault::add_to_linker::<State, provider::HasKeyvault>(l, State::keyvault)?;
            }
            Capability::Blob => contract::blob::add_to_linker::<State, provider::HasBlob>(l, State::blob)?,
            Capability::Artifacts => {
                contract::artifacts::add_to_linker::<State, provider::HasArtifacts>(l, State::artifacts)?;
            }
            Capability::Crypto => contract::crypto::add_to_linker::<State, provider::HasCrypto>(l, State::crypto)?,
            Capability::Hsm => contract::hsm::add_to_linker::<State, provider::HasHsm>(l, State::hsm)?,
            Capability::Directory => {
                contract::directory::add_to_linker::<State, provider::HasDirectory>(l, State::directory)?;
            }
            Capability::Attestation => {
                contract::attestation::add_to_linker::<State, provider::HasAttestation>(l, State::attestation)?;
            }
        }
    }
    Ok(linker)
}
