//! Playbooks that are bad, and what their authors are told.

use super::{VAULT, around, bundle, lines, plugins, refused};
use crate::playbook::compile;

/// The problems of a playbook around these steps, without the file's name.
fn steps(steps: &str) -> String {
    refused(&around(steps), &[]).replace("lab/playbook.toml:", "")
}

/// One step of the plugin that takes anything, with more keys.
fn note(name: &str, keys: &str) -> String {
    format!("[[step]]\nname = \"{name}\"\nuse = \"note@0.1\"\n{keys}\n")
}

#[test]
fn shape() {
    insta::assert_snapshot!(refused("", &[]), @r#"
    lab/playbook.toml:1:1: SB0104 a playbook needs `schema`; write schema = 1
    lab/playbook.toml:1:1: SB0104 a playbook needs `id`; write id = "my-lab"
    lab/playbook.toml:1:1: SB0104 a playbook needs `title`; write title = "…"
    lab/playbook.toml:1:1: SB0104 a playbook needs `summary`; write summary = "…"
    lab/playbook.toml:1:1: SB0104 a playbook needs `level`; it may be `beginner`, `intermediate` or `advanced`
    lab/playbook.toml:1:1: SB0104 a playbook needs `minutes`; write minutes = { embedded = 15, azure = 30 }
    lab/playbook.toml:1:1: SB0104 a playbook needs `step`; add a [[step]] table
    "#);
    insta::assert_snapshot!(refused("title = \n= 3\nx = [1,\n", &[]), @r"
    lab/playbook.toml:1:9: SB0101 not valid TOML: string values must be quoted, expected literal string
    lab/playbook.toml:2:1: SB0101 not valid TOML: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`
    lab/playbook.toml:3:8: SB0101 not valid TOML: unclosed array, expected `]`
    ");
    insta::assert_snapshot!(refused("schema = 2\nsteps = []\n", &[]), @"lab/playbook.toml:1:10: SB0102 the file is of another version of the format — this Sealbook reads version 1; write schema = 1, or use the Sealbook that the file was written for");
    insta::assert_snapshot!(refused("schema = \"1\"\n", &[]), @r#"
    lab/playbook.toml:1:1: SB0104 a playbook needs `id`; write id = "my-lab"
    lab/playbook.toml:1:1: SB0104 a playbook needs `title`; write title = "…"
    lab/playbook.toml:1:1: SB0104 a playbook needs `summary`; write summary = "…"
    lab/playbook.toml:1:1: SB0104 a playbook needs `level`; it may be `beginner`, `intermediate` or `advanced`
    lab/playbook.toml:1:1: SB0104 a playbook needs `minutes`; write minutes = { embedded = 15, azure = 30 }
    lab/playbook.toml:1:1: SB0104 a playbook needs `step`; add a [[step]] table
    lab/playbook.toml:1:10: SB0105 `schema` must be a whole number, this is a text; write 1 without quotes
    "#);
    insta::assert_snapshot!(steps(&note("a", "uses = 1\nWhen = \"true\"\nretries = 3")), @r"
    10:1: SB0103 a step has no key `uses`; did you mean `use`?
    11:1: SB0103 a step has no key `When`; did you mean `when`?
    12:1: SB0103 a step has no key `retries`; its keys are `adopt`, `by_hand`, `choose`, `cost`, `default`, `expect`, `grants`, `guest`, `hints`, `lesson`, `name`, `needs`, `option`, `part`, `pause`, `quiz`, `retry`, `timeout`, `use`, `when`, `where` and `with`
    ");
    insta::assert_snapshot!(steps(&note("a", "hints = \"one\"\nadopt = \"true\"\nneeds = 3\nretry = { within = 5 }")), @r#"
    10:9: SB0105 `step[1].hints` must be a list, this is a text; write ["one"]
    11:9: SB0105 `step[1].adopt` must be true or false, this is a text; write true without quotes
    12:9: SB0105 `step[1].needs` must be a list, this is a whole number
    13:20: SB0105 `step[1].retry.within` must be a text, this is a whole number; write it like "5m"
    "#);
    insta::assert_snapshot!(steps(&note("a", "retry = { within = \"soon\" }\nwhere = \"cloud\"\ntimeout = \"5 minutes\"")), @r#"
    10:20: SB0106 `step[1].retry.within` can't be `soon`; write it like "5m"
    11:9: SB0106 `step[1].where` can't be `cloud`; it may be `host` or `guest`
    12:11: SB0106 `step[1].timeout` can't be `5 minutes`; write it like "10m"
    "#);
    insta::assert_snapshot!(steps(&note("a", "quiz = { ask = \"?\", options = [\"x\"], answer = 1, why = \"w\" }")), @"10:31: SB0106 `step[1].quiz.options` needs at least 2 entries, there are 1");
    insta::assert_snapshot!(steps(&note("a", "quiz = { ask = \"?\", options = [\"x\", \"y\"], answer = 2, why = \"w\" }")), @"10:52: SB0106 the quiz has no option 2; options are counted from 0 to 1");
    insta::assert_snapshot!(steps(&note("a", "with = { at = 2026-11-21, big = 99999999999999999999, odd = nan }")), @r"
    10:15: SB0105 `step[1].with.at` is a TOML date, which no key takes; put it in quotes
    10:33: SB0106 `step[1].with.big` is too large a number
    10:61: SB0106 `step[1].with.odd` is not a finite number
    ");
    insta::assert_snapshot!(steps(&note("a", "name = \"b\"")), @"10:1: SB0108 the same key stands here twice; keep one of the two");
    insta::assert_snapshot!(steps(&note("a", "expect = \"x\"\nwhere = 1\ntimeout = 5\nlesson = { fails = { status = \"403\" } }\nneeds = \"b\"\npause = 3")), @r#"
    10:10: SB0105 `step[1].expect` must be a list, this is a text
    11:9: SB0105 `step[1].where` must be a text, this is a whole number; it may be `host` or `guest`
    12:11: SB0105 `step[1].timeout` must be a text, this is a whole number; write it like "10m"
    13:31: SB0105 `step[1].lesson.fails.status` must be a whole number, this is a text; write 403 without quotes
    14:9: SB0105 `step[1].needs` must be a list, this is a text; write ["b"]
    15:9: SB0105 `step[1].pause` must be a text, this is a whole number; write "3"
    "#);
    insta::assert_snapshot!(steps("[[step]]\nname = 1\nuse = 2\n"), @r#"
    8:8: SB0105 `step[1].name` must be a text, this is a whole number; write it like "key_store"
    9:7: SB0105 `step[1].use` must be a text, this is a whole number; write it like "storage-account@0.1"
    "#);
    insta::assert_snapshot!(steps(&note("a", "timeout = \"0s\"\nretry = { within = \"999999h\" }")), @r"
    10:11: SB0106 `timeout` can't be `0s`; it goes from 1s to 168h
    11:20: SB0106 `retry.within` can't be `999999h`; it goes from 1s to 168h
    ");
    insta::assert_snapshot!(steps(&note("a", "timeout = \"1s\"\nretry = { within = \"168h\" }")), @"no problem");
    insta::assert_snapshot!(steps(&note("a", "quiz = { ask = \"?\", options = [\"x\", \"y\", \"x\"], answer = 0, why = \"w\" }")), @"10:42: SB0108 options 0 and 2 of the quiz are the same; write another answer, or take one away");
    insta::assert_snapshot!(refused(&around(&note("a", "")).replace("level = \"beginner\"", "level = true").replace("schema = 1", "schema = \"2\""), &[]), @r"
    lab/playbook.toml:1:10: SB0105 `schema` must be a whole number, this is a text; it is always 1
    lab/playbook.toml:5:9: SB0105 `level` must be a text, this is true or false; it may be `beginner`, `intermediate` or `advanced`
    ");
    insta::assert_snapshot!(steps("step = []\n"), @"7:8: SB0106 `step` needs at least 1 entries, there are 0");
}

#[test]
fn several_problems_come_at_once_and_in_order() {
    let bad = "schema = 1\nid = \"Lab\"\ntitle = 3\nsumary = \"x\"\nlevel = \"easy\"\nminutes = { embedded = 0 }\n\
               [inputs]\nregion = { type = \"text\" }\n[[step]]\nuse = \"note@0.1\"\nexpect = [{ that = \"1 +\", els = \"x\" }]\n";
    insta::assert_snapshot!(refused(bad, &[]), @r#"
    lab/playbook.toml:2:6: SB0106 `id` can't be `Lab`; write it like "my-lab"
    lab/playbook.toml:3:9: SB0105 `title` must be a text, this is a whole number; write "3"
    lab/playbook.toml:4:1: SB0103 a playbook has no key `sumary`; did you mean `summary`?
    lab/playbook.toml:5:9: SB0106 `level` can't be `easy`; it may be `beginner`, `intermediate` or `advanced`
    lab/playbook.toml:6:11: SB0104 minutes needs `azure`; write azure = 30
    lab/playbook.toml:6:24: SB0106 `minutes.embedded` can't be 0; it goes from 1 to 10000
    lab/playbook.toml:8:19: SB0106 `inputs.region.type` can't be `text`; it may be `string`, `int` or `bool`
    lab/playbook.toml:9:1: SB0104 a step needs `name`; write name = "key_store"
    lab/playbook.toml:11:24: SB0117 not an expression: it ends too early
    lab/playbook.toml:11:27: SB0103 an expectation has no key `els`; did you mean `else`?
    "#);
}

#[test]
fn names() {
    insta::assert_snapshot!(steps(&(note("key-store", "") + &note("b", "with = { x = \"${key-store.uri} ${key_store.id}\" }"))), @r"
    8:8: SB0107 `step[1].name` can't be `key-store`; write `key_store`: expressions read a hyphen as minus
    14:17: SB0118 there is no `key` here; write `key_store.uri`: expressions read a hyphen as minus
    ");
    insta::assert_snapshot!(steps(&note("Account", "")), @"8:8: SB0107 `step[1].name` can't be `Account`; write `account`: names are snake_case");
    insta::assert_snapshot!(steps(&(note("inputs", "") + &note("in", "") + &note("duration", ""))), @r"
    8:8: SB0107 a step can't be called `inputs`: the name means something else in expressions; call it `the_inputs`
    12:8: SB0107 a step can't be called `in`: the name means something else in expressions; call it `the_in`
    16:8: SB0107 a step can't be called `duration`: the name means something else in expressions; call it `the_duration`
    ");
    insta::assert_snapshot!(steps(&(note("a", "") + &note("a", ""))), @"12:8: SB0108 two steps are called `a`, the first on line 8; give this one another name");
    insta::assert_snapshot!(steps("[inputs]\nmy-region = { type = \"string\" }\n[[step]]\nname = \"a\"\nuse = \"note@0.1\"\nwith = { r = \"${inputs.my_region}\" }\n"), @"8:1: SB0107 an input can't be called `my-region`; write `my_region`: expressions read a hyphen as minus");
    insta::assert_snapshot!(steps(&note("", "")), @r#"8:8: SB0107 `step[1].name` is empty; write it like "key_store""#);
    insta::assert_snapshot!(steps(&note(&"a".repeat(64), "")), @r#"8:8: SB0107 `step[1].name` can't be `aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa`; write it like "key_store""#);
    insta::assert_snapshot!(steps(&(note("Key", "when = \"1 +\"").replace("note@", "nota@") + "[[step]]\nuse = \"note@0.1\"\nexpect = [{ that = \"out.\", else = \"no\" }]\n")), @r#"
    8:8: SB0107 `step[1].name` can't be `Key`; write `key`: names are snake_case
    9:7: SB0113 there is no plugin nota@0.1; did you mean `note@0.1`?
    10:12: SB0117 not an expression: it ends too early
    11:1: SB0104 a step needs `name`; write name = "key_store"
    13:25: SB0117 not an expression: `.` is not expected there
    "#);
    insta::assert_snapshot!(refused(&around(&note("a", "")).replace("id = \"lab\"", "id = \"other\""), &[]), @r#"lab/playbook.toml:2:6: SB0107 the playbook in the folder `lab` is called `other`; write id = "lab", or rename the folder"#);
}

#[test]
fn hyphens_are_explained_once() {
    let with = |inputs: &str, value: &str| {
        steps(&format!(
            "[inputs]\n{inputs} = {{ type = \"string\" }}\n{}",
            note("my_step", "") + &note("b", &format!("with = {{ v = \"{value}\" }}"))
        ))
    };
    insta::assert_snapshot!(with("my-region", "${inputs.my-region}"), @r"
    8:1: SB0107 an input can't be called `my-region`; write `my_region`: expressions read a hyphen as minus
    16:17: SB0119 there is no input `my`; write `inputs.my_region`: expressions read a hyphen as minus
    ");
    insta::assert_snapshot!(with("my_region", "${inputs.my-region}"), @"16:17: SB0119 there is no input `my`; write `inputs.my_region`: expressions read a hyphen as minus");
    insta::assert_snapshot!(with("my_region", "${my-step.id} ${my_step.blob-uri} ${inputs.my_region-my}"), @r"
    16:17: SB0118 there is no `my` here; write `my_step.id`: expressions read a hyphen as minus
    16:44: SB0118 there is no `uri` here; write `my_step.blob_uri`: expressions read a hyphen as minus
    16:68: SB0118 there is no `my` here; did you mean `me`?
    ");
    // A subtraction of what is not there stays one.
    insta::assert_snapshot!(with("my", "${inputs.my-region} ${inputs.m-inputs.n} ${my_step.a.b-c}"), @r"
    16:27: SB0118 there is no `region` here; it is neither a step nor a built-in name
    16:37: SB0119 there is no input `m`; did you mean `my`?
    16:46: SB0119 there is no input `n`; the inputs are `my`
    16:70: SB0118 there is no `c` here; it is neither a step nor a built-in name
    ");
}

#[test]
fn kinds_of_steps() {
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\n"), @"8:8: SB0111 a step is a plugin, a part or a choice; this one is none; add `use`, `part` or `choose`");
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\nusee = \"note@0.1\"\n"), @"9:1: SB0103 a step has no key `usee`; did you mean `use`?");
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\nuse = \"note@0.1\"\npart = \"x@1\"\n"), @"10:8: SB0111 a step is one of plugin, part and choice; this one has `use` and `part`; make two steps of it");
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\nuse = \"note\"\n[[step]]\nname = \"b\"\nuse = \"rol@0.1\"\n[[step]]\nname = \"c\"\nuse = \"role@0.2\"\n"), @r#"
    9:7: SB0113 `note` does not name a plugin; write a version: "note@0.1"
    12:7: SB0113 there is no plugin rol@0.1; did you mean `role@0.1`?
    15:7: SB0113 there is no plugin role@0.2; there is role@0.1
    "#);
    insta::assert_snapshot!(steps(&["arm", "arm@latest", "Arm@0.1", "Key Vault", "", "é@0.1", "@"].map(|name| note("a", "").replace("note@0.1", name)).concat().replace("name = \"a\"\n", "")), @r#"
    7:1: SB0104 a step needs `name`; write name = "key_store"
    8:7: SB0113 `arm` does not name a plugin; write a version: "arm@0.1"
    10:1: SB0104 a step needs `name`; write name = "key_store"
    11:7: SB0113 `arm@latest` does not name a plugin; write a number: "arm@0.1"
    13:1: SB0104 a step needs `name`; write name = "key_store"
    14:7: SB0113 `Arm@0.1` does not name a plugin; write "arm@0.1": names are lower case, with hyphens
    16:1: SB0104 a step needs `name`; write name = "key_store"
    17:7: SB0113 `Key Vault` does not name a plugin; write a version: "key-vault@0.1"
    19:1: SB0104 a step needs `name`; write name = "key_store"
    20:7: SB0113 the plugin's name is empty; write it like "storage-account@0.1"
    22:1: SB0104 a step needs `name`; write name = "key_store"
    23:7: SB0113 `é@0.1` does not name a plugin; write it like "storage-account@0.1"
    25:1: SB0104 a step needs `name`; write name = "key_store"
    26:7: SB0113 `@` does not name a plugin; write it like "storage-account@0.1"
    "#);
    insta::assert_snapshot!(steps(&["vault@one", "Vault@1", "", "v@99999999999"].map(|name| format!("[[step]]\npart = \"{name}\"\n")).concat()), @r#"
    7:1: SB0104 a step needs `name`; write name = "key_store"
    8:8: SB0114 `vault@one` does not name a part; write a number: "vault@1"
    9:1: SB0104 a step needs `name`; write name = "key_store"
    10:8: SB0114 `Vault@1` does not name a part; write "vault@1": names are lower case, with hyphens
    11:1: SB0104 a step needs `name`; write name = "key_store"
    12:8: SB0114 the part's name is empty; write it like "key-vault-premium@1"
    13:1: SB0104 a step needs `name`; write name = "key_store"
    14:8: SB0114 `v@99999999999` does not name a part; write a number: "v@1"
    "#);
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\npart = \"vault\"\n[[step]]\nname = \"b\"\npart = \"vault@1\"\n"), @r#"
    9:8: SB0114 `vault` does not name a part; write a version: "vault@1"
    12:8: SB0114 there is no part `vault`; there is no file parts/vault/part.toml
    "#);
    insta::assert_snapshot!(steps(&note("a", "default = \"x\"\n[[step.option]]\nid = \"x\"\npart = \"p@1\"")), @r"
    10:11: SB0112 `default` does not belong to a plugin; only a choice (`choose`) has it
    11:1: SB0112 `option` does not belong to a plugin; only a choice (`choose`) has it
    ");
    insta::assert_snapshot!(steps("[[step]]\nname = \"a\"\nchoose = \"Which?\"\nwith = { x = 1 }\ngrants = []\nexpect = []\nhints = [\"h\"]\n"), @r"
    9:10: SB0125 a choice without options; add [[step.option]] tables with `id` and `part`
    10:10: SB0112 `with` does not belong to a choice; give `with` to each option
    11:10: SB0112 `grants` does not belong to a choice; only a plugin step (`use`) has it; put it into the part's own steps
    13:10: SB0112 `hints` does not belong to a choice; only a plugin step (`use`) has it; put it into the part's own steps
    ");
}

#[test]
fn parts_and_choices() {
    let parts = [("key-vault-premium", VAULT)];
    let choose = |tail: &str| {
        let text = format!("[[step]]\nname = \"ks\"\nchoose = \"Which?\"\n{tail}");
        refused(&around(&text), &parts).replace("lab/playbook.toml:", "")
    };
    insta::assert_snapshot!(choose("default = \"valt\"\n[[step.option]]\nid = \"vault\"\npart = \"key-vault-premium@1\"\nwith = { group = \"/g\", name = \"abc\" }\n[[step.option]]\nid = \"vault\"\npart = \"key-vault-premum@1\"\n"), @r"
    10:11: SB0125 the default `valt` is not one of the options; did you mean `vault`?
    16:6: SB0108 two options are called `vault`
    17:8: SB0114 there is no part `key-vault-premum`; did you mean `key-vault-premium`?
    ");
    insta::assert_snapshot!(choose("[[step.option]]\nid = \"vault\"\n[[step.option]]\nid = \"hsm\"\npart = \"key-vault-premium@2\"\n"), @r#"
    10:1: SB0104 an option needs `part`; write part = "key-vault-premium@1"
    14:8: SB0114 there is no version 2 of part `key-vault-premium`; there is key-vault-premium@1
    "#);
    insta::assert_snapshot!(choose("[[step.option]]\nid = \"v\"\npart = \"key-vault-premium@1\"\nwith = { group = 3, nam = \"abc\", retention_days = \"seven\" }\n"), @r"
    13:18: SB0130 part key-vault-premium@1 wants a text for `group`, this is a whole number
    13:21: SB0130 part key-vault-premium@1 has no input `nam`; did you mean `name`?
    13:51: SB0130 part key-vault-premium@1 wants a whole number for `retention_days`, this is a text
    ");
    let use_export =
        "[[step]]\nname = \"v\"\npart = \"key-vault-premium@1\"\nwith = { group = \"/g\", name = \"X!\" }\n".to_owned()
            + &note("b", "with = { x = \"${v.url}\" }");
    insta::assert_snapshot!(refused(&around(&use_export), &parts), @r"
    lab/playbook.toml:10:31: SB0130 part key-vault-premium@1 does not take `X!` for `name`: it must match ^[a-z][a-z0-9-]{2,23}$
    lab/playbook.toml:14:17: SB0119 `v` has no field `url`; did you mean `uri`?
    ");
    let own = "schema = 1\nid = \"p\"\nversion = 1\ntitle = \"P\"\n[[step]]\nname = \"again\"\npart = \"q@1\"\n[exports]\nx = \"${again.nothing}\"\nchosen = \"${inputs.none}\"\n";
    let other = "schema = 1\nid = \"r\"\nversion = 1\ntitle = \"Q\"\n[inputs]\ni = { type = \"string\", prompt = \"?\", secret = true }\n[[step]]\nname = \"back\"\npart = \"p@1\"\n";
    insta::assert_snapshot!(refused(&around("[[step]]\nname = \"p\"\npart = \"p@1\"\n"), &[("p", own), ("q", other)]), @r#"
    parts/p/part.toml:6:8: SB0123 part q@1 needs input `i`; add to `with`: i = …
    parts/p/part.toml:10:1: SB0107 an export can't be called `chosen`: it is the option's id
    parts/p/part.toml:10:13: SB0119 there is no input `none`; declare it under [inputs]
    parts/q/part.toml:2:6: SB0107 the part in parts/q/part.toml is called `r`; write id = "q", its folder's name
    parts/q/part.toml:6:33: SB0112 `prompt` does not belong to a part's input; the caller gives its value
    parts/q/part.toml:6:47: SB0112 `secret` does not belong to a part's input; the caller gives its value
    parts/q/part.toml:9:8: SB0120 a part contains itself: p → q → p; take one of them out
    "#);
}

#[test]
fn references() {
    insta::assert_snapshot!(steps(&(note("account", "") + &note("b", "with = { x = \"${acount.id}\" }\nwhen = \"nothing.at == 1\""))), @r"
    14:17: SB0118 there is no `acount` here; did you mean `account`?
    15:9: SB0118 there is no `nothing` here; it is neither a step nor a built-in name
    ");
    insta::assert_snapshot!(steps(&note("a", "with = { x = \"${inputs.region}\", y = \"${region}\", z = \"${me.mail} ${run.shrt} ${cloud.name}\" }")), @r"
    10:17: SB0119 there is no input `region`; declare it under [inputs]
    10:41: SB0118 there is no `region` here; it is neither a step nor a built-in name
    10:58: SB0119 `me` has no field `mail`; its fields are `id`, `name` and `type`
    10:69: SB0119 `run` has no field `shrt`; did you mean `short`?
    10:81: SB0119 `cloud` has no field `name`; `cloud` is a plain value
    ");
    insta::assert_snapshot!(steps("[inputs]\nregion = { type = \"string\", default = \"${inputs.region}\" }\n[[step]]\nname = \"a\"\nuse = \"note@0.1\"\nwith = { y = \"${region}\" }\n"), @r"
    8:42: SB0118 there is no `inputs` here — defaults are set before the run; use `cloud`, `me`, `run`, `subscription` and `tenant`
    12:17: SB0118 there is no `region` here; did you mean `inputs.region`?
    ");
    insta::assert_snapshot!(steps(&note("a", "with = { x = \"${a.id}\" }\nby_hand = \"az ${out.id}\"\nexpect = [{ that = \"a.id == 'x' && undo.at\", else = \"no\" }]")), @r"
    10:17: SB0118 step `a` can't use its own outputs; use an earlier step's, or an input
    11:17: SB0118 there is no `out` here — a step's outputs exist once it has run; use `out` in `expect` only
    12:21: SB0118 step `a` can't use its own outputs; its outputs are called `out` here
    12:36: SB0118 there is no `undo` here — nothing is undone yet; use `undo` in `leaves` only
    ");
    insta::assert_snapshot!(steps(&("leaves = [\"${gone.name} until ${undo.when}\"]\n".to_owned() + &note("a", ""))), @r"
    7:14: SB0118 there is no `gone` here; it is neither a step nor a built-in name
    7:33: SB0119 `undo` has no field `when`; its fields are `at`
    ");
    let rg = "[[step]]\nname = \"rg\"\nuse = \"resource-group@0.1\"\nwith = { name = \"n\", location = \"l\" }\ngrants = [\"azure:read,write ${subscription.id}/resourceGroups/n\"]\n";
    insta::assert_snapshot!(steps(&(rg.to_owned() + &note("b", "with = { x = \"${rg.idd}\", y = \"${has(rg.nope) ? 1 : 2}\" }"))), @"15:17: SB0119 `rg` has no field `idd`; did you mean `id`?");
    insta::assert_snapshot!(steps(&[("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")].map(|(name, need)| note(name, &format!("needs = [\"{need}\"]"))).concat()), @r"
    8:8: SB0120 steps wait for each other: a → b → a; let one of them do without the other's outputs
    16:8: SB0120 steps wait for each other: c → d → c; let one of them do without the other's outputs
    ");
    insta::assert_snapshot!(steps(&(note("a", "needs = [\"b\"]") + &note("b", "with = { x = \"${c.id}\" }") + &note("c", "needs = [\"a\", \"d\", \"c\"]"))), @r"
    8:8: SB0120 steps wait for each other: a → b → c → a; let one of them do without the other's outputs
    18:15: SB0118 there is no step `d` to wait for
    18:20: SB0120 step `c` needs itself
    ");
}

#[test]
fn expressions() {
    insta::assert_snapshot!(steps(&note("a", "with = { a = \"${\", b = \"${}\", c = \"${1 +}\", d = \"${'x}\", e = \"$${fine}\" }")), @r"
    10:15: SB0117 `${` is not closed; close it with `}`, or write `$${` for the characters themselves
    10:27: SB0117 an expression is empty
    10:41: SB0117 not an expression: it ends too early
    10:50: SB0117 `${` is not closed; close it with `}`, or write `$${` for the characters themselves
    ");
    insta::assert_snapshot!(steps(&note("a", "when = \"${cloud == 'azure'}\"")), @"10:9: SB0117 not an expression: `$` is not expected there; a condition is an expression as it is: write it without `${` and `}`");
    insta::assert_snapshot!(steps(&note("a", "when = \"starts_with(cloud, 'a') || cloud.beginsWith('e') || lower(cloud) == 'x'\"")), @r"
    10:20: SB0118 there is no function `starts_with`; did you mean `startsWith`?
    10:52: SB0118 there is no function `beginsWith`; what can be asked of a value are `contains`, `endsWith`, `matches`, `size` and `startsWith`
    10:66: SB0118 there is no function `lower`; what can be asked of a value are `contains`, `endsWith`, `matches`, `size` and `startsWith`
    ");
    insta::assert_snapshot!(steps(&note("a", "when = \"cloud.matches('(')\"")), @"10:22: SB0117 not a regular expression: unclosed group");
    insta::assert_snapshot!(steps(&note("a", "when = \"cloud.matches('(a{1000}){1000}')\"")), @"10:22: SB0117 not a regular expression: it is too large");
    insta::assert_snapshot!(steps(&note("a", "when = \"cloud.startsWith() || size(1, 2, 3) == 1 || startsWith(cloud, 'a') || 'x'.int() == 1 || [1].all(x) || undo.at.getHours(1, 2) == 1\"")), @r"
    10:25: SB0117 `startsWith` takes 1 argument, there are 0; write x.startsWith(a)
    10:35: SB0117 `size` takes 1 argument, there are 3; write size(a)
    10:63: SB0117 `startsWith` stands behind the value it looks at; write x.startsWith(a)
    10:86: SB0117 `int` does not stand behind a value; write int(a)
    10:104: SB0117 `all` is not written this way; write it like list.all(x, x > 0)
    10:127: SB0117 `getHours` takes 0 or 1 argument, there are 2; write x.getHours()
    ");
    let bomb = "[1,2,3,4,5,6,7,8,9,10]";
    let nested =
        format!("{bomb}.all(a, {bomb}.all(b, {bomb}.all(c, {bomb}.all(d, {bomb}.all(e, {bomb}.all(f, a == b))))))");
    insta::assert_snapshot!(steps(&note("a", &format!("when = \"{nested}\""))), @"10:9: SB0121 an expression would take too much work; loop over less, or not within another loop");
    let long = format!("when = \"cloud == '{}'\"", "x".repeat(2000));
    insta::assert_snapshot!(steps(&note("a", &long)), @"10:9: SB0109 an expression may have 1024 bytes, this one has 2011");
    let deep = format!("when = \"{}cloud == 'x'{}\"", "(".repeat(40), ")".repeat(40));
    insta::assert_snapshot!(steps(&note("a", &deep)), @"10:9: SB0109 brackets are nested deeper than 16");
    let chain = format!("when = \"{}1 == 1\"", "1 + ".repeat(200));
    insta::assert_snapshot!(steps(&note("a", &chain)), @"10:9: SB0109 operators are nested deeper than 48");
    let not = format!("when = \"{}true\"", "!".repeat(900));
    insta::assert_snapshot!(steps(&note("a", &not)), @"no problem");
}

#[test]
fn conditions() {
    let conditions = [
        "1 + 1",
        "'yes'",
        "cloud == 'azure' || 'embedded'",
        "!size(cloud)",
        "[1].map(x, x)",
        "me.name + '!'",
        "cloud == 'x' ? null : {}",
        "string(1)",
        "me.n * run.n",
    ];
    let all: String =
        conditions.iter().enumerate().map(|(i, that)| note(&format!("s{i}"), &format!("when = \"{that}\""))).collect();
    insta::assert_snapshot!(steps(&all), @r"
    10:11: SB0117 a condition is true or false, this is a number; compare it with something: `==`, `!=`, `<`, `in`
    14:9: SB0117 a condition is true or false, this is a text; compare it with something: `==`, `!=`, `<`, `in`
    18:29: SB0117 a condition is true or false, this is a text; compare it with something: `==`, `!=`, `<`, `in`
    22:14: SB0117 a condition is true or false, this is a number; compare it with something: `==`, `!=`, `<`, `in`
    26:16: SB0117 a condition is true or false, this is a list; compare it with something: `==`, `!=`, `<`, `in`
    30:17: SB0117 a condition is true or false, this is a text; compare it with something: `==`, `!=`, `<`, `in`
    34:24: SB0117 a condition is true or false, this is no value; compare it with something: `==`, `!=`, `<`, `in`
    34:31: SB0117 a condition is true or false, this is a table; compare it with something: `==`, `!=`, `<`, `in`
    38:15: SB0117 a condition is true or false, this is a text; compare it with something: `==`, `!=`, `<`, `in`
    42:14: SB0117 a condition is true or false, this is the result of a calculation; compare it with something: `==`, `!=`, `<`, `in`
    ");
    insta::assert_snapshot!(steps(&note("a", "expect = [{ that = \"-1\", else = \"no\" }]\nlesson = { fails = { status = 403 }, that = \"'x'\" }")), @r"
    10:22: SB0117 a condition is true or false, this is a number; compare it with something: `==`, `!=`, `<`, `in`
    11:10: SB0106 a lesson that fails reads nothing that `that` could look at; take `that` or `fails` away
    11:46: SB0117 a condition is true or false, this is a text; compare it with something: `==`, `!=`, `<`, `in`
    ");
    for fine in [
        "true",
        "dyn(1)",
        "out.x",
        "out.list.all(x, x > 0) && !out.y",
        "bool('true') ? out.a : out.b",
        "out.f['x']",
        "1 in [1]",
        "has(out.x)",
    ] {
        assert_eq!(
            steps(&note("a", &format!("expect = [{{ that = \"{fine}\", else = \"no\" }}]"))),
            "no problem",
            "{fine}"
        );
    }
}

#[test]
fn grants_and_asks() {
    insta::assert_snapshot!(steps(&note("a", "grants = [\"azure:raed /subscriptions/1\", \"azur:read /subscriptions/1\", \"azure:read\", \"crypto:use x\", \"azure:assign ${me.id}\", \"blob:read role='x'\"]")), @r"
    10:11: SB0204 azure has no verb `raed`; did you mean `read`?
    10:42: SB0204 there is no capability `azur`; did you mean `azure`?
    10:72: SB0204 azure:read needs a scope; write azure:read /subscriptions/…/resourceGroups/…
    10:86: SB0204 crypto has no scopes; write crypto:use
    10:102: SB0204 assign needs the role it may assign; write azure:assign ${me.id} role='Reader'
    10:127: SB0204 `role='x'` is not a scope of blob: it does not start with https://; write it like https://….blob.core.windows.net/container/*
    ");
    insta::assert_snapshot!(steps(&note("a", "grants = [\"azure:read /subscriptions/1/../2\", \"keyvault:read https://evil.com/keys/x\", \"blob:read https://a.blob.core.windows.net/c/%2e\", \"azure:read rg/${me.id}\"]")), @r"
    10:11: SB0204 `/subscriptions/1/../2` is not a scope of azure: it has a relative segment; write it like /subscriptions/…/resourceGroups/…
    10:47: SB0204 `https://evil.com/keys/x` is not a scope of keyvault: the host is not one of the service's; write it like https://….vault.azure.net/keys/…
    10:88: SB0204 `https://a.blob.core.windows.net/c/%2e` is not a scope of blob: it has a percent escape; write it like https://….blob.core.windows.net/container/*
    10:139: SB0204 `rg/${me.id}` is not a scope of azure; it starts with / or with an expression
    ");
    insta::assert_snapshot!(steps(&note("a", "grants = [\"azure:assign ${me.id} role='*'\", \"azure:read /\"]")), @r"
    10:11: SB0204 a role is named, there are no wildcards; write one grant for each role
    10:45: SB0204 `/` is not a scope of azure: it would reach everything; write it like /subscriptions/…/resourceGroups/…
    ");
    let role = |grants: &str| {
        let text = format!(
            "[[step]]\nname = \"r\"\nuse = \"role@0.1\"\nwith = {{ scope = \"${{subscription.id}}/resourceGroups/x\", principal = \"p\", role = \"Reader\" }}\n{grants}\n"
        );
        steps(&text)
    };
    insta::assert_snapshot!(role(""), @r#"8:8: SB0129 step `r` does not grant what role@0.1 asks for: azure:assign ${subscription.id}/resourceGroups/x role='Reader'; write grants = ["azure:assign ${subscription.id}/resourceGroups/x role='Reader'"]"#);
    insta::assert_snapshot!(role("grants = [\"azure:assign ${subscription.id}/resourceGroups/x role='Owner'\"]"), @r#"11:10: SB0129 step `r` does not grant what role@0.1 asks for: azure:assign ${subscription.id}/resourceGroups/x role='Reader'; write grants = ["azure:assign ${subscription.id}/resourceGroups/x role='Owner'", "azure:assign ${subscription.id}/resourceGroups/x role='Reader'"]"#);
    insta::assert_snapshot!(role("grants = [\"azure:assign ${subscription.id}/resourceGroups/xy role='Reader'\", \"azure:write ${subscription.id}\"]"), @r#"11:10: SB0129 step `r` does not grant what role@0.1 asks for: azure:assign ${subscription.id}/resourceGroups/x role='Reader'; write grants = ["azure:assign ${subscription.id}/resourceGroups/xy role='Reader'", "azure:write ${subscription.id}", "azure:assign ${subscription.id}/resourceGroups/x role='Reader'"]"#);
    insta::assert_snapshot!(role("grants = [\"azure:assign ${subscription.id} role='reader'\"]"), @"no problem");
    insta::assert_snapshot!(steps("[[step]]\nname = \"b\"\nuse = \"blob@0.1\"\nwith = { put = \"https://a.blob.core.windows.net/lab/x\" }\ngrants = [\"blob:read https://a.blob.core.windows.net/lab/*\"]\n"), @r#"11:10: SB0129 step `b` does not grant what blob@0.1 asks for: blob:write https://a.blob.core.windows.net/lab/x; write grants = ["blob:read https://a.blob.core.windows.net/lab/*", "blob:write https://a.blob.core.windows.net/lab/x"]"#);
}

#[test]
fn inputs_of_plugins() {
    insta::assert_snapshot!(steps("[[step]]\nname = \"k\"\nuse = \"keyvault-key@0.1\"\nwith = { store = \"https://v.vault.azure.net/\", nam = \"k\", kty = \"EC\", bits = \"big\" }\ngrants = [\"keyvault:read,create https://v.vault.azure.net/\"]\n"), @r"
    10:48: SB0130 plugin keyvault-key@0.1 has no input `nam`; did you mean `name`?
    10:65: SB0130 plugin keyvault-key@0.1 does not take `EC` for `kty`; it may be `RSA` or `RSA-HSM`
    10:78: SB0130 plugin keyvault-key@0.1 wants a whole number for `bits`, this is a text
    ");
    // A required input whose name is misspelt is missed once, one that is not there at all too.
    insta::assert_snapshot!(steps("[[step]]\nname = \"g\"\nuse = \"resource-group@0.1\"\nwith = { nam = \"x\", size = 3 }\ngrants = [\"azure:read,write ${subscription.id}\"]\n"), @r"
    8:8: SB0123 plugin resource-group@0.1 needs input `location`; add to `with`: location = …
    10:10: SB0130 plugin resource-group@0.1 has no input `nam`; did you mean `name`?
    10:21: SB0130 plugin resource-group@0.1 has no input `size`; its inputs are `name` and `location`
    ");
    insta::assert_snapshot!(steps("[[step]]\nname = \"k\"\nuse = \"keyvault-key@0.1\"\nwith = { store = \"https://v.vault.azure.net/\", name = [\"k\"], bits = 1024 }\ngrants = [\"keyvault:read,create https://v.vault.azure.net/\"]\n"), @r"
    10:55: SB0130 plugin keyvault-key@0.1 wants a text for `name`, this is a list
    10:69: SB0130 plugin keyvault-key@0.1 does not take 1024 for `bits` (minimum 2048, maximum 4096)
    ");
    insta::assert_snapshot!(steps("[[step]]\nname = \"s\"\nuse = \"keyvault-key-state@0.1\"\nwith = { key = \"https://v.vault.azure.net/keys/k\", enabled = \"${cloud}!\" }\ngrants = [\"keyvault:read,update https://v.vault.azure.net/keys/k\"]\n"), @"10:62: SB0130 plugin keyvault-key-state@0.1 wants true or false for `enabled`, this is a text");
}

#[test]
fn lessons() {
    let lesson = |keys: &str| {
        let keys = keys.replace("BLOB", "https://a.blob.core.windows.net/c/x");
        steps(&note("a", &format!("lesson = {keys}\ngrants = [\"blob:read https://a.blob.core.windows.net/c/*\"]")))
    };
    insta::assert_snapshot!(lesson("{}"), @"10:10: SB0106 a lesson has `read`, or `fails`, or both; say what is read, or how the step fails");
    insta::assert_snapshot!(lesson("{ read = \"BLOB\", fails = {} }"), @r#"10:10: SB0106 a failure names neither status nor code; write fails = { status = 403 } or fails = { code = "…" }"#);
    insta::assert_snapshot!(lesson("{ read = \"BLOB\", fails = { status = 200 }, within = \"10\" }"), @r#"
    10:77: SB0106 `step[1].lesson.fails.status` can't be 200; it goes from 400 to 599
    10:93: SB0106 `step[1].lesson.within` can't be `10`; write it like "10m"
    "#);
    insta::assert_snapshot!(lesson("{ read = \"BLOB\", fails = { status = 403 }, that = \"out.sha256 == ''\" }"), @"10:10: SB0106 a lesson that fails reads nothing that `that` could look at; take `that` or `fails` away");
    insta::assert_snapshot!(lesson("{ read = \"BLOB\", that = \"out.sha == 'x'\" }"), @"10:66: SB0119 `out` has no field `sha`; its fields are `bytes`, `sha256` and `uri`");
    insta::assert_snapshot!(lesson("{ read = \"https://x\", fails = {}, within = \"0s\" }"), @r#"
    10:10: SB0106 a failure names neither status nor code; write fails = { status = 403 } or fails = { code = "…" }
    10:19: SB0106 `https://x` is not a blob: the host is not one of the service's; write it like https://….blob.core.windows.net/container/blob
    10:53: SB0106 `lesson.within` can't be `0s`; it goes from 1s to 168h
    "#);
    insta::assert_snapshot!(lesson("{ read = \"BLOB\", fails = { status = 403 } }"), @"no problem");
    insta::assert_snapshot!(lesson("{ read = \"https://a.blob.core.windows.net/${run.id}/x\", fails = { status = 403 } }"), @"no problem");
}

#[test]
fn what_a_lesson_reads_is_granted() {
    let read = |uri: &str, grants: &str| steps(&note("a", &format!("lesson = {{ read = \"{uri}\" }}\n{grants}")));
    let blob = "https://a.blob.core.windows.net/c/x";
    insta::assert_snapshot!(read(blob, ""), @r#"8:8: SB0129 step `a` does not grant what its lesson reads: blob:read https://a.blob.core.windows.net/c/x; write grants = ["blob:read https://a.blob.core.windows.net/c/x"]"#);
    insta::assert_snapshot!(read(blob, "grants = [\"blob:write https://a.blob.core.windows.net/c/*\"]"), @r#"11:10: SB0129 step `a` does not grant what its lesson reads: blob:read https://a.blob.core.windows.net/c/x; write grants = ["blob:write https://a.blob.core.windows.net/c/*", "blob:read https://a.blob.core.windows.net/c/x"]"#);
    insta::assert_snapshot!(read("${run.id}/x", "grants = [\"blob:read ${run.id}/y\"]"), @r#"11:10: SB0129 step `a` does not grant what its lesson reads: blob:read ${run.id}/x; write grants = ["blob:read ${run.id}/y", "blob:read ${run.id}/x"]"#);
    insta::assert_snapshot!(read("${run.id}/x", "grants = [\"blob:read ${run.id}/*\"]"), @"no problem");
    // Whether one expression is part of another is known when both have values.
    insta::assert_snapshot!(read("${run.id}x", "grants = [\"blob:read ${me.id}/*\"]"), @"no problem");
    let both = "[[step]]\nname = \"b\"\nuse = \"blob@0.1\"\nwith = { get = \"https://a.blob.core.windows.net/c/x\" }\n";
    insta::assert_snapshot!(steps(&format!("{both}lesson = {{ read = \"{blob}\" }}\n")), @r#"8:8: SB0129 step `b` does not grant what blob@0.1 asks for: blob:read https://a.blob.core.windows.net/c/x; write grants = ["blob:read https://a.blob.core.windows.net/c/x"]"#);
    insta::assert_snapshot!(steps(&format!("{both}lesson = {{ read = \"{blob}y\" }}\n")), @r#"
    8:8: SB0129 step `b` does not grant what blob@0.1 asks for: blob:read https://a.blob.core.windows.net/c/x; write grants = ["blob:read https://a.blob.core.windows.net/c/x", "blob:read https://a.blob.core.windows.net/c/xy"]
    8:8: SB0129 step `b` does not grant what its lesson reads: blob:read https://a.blob.core.windows.net/c/xy; write grants = ["blob:read https://a.blob.core.windows.net/c/x", "blob:read https://a.blob.core.windows.net/c/xy"]
    "#);
}

#[test]
fn inputs() {
    let with = |inputs: &str| steps(&format!("[inputs]\n{inputs}\n{}", note("a", "")));
    insta::assert_snapshot!(with("a = { type = \"int\", default = \"seven\" }\nb = { type = \"string\", default = 7 }\nc = { type = \"string\", default = [1] }\nd = { default = \"x\" }"), @r"
    8:31: SB0106 the default of `a` does not fit — it must be a whole number
    9:34: SB0106 the default of `b` does not fit — it must be a text
    10:34: SB0105 the default of `c` is a text, a whole number, true or false
    11:5: SB0104 an input needs `type`; it may be `string`, `int` or `bool`
    ");
    insta::assert_snapshot!(with("a = { type = \"string\", pattern = \"(\" }\nb = { type = \"string\", pattern = \"^[a-z]+$\", default = \"ABC\" }"), @r"
    8:34: SB0106 the pattern of `a` can't be read: unclosed group
    9:56: SB0106 the default of `b` does not fit — it does not match ^[a-z]+$
    ");
}

#[test]
fn texts() {
    let mut bundle = bundle(&around(&(note("a", "") + &note("b", "") + &note("c", ""))), &[]);
    bundle.files.remove("lab/texts/a.md");
    bundle.files.insert(
        "lab/texts/b.md".into(),
        "# Title\n\n## What\nx\n```\n## not a heading\n```\n## Wy\ny\n## What\nz\n".into(),
    );
    bundle.files.insert("lab/texts/c.md".into(), "## What\nx\u{202e}\n## Why\n## Proved\nz\0\n".into());
    let problems = compile(&bundle, &plugins()).unwrap_err();
    insta::assert_snapshot!(lines(&problems, &bundle), @r"
    lab/playbook.toml:8:8: SB0115 the step has no text: there is no file lab/texts/a.md; write it, with the sections ## What, ## Why and ## Proved
    lab/texts/b.md:1:1: SB0116 the section ## Why is missing; write it in lab/texts/b.md
    lab/texts/b.md:1:1: SB0116 the section ## Proved is missing; write it in lab/texts/b.md
    lab/texts/b.md:8:1: SB0116 there is no section ## Wy; did you mean `Why`?
    lab/texts/b.md:10:1: SB0108 the section ## What stands here twice
    lab/texts/c.md:1:1: SB0116 the section ## Why is empty; write it in lab/texts/c.md
    lab/texts/c.md:2:2: SB0110 the character U+202E is not allowed — it changes how the text around it is read; take it out
    lab/texts/c.md:5:2: SB0110 the character U+0000 is not allowed — a NUL ends texts early in other programs; take it out
    ");
}

#[test]
fn characters_and_sizes() {
    insta::assert_snapshot!(steps(&note("a", "pause = \"x\0y\u{202e}z\"")), @r"
    10:11: SB0110 the character U+0000 is not allowed — a NUL ends texts early in other programs; take it out
    10:13: SB0110 the character U+202E is not allowed — it changes how the text around it is read; take it out
    ");
    insta::assert_snapshot!(steps(&note("a", "pause = \"x\\u0000\"\nhints = [\"\\u202e\"]\nwith = { \"a\\u2066\" = 1 }")), @r"
    10:9: SB0110 the character U+0000 is not allowed — a NUL ends texts early in other programs; take it out
    11:10: SB0110 the character U+202E is not allowed — it changes how the text around it is read; take it out
    12:10: SB0110 the character U+2066 is not allowed — it changes how the text around it is read; take it out
    ");
    let deep = format!("with = {{ a = {}1{} }}", "[".repeat(30), "]".repeat(30));
    insta::assert_snapshot!(steps(&note("a", &deep)), @"10:35: SB0109 values are nested deeper than 24");
    let deeper = format!("with = {{ a = {}1{} }}", "[".repeat(50_000), "]".repeat(50_000));
    insta::assert_snapshot!(steps(&note("a", &deeper)), @"10:93: SB0109 values are nested too deeply");
    let many: String = (0..2001).map(|i| note(&format!("s{i}"), "")).collect();
    insta::assert_snapshot!(steps(&many), @"7:1: SB0109 `step` may have 2000 entries, there are 2001");
    insta::assert_snapshot!(steps(&note("a", &format!("pause = \"{}\"", "x".repeat(600_000)))), @"1:1: SB0109 the file has 600159 bytes, at most 524288 are read");
    let wrong: String = (0..150).map(|i| format!("k{i} = 1\n")).collect();
    let all = steps(&(wrong + &note("a", "")));
    assert_eq!(all.lines().count(), 101);
    insta::assert_snapshot!(all.lines().last().unwrap(), @"161:1: SB0109 50 more problems in this file; repair these first");
}

#[test]
fn secrets() {
    let head = "[inputs]\nnote = { type = \"string\", secret = true }\n";
    let keys = "with = { a = \"${inputs.note}\", b = [\"${ inputs.note }\"], c = \"x${inputs.note}\", d = \"${inputs.note + ''}\" }\nwhen = \"inputs.note == ''\"\nby_hand = \"echo ${inputs.note}\"";
    insta::assert_snapshot!(steps(&(head.to_owned() + &note("a", keys))), @r#"
    12:66: SB0131 the secret `note` would become part of a text — expressions see a reference in its place, so that it stays out of journal and logs; give it whole to a plugin: with = { … = "${inputs.note}" }
    12:88: SB0131 an expression can't look at the secret `note` — expressions see a reference in its place, so that it stays out of journal and logs; give it whole to a plugin: with = { … = "${inputs.note}" }
    13:9: SB0131 an expression can't look at the secret `note` — expressions see a reference in its place, so that it stays out of journal and logs; give it whole to a plugin: with = { … = "${inputs.note}" }
    14:19: SB0131 the secret `note` would become part of a text — expressions see a reference in its place, so that it stays out of journal and logs; give it whole to a plugin: with = { … = "${inputs.note}" }
    "#);
}

#[test]
fn options_that_export_different_names() {
    let other = VAULT.replace("key-vault-premium", "other").replace("uri  = \"${vault.uri}\"\n", "");
    let option = |id: &str, part: &str| {
        format!("[[step.option]]\nid = \"{id}\"\npart = \"{part}@1\"\nwith = {{ group = \"/g\", name = \"abc\" }}\n")
    };
    let choice = "[[step]]\nname = \"ks\"\nchoose = \"Which?\"\n".to_owned()
        + &option("vault", "key-vault-premium")
        + &option("mine", "other");
    let text = choice + &note("b", "with = { x = \"${ks.uri} ${ks.chosen} ${ks.id} ${ks.urn}\" }");
    insta::assert_snapshot!(refused(&around(&text), &[("key-vault-premium", VAULT), ("other", &other)]), @r"
    lab/playbook.toml:21:17: SB0128 option `mine` of `ks` does not export `uri`; let every option's part export it
    lab/playbook.toml:21:49: SB0119 `ks` has no field `urn`; its fields are `chosen`, `id` and `name`
    ");
}

#[test]
fn a_playbook_that_is_not_there() {
    let empty = crate::playbook::Bundle { root: "x/playbook.toml".into(), ..Default::default() };
    insta::assert_snapshot!(lines(&compile(&empty, &plugins()).unwrap_err(), &empty), @"SB0115 there is no file x/playbook.toml; name a folder with a playbook.toml, or the file itself");
}

#[test]
fn parts_that_multiply_are_refused() {
    let part = |n: usize| {
        let next = if n == 0 { "use = \"note@0.1\"".to_owned() } else { format!("part = \"p{}@1\"", n - 1) };
        let steps: String = (0..10).map(|i| format!("[[step]]\nname = \"s{i}\"\n{next}\n")).collect();
        (format!("p{n}"), format!("schema = 1\nid = \"p{n}\"\nversion = 1\ntitle = \"P\"\n{steps}"))
    };
    let parts: Vec<(String, String)> = (0..9).map(part).collect();
    let parts: Vec<(&str, &str)> = parts.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
    insta::assert_snapshot!(refused(&around("[[step]]\nname = \"a\"\npart = \"p8@1\"\n"), &parts).lines().next().unwrap(), @"lab/playbook.toml:9:8: SB0109 part `p8` has more than 10000 steps in all");
}
