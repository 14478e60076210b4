//! What becomes of a playbook with a part, outputs that only a run knows, a role to wait for, and lessons.

use serde_json::json;

use super::*;
use crate::playbook::{Bundle, compile};
use crate::plugin::Limits;

const PLAYBOOK: &str = r#"
schema = 1
id = "lab"
title = "A lab"
summary = "Encrypts, and loses the key."
level = "beginner"
minutes = { embedded = 1, azure = 2 }
leaves = ["the vault v-${inputs.suffix}"]

[inputs]
suffix = { type = "string", default = "${run.short}", prompt = "Ending of every name" }
days = { type = "int", default = 7 }
note = { type = "string", secret = true, prompt = "What to store" }

[[step]]
name = "store"
part = "vault@1"
with = { name = "v-${inputs.suffix}", days = "${inputs.days}" }

[[step]]
name = "account"
use = "thing@0.1"
with = { name = "a${inputs.suffix}", text = "${inputs.note}" }
grants = []
by_hand = "az storage account create --name a${inputs.suffix} --tags 'owner=${me.id}' && az storage account show --name a${inputs.suffix}"

[[step]]
name = "role"
use = "thing@0.1"
with = { name = "${account.identity.principalId}" }
grants = []
retry = { within = "15m" }
by_hand = "az role assignment create --assignee-object-id ${account.identity.principalId} --role \"Crypto User\" --scope ${store.id} --condition '$x \"y\" `z`'"

[[step]]
name = "take_away"
use = "thing@0.1"
with = { name = "x" }
grants = ["blob:read https://a.blob.core.windows.net/lab/note"]
by_hand = "az keyvault key set-attributes --id ${store.uri}keys/k --enabled false"
lesson = { read = "https://a.blob.core.windows.net/lab/note", fails = { status = 403, code = "KeyVaultEncryptionKeyNotFound" }, within = "5m" }
quiz = { ask = "Who reads?", options = ["You", "Nobody"], answer = 1, why = "The key is gone." }

[[step]]
name = "refused"
use = "thing@0.1"
with = { name = "y" }
grants = []
by_hand = "az disk create --name d --tags ${take_away.version}"
lesson = { fails = { code = "KeyVaultKeyNotEnabled" } }

[[step]]
name = "look"
use = "thing@0.1"
with = { name = "z" }
grants = []
"#;

const PART: &str = r#"
schema = 1
id = "vault"
version = 1
title = "A vault"
summary = "A place for keys."

[inputs]
name = { type = "string" }
days = { type = "int" }

[[step]]
name = "vault"
use = "thing@0.1"
with = { name = "${inputs.name}" }
grants = []
by_hand = "az keyvault create --name ${inputs.name} --retention-days ${inputs.days}"

[exports]
id = "${vault.id}"
uri = "https://${vault.name}.vault.azure.net/"
"#;

fn bundle(playbook: &str) -> Bundle {
    Bundle::gather("lab/playbook.toml", &mut |path| match path {
        "lab/playbook.toml" => Some(playbook.to_owned()),
        "parts/vault/part.toml" => Some(PART.to_owned()),
        _ => Some("## What\nSomething happens.\n## Why\nBecause.\n## Proved\nIt did.\n".to_owned()),
    })
}

fn plugins() -> BTreeMap<String, Description> {
    let outputs = json!({
        "x-az": "az resource show --name ${inputs.name} --query ${path}",
        "properties": {
            "name": { "x-is": "${inputs.name}" },
            "id": { "x-az": "az keyvault show --name ${inputs.name} --query id" },
            "identity": { "type": "object" },
            "version": { "x-az-last": "az keyvault key show --name ${inputs.name} --query key.kid" },
        },
    });
    let description = Description {
        summary: "A thing".into(),
        inputs: json!({ "type": "object", "properties": { "name": { "type": "string" }, "text": { "type": "string" } } }),
        outputs,
        asks: Vec::new(),
        limits: Limits::default(),
    };
    BTreeMap::from([("thing@0.1".to_owned(), description)])
}

fn exported(playbook: &str) -> Result<Script, Vec<Problem>> {
    exported_with(playbook, "abc234")
}

fn exported_with(playbook: &str, suffix: &str) -> Result<Script, Vec<Problem>> {
    let lab = compile(&bundle(playbook), &plugins()).unwrap_or_else(|problems| panic!("{problems:?}"));
    let inputs = BTreeMap::from([
        ("suffix".to_owned(), json!(suffix)),
        ("days".to_owned(), json!(7)),
        ("note".to_owned(), json!("secret:note")),
    ]);
    export(&lab, &plugins(), &Answers::new(), &inputs, "abc234".parse().unwrap())
}

/// The script below its functions.
fn script(shell: Shell) -> String {
    let text = shell_script(&exported(PLAYBOOK).unwrap(), shell);
    let functions = text.rfind("\n}\n\n").unwrap_or_default();
    text[functions + 4..].to_owned()
}

#[test]
fn bash_gets_variables_quotes_patience_and_lessons() {
    insta::assert_snapshot!(script(Shell::Bash), @r#"
    me_id=$(az ad signed-in-user show --query id --output tsv)
    suffix="abc234"  # Ending of every name

    # Step 1 of 6, store/vault: Vault
    # Something happens.
    az keyvault create --name "v-${suffix}" --retention-days 7
    store_vault_id=$(az keyvault show --name "v-${suffix}" --query id)

    # Step 2 of 6, account: Account
    # Something happens.
    az storage account create --name "a${suffix}" --tags "owner=${me_id}"
    az storage account show --name "a${suffix}"
    account_identity_principal_id=$(az resource show --name "a${suffix}" --query identity.principalId)

    # Step 3 of 6, role: Role
    # Something happens.
    again 900 az role assignment create --assignee-object-id "${account_identity_principal_id}" --role "Crypto User" --scope "${store_vault_id}" --condition "\$x \"y\" \`z\`"

    # Step 4 of 6, take_away: Take away
    # Something happens.
    az keyvault key set-attributes --id "https://v-${suffix}.vault.azure.net/keys/k" --enabled false
    again 300 refused KeyVaultEncryptionKeyNotFound az storage blob download --auth-mode login --blob-url https://a.blob.core.windows.net/lab/note --file /dev/null
    take_away_version=$(az keyvault key show --name x --query key.kid)
    take_away_version=${take_away_version##*/}

    # Step 5 of 6, refused: Refused
    # Something happens.
    refused KeyVaultKeyNotEnabled az disk create --name d --tags "${take_away_version}"

    # Step 6 of 6, look: Look
    # Something happens.
    # There is nothing to type.
    "#);
}

#[test]
fn powershell_gets_the_same_in_its_own_words() {
    insta::assert_snapshot!(script(Shell::PowerShell), @r#"
    $me_id = az ad signed-in-user show --query id --output tsv
    $suffix = "abc234"  # Ending of every name

    # Step 1 of 6, store/vault: Vault
    # Something happens.
    az keyvault create --name "v-${suffix}" --retention-days 7
    $store_vault_id = az keyvault show --name "v-${suffix}" --query id

    # Step 2 of 6, account: Account
    # Something happens.
    az storage account create --name "a${suffix}" --tags "owner=${me_id}"
    az storage account show --name "a${suffix}"
    $account_identity_principal_id = az resource show --name "a${suffix}" --query identity.principalId

    # Step 3 of 6, role: Role
    # Something happens.
    Again 900 { az role assignment create --assignee-object-id "${account_identity_principal_id}" --role "Crypto User" --scope "${store_vault_id}" --condition "`$x `"y`" ``z``" }

    # Step 4 of 6, take_away: Take away
    # Something happens.
    az keyvault key set-attributes --id "https://v-${suffix}.vault.azure.net/keys/k" --enabled false
    Again 300 { Refused KeyVaultEncryptionKeyNotFound { az storage blob download --auth-mode login --blob-url https://a.blob.core.windows.net/lab/note --file /dev/null } }
    $take_away_version = (az keyvault key show --name x --query key.kid).Split("/")[-1]

    # Step 5 of 6, refused: Refused
    # Something happens.
    Refused KeyVaultKeyNotEnabled { az disk create --name d --tags "${take_away_version}" }

    # Step 6 of 6, look: Look
    # Something happens.
    # There is nothing to type.
    "#);
}

#[test]
fn markdown_reads_as_a_document() {
    insta::assert_snapshot!(markdown(&exported(PLAYBOOK).unwrap()), @r#"
    # A lab

    Encrypts, and loses the key.

    What stays after clean-up:

    - the vault v-`$suffix`

    ## Before you begin

    Sign in with `az login`, then set what the commands below use:

    ```bash
    me_id=$(az ad signed-in-user show --query id --output tsv)
    suffix="abc234"  # Ending of every name
    ```

    ## 1. Vault

    Something happens.

    Because.

    ```bash
    az keyvault create --name "v-${suffix}" --retention-days 7
    store_vault_id=$(az keyvault show --name "v-${suffix}" --query id)
    ```

    *Proved:* It did.

    ## 2. Account

    Something happens.

    Because.

    ```bash
    az storage account create --name "a${suffix}" --tags "owner=${me_id}"
    az storage account show --name "a${suffix}"
    account_identity_principal_id=$(az resource show --name "a${suffix}" --query identity.principalId)
    ```

    *Proved:* It did.

    ## 3. Role

    Something happens.

    Because.

    ```bash
    az role assignment create --assignee-object-id "${account_identity_principal_id}" --role "Crypto User" --scope "${store_vault_id}" --condition "\$x \"y\" \`z\`"
    ```

    Try again for up to 15 minutes while you are refused: rights take a while to arrive.

    *Proved:* It did.

    ## 4. Take away

    Something happens.

    Because.

    ```bash
    az keyvault key set-attributes --id "https://v-${suffix}.vault.azure.net/keys/k" --enabled false
    take_away_version=$(az keyvault key show --name x --query key.kid)
    take_away_version=${take_away_version##*/}
    ```

    **Reading is now to be refused**, with `KeyVaultEncryptionKeyNotFound`:

    ```bash
    az storage blob download --auth-mode login --blob-url https://a.blob.core.windows.net/lab/note --file /dev/null
    ```

    *Proved:* It did.

    > **Who reads?**
    >
    > - You
    > - Nobody

    <details><summary>Answer</summary>

    Nobody. The key is gone.

    </details>

    ## 5. Refused

    Something happens.

    Because.

    ```bash
    az disk create --name d --tags "${take_away_version}"
    ```

    **This is to be refused**, with `KeyVaultKeyNotEnabled`.

    *Proved:* It did.

    ## 6. Look

    Something happens.

    Because.

    *Proved:* It did.
    "#);
}

/// Two steps inside a confidential VM: one that a person could type there, and one that nobody can.
const INSIDE: &str = r#"
[[step]]
name = "release"
use = "thing@0.1"
where = "guest"
guest = { vm = "${account.id}", mailbox = "https://a.blob.core.windows.net/guest" }
with = { name = "r" }
grants = []
retry = { within = "15m" }
by_hand = "sealbook guest release --kid ${store.uri}keys/k --note 'a\tb'"
lesson = { fails = { status = 403, code = "Forbidden" } }

[[step]]
name = "train"
use = "thing@0.1"
where = "guest"
guest = { vm = "${account.id}", mailbox = "https://a.blob.core.windows.net/guest" }
with = { name = "t" }
grants = []

[[step]]
name = "after"
use = "thing@0.1"
with = { name = "x" }
grants = []
by_hand = "az tag create --tags ${train.id}"
"#;

#[test]
fn what_runs_inside_a_machine_is_told_and_not_run_here() {
    let script = exported(&format!("{PLAYBOOK}{INSIDE}")).unwrap();
    for (shell, id, later) in [
        (Shell::Bash, "account_id=$(az keyvault show", "train_id=$(az keyvault show --name t --query id)"),
        (Shell::PowerShell, "$account_id = az keyvault show", "$train_id = az keyvault show --name t --query id"),
    ] {
        let text = shell_script(&script, shell);
        let mut steps = text.split("\n# Step ").skip(7);
        let [release, train] = [steps.next().unwrap(), steps.next().unwrap()];
        for line in [
            "# This runs inside the confidential VM $account_id, not in this shell.",
            "# In there, a person would type:",
            "#   sealbook guest release --kid \"https://v-${suffix}.vault.azure.net/keys/k\"",
            "# The last of it is to be refused: Forbidden",
        ] {
            assert!(release.contains(line), "{line} in {release}");
        }
        // Not one line of it is run by this shell.
        assert!(release.lines().skip(1).all(|line| line.is_empty() || line.starts_with('#')), "{release}");
        assert!(train.contains("# There is nothing to type: in a run, Sealbook does it in there."), "{train}");
        assert!(text.contains(id) && train.contains(later), "{text}");
    }
    let text = markdown(&script);
    let release = text.split("\n## ").find(|part| part.contains("Release")).unwrap();
    assert!(
        release.contains("This runs **inside the confidential VM** `$account_id`, not in your shell."),
        "{release}"
    );
    assert!(release.contains("In there, a person would type:\n\n```bash\nsealbook guest release"), "{release}");
    assert!(text.contains("There is nothing to type: in a run, Sealbook does it in there."), "{text}");
}

#[test]
fn the_plan_says_what_runs_inside_a_machine() {
    let lab = compile(&bundle(&format!("{PLAYBOOK}{INSIDE}")), &plugins()).unwrap();
    let me = Me { id: "i".into(), name: "n".into(), kind: "User".into() };
    let context = Context {
        run: "abc234".parse().unwrap(),
        cloud: CloudName::Embedded,
        tenant: "t".into(),
        subscription: "s".into(),
        subscription_name: "Lab".into(),
        me,
    };
    let plan = crate::plan::plan(&lab, &Answers::new(), &BTreeMap::new(), &context).unwrap();
    let inside: Vec<_> = plan.steps.iter().filter_map(|s| Some((s.path.as_str(), s.guest.as_deref()?))).collect();
    assert_eq!(inside, [("release", "${account.id}"), ("train", "${account.id}")]);
}

#[test]
fn what_each_shell_would_read_differently_is_refused() {
    for bad in ["az group show --name $(hostname)", "az group show `x`", "az group show 'open"] {
        let playbook = PLAYBOOK.replace("az disk create --name d --tags ${take_away.version}", bad);
        let problems = exported(&playbook).unwrap_err();
        assert_eq!((problems.len(), problems[0].code), (1, codes::CANNOT_EXPORT), "{bad}");
    }
}

#[test]
fn an_input_stays_a_text() {
    let hostile = "a\u{201d}; rm x #\u{201c} \u{201e}b\" 'c' $(d) ${e} `f` \\ !g\n#h";
    let script = exported_with(PLAYBOOK, hostile).unwrap();
    let quotes: [(Shell, char, &[char]); 2] = [
        (Shell::Bash, '\\', &['"', '$', '`']),
        (Shell::PowerShell, '`', &['"', '\u{201c}', '\u{201d}', '\u{201e}', '$']),
    ];
    for (shell, escape, special) in quotes {
        let mut line = String::new();
        shell.variable(&mut line, script.variables.iter().find(|v| v.name == "suffix").unwrap());
        let (mut read, mut rest) = (String::new(), line.split_once('"').unwrap().1.chars());
        let after = loop {
            match rest.next().unwrap() {
                c if c == escape => read.extend(rest.next()),
                c if special.contains(&c) => break format!("{c}{}", rest.as_str()),
                c => read.push(c),
            }
        };
        assert_eq!((read.as_str(), after.as_str()), (hostile, "\"  # Ending of every name\n"), "{shell:?}");
    }
}

#[test]
fn prose_stays_in_its_comment() {
    let script = exported(&PLAYBOOK.replace("Ending of every name", "Ending\\nevil one")).unwrap();
    for shell in [Shell::Bash, Shell::PowerShell] {
        let text = shell_script(&script, shell);
        assert!(text.contains("Ending evil one") && !text.lines().any(|line| line.starts_with("evil")), "{text}");
    }
}
