//! Bindings to `wit/`, made once for the world that has everything. Which interfaces a component really gets is
//! decided in [`super::link`].

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "full",
    imports: {
        // These answer at once. Everything else may wait for Azure or for the disk.
        "sealbook:plugin/log.write": trappable,
        "sealbook:plugin/progress.report": trappable,
        "sealbook:plugin/ownership.usable": trappable,
        default: async | trappable,
    },
    exports: { default: async },
    trappable_error_type: {
        "sealbook:plugin/types.problem" => crate::host::fault::Refusal,
    },
    with: {
        "sealbook:plugin/attestation.proof": crate::host::handle::Proof,
        "sealbook:plugin/attestation.token": crate::host::handle::Token,
        "sealbook:plugin/crypto.key": crate::host::handle::Key,
        "sealbook:plugin/crypto.pair": crate::host::handle::Pair,
        "sealbook:plugin/artifacts.artifact": crate::host::handle::Artifact,
        "sealbook:plugin/artifacts.draft": crate::host::handle::Draft,
    },
    additional_derives: [PartialEq],
    require_store_data_send: true,
});
