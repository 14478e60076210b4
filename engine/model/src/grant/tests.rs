//! Grants against those who would stretch them.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Capability, DeniedBy, Gate, Grant, Use, Verb};
use crate::CloudName;
use crate::policy::Policy;

const SUB: &str = "/subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c";

fn grant(text: &str) -> Grant {
    Grant::parse(&text.replace("SUB", SUB)).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn wanted<'a>(interface: Capability, verb: Verb, target: &'a str) -> Use<'a> {
    Use { interface, verb, target, role: None }
}

#[test]
fn what_is_covered() {
    use Capability::{Artifacts, Azure, Blob, Crypto, Directory, Hsm, Keyvault};
    use Verb::{Create, Read, Unwrap, Update, Wrap, Write};
    let rows = [
        ("azure:read,write SUB/resourceGroups/rg1", Azure, Read, "SUB/resourceGroups/rg1", true),
        (
            "azure:read,write SUB/resourceGroups/rg1",
            Azure,
            Write,
            "SUB/resourceGroups/rg1/providers/Microsoft.Storage/storageAccounts/a",
            true,
        ),
        ("azure:read,write SUB/resourceGroups/rg1", Azure, Write, "SUB/RESOURCEGROUPS/RG1/providers/x/y/z", true),
        ("azure:read SUB/resourceGroups/rg1", Azure, Write, "SUB/resourceGroups/rg1", false),
        ("azure:read SUB", Azure, Read, "SUB/providers/Microsoft.KeyVault/checkNameAvailability", true),
        ("azure:read SUB/providers/Microsoft.Storage", Azure, Read, "SUB/providers/Microsoft.Storage/skus", true),
        (
            "keyvault:read,create https://v.vault.azure.net/keys/k",
            Keyvault,
            Create,
            "https://v.vault.azure.net/keys/k",
            true,
        ),
        (
            "keyvault:read,create https://v.vault.azure.net/keys/k",
            Keyvault,
            Read,
            "https://V.VAULT.azure.net/keys/k/0123abcd",
            true,
        ),
        (
            "keyvault:read,create https://v.vault.azure.net/keys/k",
            Keyvault,
            Wrap,
            "https://v.vault.azure.net/keys/k",
            false,
        ),
        (
            "keyvault:wrap,unwrap https://h.managedhsm.azure.net/keys/k",
            Keyvault,
            Unwrap,
            "https://h.managedhsm.azure.net/keys/k",
            true,
        ),
        ("keyvault:update https://v.vault.azure.net/", Keyvault, Update, "https://v.vault.azure.net/keys/any", true),
        (
            "blob:write https://a.blob.core.windows.net/lab/*",
            Blob,
            Write,
            "https://a.blob.core.windows.net/lab/dir/note.txt",
            true,
        ),
        ("blob:write https://a.blob.core.windows.net/lab/*", Blob, Write, "https://a.blob.core.windows.net/lab", true),
        (
            "blob:write https://a.blob.core.windows.net/lab/dir/*",
            Blob,
            Write,
            "https://a.blob.core.windows.net/lab/dir",
            false,
        ),
        (
            "blob:write https://a.blob.core.windows.net/lab/note.txt",
            Blob,
            Create,
            "https://a.blob.core.windows.net/lab",
            true,
        ),
        (
            "blob:write https://a.blob.core.windows.net/lab/note.txt",
            Blob,
            Write,
            "https://a.blob.core.windows.net/lab",
            false,
        ),
        ("blob:read https://a.blob.core.windows.net/lab/*", Blob, Create, "https://a.blob.core.windows.net/lab", false),
        (
            "blob:write https://a.blob.core.windows.net/lab/*",
            Blob,
            Create,
            "https://a.blob.core.windows.net/other",
            false,
        ),
        ("artifacts:use", Artifacts, Verb::Use, "", true),
        ("crypto:use", Artifacts, Verb::Use, "", false),
        ("crypto:use", Crypto, Verb::Use, "whatever", true),
        ("hsm:write https://h.managedhsm.azure.net/", Hsm, Write, "https://h.managedhsm.azure.net/", true),
        ("hsm:read https://h.managedhsm.azure.net/keys", Hsm, Read, "https://h.managedhsm.azure.net/keys/k", true),
        ("hsm:read https://h.managedhsm.azure.net/keys/k", Hsm, Read, "https://h.managedhsm.azure.net/keys", false),
        ("hsm:read https://h.managedhsm.azure.net/keys/k", Hsm, Read, "https://h.managedhsm.azure.net/keys/kk", false),
        ("hsm:write https://h.managedhsm.azure.net/", Hsm, Write, "https://i.managedhsm.azure.net/", false),
        (
            "directory:read BF7B6499-ff71-4aa2-97a4-f372087be7f0",
            Directory,
            Read,
            "bf7b6499-ff71-4aa2-97a4-f372087be7f0",
            true,
        ),
        (
            "directory:read bf7b6499-ff71-4aa2-97a4-f372087be7f0",
            Directory,
            Read,
            "00000000-0000-0000-0000-000000000000",
            false,
        ),
    ];
    for (text, interface, verb, target, expected) in rows {
        let target = target.replace("SUB", SUB);
        assert_eq!(grant(text).covers(&wanted(interface, verb, &target)), expected, "{text}: {verb} {target}");
    }
}

#[test]
fn what_reaches_outside_is_never_covered() {
    let arm = grant("azure:read,write SUB/resourceGroups/rg1");
    let key = grant("keyvault:read,create,update,wrap,unwrap https://v.vault.azure.net/keys/k");
    let blob = grant("blob:read,write https://a.blob.core.windows.net/lab/*");
    let rows = [
        (&arm, "SUB/resourceGroups/rg10"),
        (&arm, "SUB/resourceGroups/rg"),
        (&arm, "SUB/resourceGroups"),
        (&arm, "SUB/resourceGroups/rg1/../rg2"),
        (&arm, "SUB/resourceGroups/rg1/.."),
        (&arm, "SUB/resourceGroups/rg1/./x"),
        (&arm, "SUB/resourceGroups/rg1/%2e%2e/rg2"),
        (&arm, "SUB/resourceGroups/rg1/%2E%2E%2Frg2"),
        (&arm, "SUB/resourceGroups/rg1%2Fx"),
        (&arm, "SUB/resourceGroups/rg1/"),
        (&arm, "SUB//resourceGroups/rg1"),
        (&arm, "SUB/resourceGroups/rg1?x=/y"),
        (&arm, "SUB/resourceGroups/rg1#x"),
        (&arm, "SUB/resourceGroups/rg1\\..\\rg2"),
        (&arm, "SUB/resourceGroups/rg1 /x"),
        (&arm, "SUB/resourceGroups/rg1\n"),
        (&arm, "SUB/resourceGroups/rg1/\u{0}"),
        (&arm, "SUB/resourceGroups/rg\u{0131}"),
        (&arm, "SUB/resourceGroups/\u{0433}g1"),
        (&arm, "/subscriptions/2/resourceGroups/rg1"),
        (&arm, "https://management.azure.com/subscriptions/1/resourceGroups/rg1"),
        (&arm, "//evil.com/subscriptions"),
        (&arm, "/"),
        (&arm, ""),
        (&key, "https://v.vault.azure.net/keys/k2"),
        (&key, "https://v.vault.azure.net/keys/K"),
        (&key, "https://v.vault.azure.net/keys"),
        (&key, "https://v.vault.azure.net/secrets/k"),
        (&key, "https://v.vault.azure.net/keys/k/../other"),
        (&key, "https://v.vault.azure.net/keys/k/"),
        (&key, "https://w.vault.azure.net/keys/k"),
        (&key, "https://v.vault.azure.net.evil.com/keys/k"),
        (&key, "https://v.vault.azure.net@evil.com/keys/k"),
        (&key, "https://evil.com#.vault.azure.net/keys/k"),
        (&key, "https://evil.com/.vault.azure.net/keys/k"),
        (&key, "https://a.v.vault.azure.net/keys/k"),
        (&key, "https://.vault.azure.net/keys/k"),
        (&key, "https://v.vault.azure.net:8443/keys/k"),
        (&key, "https://user:pw@v.vault.azure.net/keys/k"),
        (&key, "http://v.vault.azure.net/keys/k"),
        (&key, "HTTPS://v.vault.azure.net/keys/k"),
        (&key, "https://v.vault.azure.net./keys/k"),
        (&key, "https://v.vault.azure.net\\@evil.com/keys/k"),
        (&blob, "https://a.blob.core.windows.net/label/x"),
        (&blob, "https://a.blob.core.windows.net/lab/../other/x"),
        (&blob, "https://a.blob.core.windows.net/lab/%2e%2e/other"),
        (&blob, "https://a.blob.core.windows.net/lab/x%2f..%2f..%2fother"),
        (&blob, "https://a.blob.core.windows.net/LAB/x"),
        (&blob, "https://a.blob.core.windows.net/lab//x"),
        (&blob, "https://a.blob.core.windows.net/"),
        (&blob, "https://b.blob.core.windows.net/lab/x"),
        (&blob, "https://a.dfs.core.windows.net/lab/x"),
        (&blob, "https://a.blob.core.windows.net/lab/x?comp=lease"),
        (&blob, "https://a.blob.core.windows.net/lab/*"),
    ];
    for (grant, target) in rows {
        let target = target.replace("SUB", SUB);
        for verb in grant.capability().verbs() {
            assert!(!grant.covers(&wanted(grant.capability(), *verb, &target)), "{grant} covers {verb} {target:?}");
        }
    }
}

#[test]
fn rights_are_given_by_assign_alone() {
    let target = format!("{SUB}/resourceGroups/rg1/providers/Microsoft.Authorization/roleAssignments/x");
    let write = grant("azure:read,write SUB/resourceGroups/rg1");
    assert!(!write.covers(&wanted(Capability::Azure, Verb::Write, &target)));
    assert!(!write.covers(&wanted(Capability::Azure, Verb::Write, &target.to_lowercase())));
    assert!(write.covers(&wanted(Capability::Azure, Verb::Read, &target)));
    let named = grant("azure:write SUB/resourceGroups/rg1/providers/Microsoft.Authorization/roleAssignments/x");
    assert!(named.covers(&wanted(Capability::Azure, Verb::Write, &target)));

    let assign = grant("azure:assign SUB/resourceGroups/rg1 role='Storage Blob Data Reader'");
    let by = |role, target| Use { interface: Capability::Azure, verb: Verb::Assign, target, role };
    let here = format!("{SUB}/resourceGroups/rg1/providers/Microsoft.Storage/storageAccounts/a");
    assert!(assign.covers(&by(Some("Storage Blob Data Reader"), &here)));
    assert!(assign.covers(&by(Some("storage blob data reader"), &here)));
    assert!(!assign.covers(&by(Some("Owner"), &here)));
    assert!(!assign.covers(&by(None, &here)));
    assert!(!assign.covers(&by(Some("Storage Blob Data Reader"), SUB)));
    assert!(!assign.covers(&wanted(Capability::Azure, Verb::Write, &here)));
}

#[test]
fn actions_that_hand_out_secrets_are_no_reading() {
    let account = format!("{SUB}/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a");
    let (read, write) = (grant("azure:read SUB"), grant("azure:write SUB"));
    for action in ["listKeys", "LISTKEYS", "ListAccountSas", "listServiceSas"] {
        let target = format!("{account}/{action}");
        assert!(!read.covers(&wanted(Capability::Azure, Verb::Read, &target)), "{action}");
        assert!(write.covers(&wanted(Capability::Azure, Verb::Read, &target)), "{action}");
    }
    for fine in [
        account.clone(),
        format!("{account}/blobServices/listing"),
        format!("{SUB}/providers/Microsoft.KeyVault/vaults"),
    ] {
        assert!(read.covers(&wanted(Capability::Azure, Verb::Read, &fine)), "{fine}");
    }
}

#[test]
fn what_is_not_a_grant() {
    let bad = [
        "",
        "azure",
        "azure:",
        "azure:read",
        "Azure:read /subscriptions/1",
        "azure:read,,write /subscriptions/1",
        "azure:read /subscriptions",
        "azure:read /",
        "azure:read /providers",
        "azure:read /etc/passwd",
        "azure:read /subscriptions/1/*",
        "azure:read /subscriptions/1 x",
        "azure:assign /subscriptions/1",
        "azure:read /subscriptions/1 role='Owner'",
        "azure:assign /subscriptions/1 role=Owner",
        "azure:assign /subscriptions/1 role=''",
        "keyvault:assign https://v.vault.azure.net/",
        "keyvault:read https://v.vault.azure.net/secrets/x",
        "keyvault:read https://v.vault.azure.net/keys/*",
        "blob:read https://a.blob.core.windows.net/*/x",
        "blob:read https://a.blob.core.windows.net/a*",
        "blob:read https://a.blob.core.windows.net",
        "keyvault:read https://v.vault.azure.net/keys/k gate='gpu'",
        "keyvault:release https://v.vault.azure.net/keys/k gate=gpu",
        "keyvault:release https://v.vault.azure.net/keys/k gate=''",
        "keyvault:release https://v.vault.azure.net/keys/k gate='cpu'",
        "keyvault:release https://v.vault.azure.net/keys/k gate='gpu' gate='gpu'",
        "keyvault:release https://v.vault.azure.net/keys/k gate='measurement=00'",
        "keyvault:release https://v.vault.azure.net/keys/k gate='policy=xyz'",
        "azure:write /subscriptions/1 gate='gpu'",
        "attestation:use cpu",
        "crypto:use everything",
        "crypto:write",
    ];
    let lines: Vec<String> = bad
        .iter()
        .map(|text| match Grant::parse(text) {
            Ok(grant) => format!("{text} => {grant}"),
            Err(e) => format!("{text} => {e}; {}", e.fix.clone().unwrap_or_default()),
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
     => `` is not a grant; write capability:verb scope, like azure:read /subscriptions/…
    azure => `azure` is not a grant; write capability:verb scope, like azure:read /subscriptions/…
    azure: => azure has no verb ``; its verbs are `read`, `write` and `assign`
    azure:read => azure:read needs a scope; write azure:read /subscriptions/…/resourceGroups/…
    Azure:read /subscriptions/1 => there is no capability `Azure`; did you mean `azure`?
    azure:read,,write /subscriptions/1 => azure has no verb ``; its verbs are `read`, `write` and `assign`
    azure:read /subscriptions => `/subscriptions` is not a scope of azure: it would reach all of them; write it like /subscriptions/…/resourceGroups/…
    azure:read / => `/` is not a scope of azure: it would reach everything; write it like /subscriptions/…/resourceGroups/…
    azure:read /providers => `/providers` is not a scope of azure: it would reach all of them; write it like /subscriptions/…/resourceGroups/…
    azure:read /etc/passwd => `/etc/passwd` is not a scope of azure: an ARM id starts with /subscriptions/ or /providers/; write it like /subscriptions/…/resourceGroups/…
    azure:read /subscriptions/1/* => `/subscriptions/1/*` is not a scope of azure: ARM ids have no wildcards; write it like /subscriptions/…/resourceGroups/…
    azure:read /subscriptions/1 x => a scope has no spaces; write role='Key Vault Crypto User' after the scope
    azure:assign /subscriptions/1 => assign needs the role it may assign; write azure:assign /subscriptions/1 role='Reader'
    azure:read /subscriptions/1 role='Owner' => only assign has a role; take role=… away
    azure:assign /subscriptions/1 role=Owner => a role's name stands in quotes; write role='Key Vault Crypto User' after the scope
    azure:assign /subscriptions/1 role='' => that is not a role's name; write role='Key Vault Crypto User' after the scope
    keyvault:assign https://v.vault.azure.net/ => keyvault has no verb `assign`; its verbs are `read`, `create`, `update`, `wrap`, `unwrap` and `release`
    keyvault:read https://v.vault.azure.net/secrets/x => `https://v.vault.azure.net/secrets/x` is not a scope of keyvault: a key's URI continues with /keys/; write it like https://….vault.azure.net/keys/…
    keyvault:read https://v.vault.azure.net/keys/* => `https://v.vault.azure.net/keys/*` is not a scope of keyvault: key URIs have no wildcards; a key's URI covers its versions; write it like https://….vault.azure.net/keys/…
    blob:read https://a.blob.core.windows.net/*/x => `https://a.blob.core.windows.net/*/x` is not a scope of blob: * may only be the whole last segment; write it like https://….blob.core.windows.net/container/*
    blob:read https://a.blob.core.windows.net/a* => `https://a.blob.core.windows.net/a*` is not a scope of blob: * may only be the whole last segment; write it like https://….blob.core.windows.net/container/*
    blob:read https://a.blob.core.windows.net => `https://a.blob.core.windows.net` is not a scope of blob: a blob's URI names a container; write it like https://….blob.core.windows.net/container/*
    keyvault:read https://v.vault.azure.net/keys/k gate='gpu' => only a release has a gate; take gate=… away
    keyvault:release https://v.vault.azure.net/keys/k gate=gpu => a gate's conditions stand in quotes; write gate='gpu'
    keyvault:release https://v.vault.azure.net/keys/k gate='' => a gate has at least one condition; write gate='gpu'
    keyvault:release https://v.vault.azure.net/keys/k gate='cpu' => there is no condition `cpu`; the conditions are gpu, measurement=… and policy=…
    keyvault:release https://v.vault.azure.net/keys/k gate='gpu' gate='gpu' => a gate's conditions stand in quotes; write gate='gpu'
    keyvault:release https://v.vault.azure.net/keys/k gate='measurement=00' => a measurement is 96 hex digits, in lower case; write measurement=0a1b…
    keyvault:release https://v.vault.azure.net/keys/k gate='policy=xyz' => a policy's digest is 64 hex digits, in lower case; write policy=0a1b…
    azure:write /subscriptions/1 gate='gpu' => only a release has a gate; take gate=… away
    attestation:use cpu => `cpu` is not a scope of attestation: it does not start with https://; write it like https://….attest.azure.net
    crypto:use everything => crypto has no scopes; write crypto:use
    crypto:write => crypto has no verb `write`; its verbs are `use`
    ");
    assert!(Grant::parse(&format!("azure:read /subscriptions/{}", "x".repeat(3000))).is_err());
}

fn gate(asks: &[&str], grants: &[&str], policy: &str) -> Gate {
    let all = |texts: &[&str]| texts.iter().map(|t| grant(t)).collect();
    Gate::new(all(asks), all(grants), Arc::new(Policy::parse("policy.toml", policy).unwrap()))
}

#[test]
fn both_keys_are_needed_and_a_denial_names_the_line() {
    let gate = gate(
        &[
            "azure:read,write SUB/resourceGroups/rg",
            "azure:assign SUB/resourceGroups/rg role='Reader'",
            "blob:read,write https://a.blob.core.windows.net/lab/*",
            "crypto:use",
        ],
        &[
            "azure:read SUB/resourceGroups/rg",
            "keyvault:read https://v.vault.azure.net/",
            "blob:read https://a.blob.core.windows.net/lab/*",
        ],
        "version = 1",
    );
    let interfaces: Vec<String> = gate.interfaces().iter().map(ToString::to_string).collect();
    assert_eq!(interfaces, ["azure", "blob"]);
    let rg = format!("{SUB}/resourceGroups/rg");
    assert!(gate.allows(&wanted(Capability::Azure, Verb::Read, &rg)).is_ok());
    let uses = [
        wanted(Capability::Azure, Verb::Write, &rg),
        Use { role: Some("Reader"), ..wanted(Capability::Azure, Verb::Assign, &rg) },
        Use { role: Some("Owner"), ..wanted(Capability::Azure, Verb::Assign, &rg) },
        wanted(Capability::Azure, Verb::Read, SUB),
        wanted(Capability::Keyvault, Verb::Read, "https://v.vault.azure.net/keys/k"),
        wanted(Capability::Blob, Verb::Create, "https://a.blob.core.windows.net/lab"),
        wanted(Capability::Crypto, Verb::Use, ""),
        wanted(Capability::Azure, Verb::Read, "/subscriptions/x/../y\u{1b}[31m"),
    ];
    let lines: Vec<String> = uses.iter().map(|u| gate.allows(u).unwrap_err().problem().to_string()).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    SB0201 not allowed: azure:write /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg — the playbook does not grant it to this step; add to the step: grants = ["azure:write /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg"]
    SB0201 not allowed: azure:assign /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg role='Reader' — the playbook does not grant it to this step; add to the step: grants = ["azure:assign /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg role='Reader'"]
    SB0202 not allowed: azure:assign /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg role='Owner' — the plugin did not ask for it; add to the plugin's asks: "azure:assign /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg role='Owner'"
    SB0202 not allowed: azure:read /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c — the plugin did not ask for it; add to the plugin's asks: "azure:read /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c"
    SB0202 not allowed: keyvault:read https://v.vault.azure.net/keys/k — the plugin did not ask for it; add to the plugin's asks: "keyvault:read https://v.vault.azure.net/keys/k"
    SB0201 not allowed: blob:create https://a.blob.core.windows.net/lab — the playbook does not grant it to this step; add to the step: grants = ["blob:write https://a.blob.core.windows.net/lab/*"]
    SB0201 not allowed: crypto:use — the playbook does not grant it to this step; add to the step: grants = ["crypto:use"]
    SB0201 not allowed: azure:read /subscriptions/x/../y�[31m — the target is not a plain id: it has a relative segment; write the id in its canonical form
    "#);
    let missing: Vec<String> = gate.missing().into_iter().map(|d| d.line).collect();
    insta::assert_snapshot!(missing.join("\n"), @r#"
    grants = ["azure:write /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg"]
    grants = ["azure:assign /subscriptions/1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c/resourceGroups/rg role='Reader'"]
    grants = ["blob:write https://a.blob.core.windows.net/lab/*"]
    grants = ["crypto:use"]
    "#);
    for denial in uses.iter().take(2).map(|u| gate.allows(u).unwrap_err()) {
        let line: toml::Table = toml::from_str(&denial.line).unwrap();
        assert!(Grant::parse(line["grants"][0].as_str().unwrap()).is_ok());
    }
}

#[test]
fn a_gate_is_of_every_grant_that_lets_a_release_through() {
    const KEY: &str = "https://v.vault.azure.net/keys/k";
    let table: [(&[&str], &[&str]); 5] = [
        (&["keyvault:release KEY"], &[]),
        (&["keyvault:read,release KEY gate='gpu'"], &["gpu"]),
        // A grant beside it, or one for the whole vault, loosens nothing.
        (&["keyvault:release KEY gate='gpu'", "keyvault:release KEY"], &["gpu"]),
        (
            &["keyvault:release https://v.vault.azure.net/ gate='gpu'", "keyvault:release KEY gate='policy=00'"],
            &["gpu", "policy=00"],
        ),
        (&["keyvault:release https://v.vault.azure.net/keys/other gate='gpu'", "keyvault:release KEY"], &[]),
    ];
    for (grants, expected) in table {
        let full = |text: &&str| text.replace("KEY", KEY).replace("=00'", &format!("={}'", "00".repeat(32)));
        let grants: Vec<Grant> = grants.iter().map(|text| Grant::parse(&full(text)).unwrap()).collect();
        let asks = vec![grant(&format!("keyvault:release {KEY}"))];
        let gate = Gate::new(asks, grants, Arc::default());
        let on = wanted(Capability::Keyvault, Verb::Release, KEY);
        let found: Vec<_> = gate.conditions(&on).iter().map(ToString::to_string).collect();
        let expected: Vec<_> =
            expected.iter().map(|text| text.replace("=00", &format!("={}", "00".repeat(32)))).collect();
        assert_eq!((found, gate.allows(&on).is_ok(), gate.missing().is_empty()), (expected, true, true));
    }
}

#[test]
fn the_policy_has_the_last_word_on_the_real_cloud() {
    let all = ["azure:read SUB"];
    let other = gate(&all, &all, "version = 1\nsubscriptions = [\"2\"]");
    let denial = other.allows(&wanted(Capability::Azure, Verb::Read, SUB)).unwrap_err();
    assert_eq!(
        (denial.by, denial.line.as_str()),
        (DeniedBy::Policy, "subscriptions = [\"1b4df8a5-4c55-4fb6-9a24-4c5f6e7a8b9c\"]")
    );
    assert!(other.on_cloud(CloudName::Embedded).allows(&wanted(Capability::Azure, Verb::Read, SUB)).is_ok());
    let listed = gate(&all, &all, "version = 1\nsubscriptions = [\"1B4DF8A5-4C55-4FB6-9A24-4C5F6E7A8B9C\"]");
    assert!(listed.allows(&wanted(Capability::Azure, Verb::Read, SUB)).is_ok());
}

fn segment() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_-]{1,8}"
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,80}") {
        if let Ok(grant) = Grant::parse(&text) {
            prop_assert_eq!(Grant::parse(&grant.to_string()).unwrap(), grant);
        }
        for interface in Capability::ALL {
            for verb in interface.verbs() {
                let _ = grant("azure:read,write SUB").covers(&wanted(interface, *verb, &text));
            }
        }
    }

    #[test]
    fn grants_read_back_as_they_are_written(path in prop::collection::vec(segment(), 1..6), star in any::<bool>()) {
        let star = if star { "/*" } else { "" };
        for text in [
            format!("azure:read,write /subscriptions/{}", path.join("/")),
            format!("azure:assign /subscriptions/{} role='A B'", path.join("/")),
            format!("keyvault:read https://v.vault.azure.net/keys/{}", path.join("/")),
            format!("keyvault:release https://v.vault.azure.net/keys/{} gate='gpu policy={}'", path[0], "a1".repeat(32)),
            "attestation:use gpu".to_owned(),
            format!("blob:write https://a.blob.core.windows.net/{}{star}", path.join("/")),
        ] {
            let grant = Grant::parse(&text).unwrap();
            prop_assert_eq!(grant.to_string(), text);
            prop_assert!(grant.includes(&grant));
        }
    }

    #[test]
    fn only_what_lies_below_is_covered(base in prop::collection::vec(segment(), 1..4), other in prop::collection::vec(segment(), 0..6)) {
        let grant = Grant::parse(&format!("azure:read /subscriptions/{}", base.join("/"))).unwrap();
        let target = format!("/subscriptions/{}", other.join("/"));
        let below = other.len() >= base.len() && base.iter().zip(&other).all(|(a, b)| a.eq_ignore_ascii_case(b));
        prop_assert_eq!(grant.covers(&wanted(Capability::Azure, Verb::Read, &target)), below);
    }

    #[test]
    fn a_longer_last_segment_is_another_thing(base in segment(), more in "[a-z0-9]{1,4}") {
        let arm = Grant::parse(&format!("azure:read /subscriptions/{base}")).unwrap();
        let target = format!("/subscriptions/{base}{more}");
        prop_assert!(!arm.covers(&wanted(Capability::Azure, Verb::Read, &target)));
        let blob = Grant::parse(&format!("blob:read https://a.blob.core.windows.net/{base}/*")).unwrap();
        let target = format!("https://a.blob.core.windows.net/{base}{more}/x");
        prop_assert!(!blob.covers(&wanted(Capability::Blob, Verb::Read, &target)));
    }

    #[test]
    fn what_includes_covers_as_much(a in prop::collection::vec(segment(), 1..4), b in prop::collection::vec("[ab]", 0..3), t in prop::collection::vec("[ab]", 0..4)) {
        let join = |parts: &[&[String]]| parts.concat().join("/");
        let wide = Grant::parse(&format!("azure:read /subscriptions/{}", join(&[&a]))).unwrap();
        let narrow = Grant::parse(&format!("azure:read /subscriptions/{}", join(&[&a, &b]))).unwrap();
        let target = format!("/subscriptions/{}", join(&[&a, &t]));
        let on = wanted(Capability::Azure, Verb::Read, &target);
        prop_assert!(wide.includes(&narrow));
        prop_assert!(!narrow.covers(&on) || wide.covers(&on));
    }
}
