//! Templates and expressions.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Context, Expr, Me, Scope, Template, With};
use crate::CloudName;

fn scope() -> Scope {
    let context = Context {
        run: "abc234".parse().unwrap(),
        cloud: CloudName::Embedded,
        tenant: "t-1".into(),
        subscription: "s-1".into(),
        subscription_name: "Learning".into(),
        me: Me { id: "u-1".into(), name: "learner".into(), kind: "User".into() },
    };
    let inputs = BTreeMap::from([
        ("region".into(), json!("italynorth")),
        ("days".into(), json!(7)),
        ("note".into(), json!("secret:note")),
    ]);
    let mut scope = Scope::new(&context, &inputs);
    scope.set("vault", json!({ "id": "/v", "tags": ["a", "b"], "on": true, "ratio": 0.5, "big": u64::MAX, "none": null, "props": { "z": 1, "a": 2 } }));
    scope.set("skipped", json!({}));
    scope
}

fn render(text: &str) -> Value {
    Template::parse(text).and_then(|t| t.render(&scope())).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn a_lone_expression_keeps_its_type_and_others_become_text() {
    let rows = [
        ("", json!("")),
        ("plain $ text }", json!("plain $ text }")),
        ("$${not} $$${inputs.days}", json!("${not} $${inputs.days}")),
        ("${inputs.days}", json!(7)),
        ("${inputs.days} ", json!("7 ")),
        ("${vault.on}", json!(true)),
        ("${vault.tags}", json!(["a", "b"])),
        ("${vault.props}", json!({ "a": 2, "z": 1 })),
        ("x${vault.tags}", json!("x[\"a\",\"b\"]")),
        ("${vault.ratio}/${vault.on}/${vault.big}", json!("0.5/true/18446744073709551615")),
        ("${vault.none}", json!(null)),
        ("${inputs.days + 1}", json!(8)),
        ("${'}' + \"{\" + r'\\'}", json!("}{\\")),
        ("${{'b': 1, 'a': 2}}", json!({ "a": 2, "b": 1 })),
        ("${has(vault.nope) ? vault.nope : 'default'}", json!("default")),
        ("${has(skipped.id)}", json!(false)),
        ("${vault.tags.map(t, t + '!')}", json!(["a!", "b!"])),
        ("${run.short}-${run.id}", json!("abc234-abc234")),
        (
            "${subscription.id} ${subscription.guid} ${tenant.id} ${me.type} ${cloud}",
            json!("/subscriptions/s-1 s-1 t-1 User embedded"),
        ),
        ("${string(timestamp('2026-11-21T10:00:00Z') + duration('168h'))}", json!("2026-11-28T10:00:00Z")),
        ("${timestamp('2026-11-21T10:00:00.5+01:00')}", json!("2026-11-21T09:00:00.500Z")),
        ("${duration('1h') + duration('1.5s')}", json!("3601.5s")),
        ("${'größe'} größe", json!("größe größe")),
        ("${inputs.note}", json!("secret:note")),
    ];
    for (text, expected) in rows {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn undo_has_an_instant() {
    let scope = scope().with_undo("2026-11-21T10:00:00Z".parse().unwrap());
    let text = |t: &str| Template::parse(t).unwrap().text(&scope).unwrap();
    assert_eq!(text("until ${undo.at + duration('168h')}"), "until 2026-11-28T10:00:00Z");
    assert_eq!(text("${undo.at.getFullYear()}"), "2026");
}

#[test]
fn what_is_unknown_stays_as_it_is_written() {
    let rows = [
        ("${inputs.region}-${later.id}", "italynorth-${later.id}"),
        ("${ later.id } ${vault.gone}", "${ later.id } ${vault.gone}"),
        ("note ${inputs.note}", "note ${inputs.note}"),
    ];
    for (text, expected) in rows {
        assert_eq!(Template::parse(text).unwrap().preview(&scope()), expected);
    }
}

#[test]
fn failures_name_what_was_written() {
    let rows = [
        "${vault.idd}",
        "${vault.props.zz}",
        "${skipped.id}",
        "${nobody.id}",
        "${vault.none}!",
        "${vault.on + 1}",
        "${inputs.days + '1'}",
        "${vault.tags[7]}",
        "${1 / 0}",
        "${9223372036854775807 + 1}",
        "${int('x')}",
        "${timestamp('soon')}",
        "x${inputs.note}",
        "${vault.id.size(1)}",
        "${vault.big + 1}",
        "${type(1)}",
        "${timestamp('9999-12-31T23:59:59Z') + duration('100h')}",
        "${duration('99999999999999h')}",
    ];
    let line = |text: &&str| match Template::parse(text).and_then(|t| t.render(&scope())) {
        Ok(value) => format!("{text} => {value}"),
        Err(e) => format!("{text} => {}", e.problem()),
    };
    insta::assert_snapshot!(rows.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    ${vault.idd} => SB0126 `vault` has no field `idd` — in `${vault.idd}`; did you mean `id`?
    ${vault.props.zz} => SB0126 `vault.props` has no field `zz` — in `${vault.props.zz}`
    ${skipped.id} => SB0126 `skipped` has no field `id` (the step was skipped) — in `${skipped.id}`
    ${nobody.id} => SB0126 nothing is called `nobody` here — in `${nobody.id}`
    ${vault.none}! => SB0126 there is no value to put into the text (null) — in `${vault.none}!`
    ${vault.on + 1} => SB0126 `+` does not go with bool and int — in `${vault.on + 1}`
    ${inputs.days + '1'} => SB0126 `+` does not go with int and string — in `${inputs.days + '1'}`
    ${vault.tags[7]} => SB0126 the list has no element 7 — in `${vault.tags[7]}`; elements are counted from 0
    ${1 / 0} => SB0126 something is divided by zero — in `${1 / 0}`
    ${9223372036854775807 + 1} => SB0126 the result of `+` is too large — in `${9223372036854775807 + 1}`
    ${int('x')} => SB0126 int: string parse error: invalid digit found in string — in `${int('x')}`
    ${timestamp('soon')} => SB0126 timestamp: premature end of input — in `${timestamp('soon')}`
    x${inputs.note} => SB0131 a secret can't become part of a text
    ${vault.id.size(1)} => SB0117 `size` takes 0 arguments, there is 1; write x.size()
    ${vault.big + 1} => SB0126 `+` does not go with uint and int — in `${vault.big + 1}`
    ${type(1)} => "int"
    ${timestamp('9999-12-31T23:59:59Z') + duration('100h')} => SB0126 the result of `+` is too large — in `${timestamp('9999-12-31T23:59:59Z') + duration('100h')}`
    ${duration('99999999999999h')} => SB0126 duration: range error parsing duration — in `${duration('99999999999999h')}`
    "#);
}

#[test]
fn what_is_not_an_expression() {
    let rows = [
        "", " ", "1 +", "a b", "a = b", "'x", "a.b.", "(1", "a?b", "f(1)", "x.f()", "a..b", "${a}", "[1, 2", "{1: }",
        "1 ++ 2", "a\n+\n)", "`a`", "größe", "a.?b",
    ];
    let line = |text: &&str| match Expr::parse(text) {
        Ok(expr) => format!("{text:?} => {expr:?}"),
        Err(e) => format!("{text:?} at {:?} => {}", e.at, e.problem()),
    };
    insta::assert_snapshot!(rows.iter().map(line).collect::<Vec<_>>().join("\n"), @r#"
    "" at 0..0 => SB0117 an expression is empty
    " " at 0..1 => SB0117 an expression is empty
    "1 +" at 3..3 => SB0117 not an expression: it ends too early
    "a b" at 2..3 => SB0117 not an expression: `b` is not expected there
    "a = b" at 2..5 => SB0117 not an expression: `=` is not expected there
    "'x" at 0..2 => SB0117 not an expression: `'x` is not expected there; a quote is not closed
    "a.b." at 4..4 => SB0117 not an expression: `.` is not expected there
    "(1" at 2..2 => SB0117 not an expression: it ends too early
    "a?b" at 0..3 => SB0117 not an expression: it is not complete
    "f(1)" at 1..2 => SB0118 there is no function `f`; what can be asked of a value are `contains`, `endsWith`, `matches`, `size` and `startsWith`
    "x.f()" at 3..4 => SB0118 there is no function `f`; what can be asked of a value are `contains`, `endsWith`, `matches`, `size` and `startsWith`
    "a..b" at 2..4 => SB0117 not an expression: `..` is not expected there
    "${a}" at 0..4 => SB0117 not an expression: `$` is not expected there
    "[1, 2" at 5..5 => SB0117 not an expression: it ends too early
    "{1: }" at 4..5 => SB0117 not an expression: `}` is not expected there
    "1 ++ 2" at 3..6 => SB0117 not an expression: `+` is not expected there
    "a\n+\n)" at 4..5 => SB0117 not an expression: `)` is not expected there
    "`a`" at 0..3 => SB0117 not an expression: ``a`` is not expected there
    "größe" at 2..7 => SB0117 not an expression: `ö` is not expected there
    "a.?b" at 1..4 => SB0117 not an expression: `.?` is not expected there
    "#);
}

#[test]
fn every_listed_function_is_there() {
    let calls = [
        "bool('true')",
        "bytes('a') == b'a'",
        "'ab'.contains('a')",
        "double('1.5') > 1.0",
        "duration('1s') < duration('2s')",
        "dyn(1) == 1",
        "'ab'.endsWith('b')",
        "int('1') == 1",
        "'ab'.matches('^a')",
        "size('ab') == 2",
        "'ab'.size() == 2",
        "matches('ab', '^a')",
        "timestamp('2026-11-21T10:20:30.5Z').getHours('UTC') == 10",
        "'ab'.startsWith('a')",
        "string(1) == '1'",
        "type(1) == int",
        "uint('1') == 1u",
        "timestamp('2026-11-21T10:20:30.5Z').getDate() == 21",
        "timestamp('2026-11-21T10:20:30.5Z').getDayOfMonth() == 20",
        "timestamp('2026-11-21T10:20:30.5Z').getDayOfWeek() == 6",
        "timestamp('2026-11-21T10:20:30.5Z').getDayOfYear() == 324",
        "timestamp('2026-11-21T10:20:30.5Z').getFullYear() == 2026",
        "timestamp('2026-11-21T10:20:30.5Z').getHours() == 10",
        "timestamp('2026-11-21T10:20:30.5Z').getMilliseconds() == 500",
        "timestamp('2026-11-21T10:20:30.5Z').getMinutes() == 20",
        "timestamp('2026-11-21T10:20:30.5Z').getMonth() == 10",
        "timestamp('2026-11-21T10:20:30.5Z').getSeconds() == 30",
        "[1, 2].all(x, x > 0)",
        "[1, 2].exists(x, x == 2)",
        "[1, 2].exists_one(x, x == 2)",
        "[1, 2].filter(x, x > 1) == [2]",
        "1 in [1]",
    ];
    for call in calls {
        assert_eq!(Expr::parse(call).and_then(|e| e.holds(&scope())), Ok(true), "{call}");
    }
    for function in super::functions::FUNCTIONS {
        assert!(
            calls.iter().any(|call| call.contains(&format!("{}(", function.name))),
            "{} is not tried",
            function.name
        );
    }
}

#[test]
fn references_are_found_where_they_stand() {
    let expr = Expr::parse("'größe' == key_store.uri && has(x.y) && items.exists(i, i.id == me.id && j > 1)").unwrap();
    let found: Vec<String> = expr
        .references()
        .iter()
        .map(|r| {
            format!(
                "{}.{}{} {}",
                r.root,
                r.fields.join("."),
                if r.tested { "?" } else { "" },
                &expr.source()[r.at.clone()]
            )
        })
        .collect();
    insta::assert_snapshot!(found.join("\n"), @r"
    key_store.uri key_store
    x.y? x
    items. items
    me.id me
    j. j
    ");
}

#[test]
fn conditions_are_true_or_false() {
    assert_eq!(Expr::parse("vault.on && cloud == 'embedded'").unwrap().holds(&scope()), Ok(true));
    let error = Expr::parse("vault.id").unwrap().holds(&scope()).unwrap_err();
    assert_eq!(error.what, "a condition is true or false, this is a string");
    assert_eq!(Expr::parse("out.x == 1").unwrap().holds(&scope().with_out(&json!({ "x": 1 }))), Ok(true));
}

#[test]
fn work_is_bounded_by_what_there_is_to_loop_over() {
    let long: Vec<u32> = (0..3000).collect();
    let mut scope = scope();
    scope.set("many", json!({ "list": long, "text": "x".repeat(100_000) }));
    let holds = |source: &str| Expr::parse(source).unwrap().holds(&scope);
    assert_eq!(holds("many.list.exists(x, x == 2999)"), Ok(true));
    assert_eq!(holds("vault.tags.exists(x, many.list.exists(y, y == 5) && x == 'b')"), Ok(true));
    for costly in [
        "many.list.exists(x, many.list.exists(y, x + y == -1))",
        "many.list.map(x, many.text + many.text).size() == 0",
        "many.list.map(x, many.list).map(l, l.size()).size() == 0",
    ] {
        assert_eq!(holds(costly).unwrap_err().what, "an expression would take too much work", "{costly}");
    }
}

#[test]
fn values_with_templates_keep_their_shape() {
    let with = With::Table(vec![
        ("z".into(), With::Text(Template::parse("${inputs.days}").unwrap())),
        ("a".into(), With::List(vec![With::Plain(json!(1)), With::Text(Template::parse("${later.x}").unwrap())])),
    ]);
    assert!(with.render(&scope()).is_err());
    assert_eq!(with.preview(&scope()).to_string(), r#"{"z":7,"a":[1,"${later.x}"]}"#);
}

/// What expressions are made of, so that some of them mean something.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "vault",
            "inputs",
            "run",
            "cloud",
            ".",
            "id",
            "tags",
            "[",
            "]",
            "(",
            ")",
            "{",
            "}",
            "'",
            "\"",
            "+",
            "-",
            "*",
            "/",
            "%",
            "==",
            "!=",
            "<",
            "&&",
            "||",
            "!",
            "?",
            ":",
            ",",
            "in",
            "has",
            "size",
            "int",
            "string",
            "timestamp",
            "duration",
            "map",
            "filter",
            "all",
            "exists",
            "x",
            "1",
            "0",
            "-9223372036854775808",
            "18446744073709551615u",
            "1e308",
            "null",
            "true",
            "b'a'",
            "r'",
            "\\",
            "${",
            "}",
            " ",
            "getHours()",
            "matches",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ]
}

proptest! {
    #[test]
    fn anything_is_read_or_refused(tokens in prop::collection::vec(token(), 0..24), glue in prop::sample::select(vec!["", " "])) {
        let text = tokens.join(glue);
        for result in [Expr::parse(&text).map(|e| drop(e.eval(&scope()))), Template::parse(&text).map(|t| drop((t.render(&scope()), t.preview(&scope()))))] {
            if let Err(e) = result {
                prop_assert!(e.text.get(e.at.clone()).is_some(), "{:?} in {:?}", e.at, e.text);
            }
        }
    }

    #[test]
    fn text_without_expressions_stays(text in "[^$]{0,40}") {
        prop_assert_eq!(Template::parse(&text).unwrap().render(&scope()).unwrap(), json!(text));
    }
}
