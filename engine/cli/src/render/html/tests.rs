use chrono::TimeZone as _;
use sealbook_engine::run::Live;
use sealbook_engine::run::report::{
    Again, Attempt, Choice, CostLine, Fault, Head, Input, Judged, Picture, Quiz, Retry, StepReport, Undo,
};
use sealbook_model::id::Digest;
use sealbook_model::journal::{Consent, Evidence, Goal, Leftover, Mode, Stage};
use sealbook_model::problem::{Problem, codes};
use serde_json::json;

use super::*;

/// Texts that all try to get out of their place, each with a number, so that none is forgotten.
struct Hostile(u32);

impl Hostile {
    fn text(&mut self) -> String {
        self.0 += 1;
        format!(
            "f{}\"'><script>alert({})</script><img src=x onerror=y></style></title>&lt;\u{202e}\u{0}\u{1b}[2J",
            self.0, self.0
        )
    }

    fn markdown(&mut self) -> String {
        format!(
            "{}\n\n[l](javascript:alert(1)) ![i](https://e.example/x) <b onmouseover=z>\n\n<iframe src=x>\n",
            self.text()
        )
    }
}

fn at() -> chrono::DateTime<Utc> {
    Utc.timestamp_opt(1_700_000_000, 0).unwrap()
}

fn step(h: &mut Hostile, n: usize, phase: &'static str) -> StepReport {
    StepReport {
        index: n,
        step: "part/a".parse().unwrap(),
        title: h.text(),
        what: h.markdown(),
        why: h.markdown(),
        proved: h.markdown(),
        plugin: Some(h.text()),
        component: Some(Digest::of(b"wasm")),
        guest: true,
        phase,
        proven: phase == "succeeded",
        by_learner: Some(true),
        changes: vec![h.text()],
        az: Some(h.text()),
        grants: vec![],
        began: Some(at()),
        ended: Some(at()),
        worked_ms: 1500,
        again: vec![Again { at: at(), why: h.text() }],
        retries: vec![Retry { at: at(), why: h.text(), millis: 500 }],
        evidence: vec![Evidence { check: h.text(), passed: phase == "succeeded", detail: h.text() }],
        lesson: Some(h.text()),
        quiz: Some(Quiz {
            ask: h.text(),
            options: vec![h.text(), h.text()],
            answer: 1,
            choice: Some(0),
            why: h.text(),
        }),
        hints: 2,
        fault: Some(Fault { stage: Stage::Apply, message: h.text(), fix: Some(h.text()) }),
        outputs: json!({ h.text(): h.text(), h.text(): [h.text()] }),
        pictures: vec![
            Picture { artifact: "artifact:a/curve.svg".into(), name: "curve.svg".into() },
            Picture { artifact: "artifact:a/gone.png".into(), name: h.text() },
        ],
        proven_at: Some(at()),
        judged: vec![Judged { kind: h.text(), at: at(), test: vec![h.text()], verdict: judged(h) }],
    }
}

fn judged(h: &mut Hostile) -> sealbook_attestation::Verdict {
    let mut verdict = sealbook_attestation::Verdict::default();
    verdict.check(h.text(), true, h.text());
    verdict.check(h.text(), false, h.text());
    verdict
}

fn hostile(status: Status) -> (Report, u32) {
    let mut h = Hostile(0);
    let problem = |h: &mut Hostile| Problem::new(codes::STEP_FAILED, h.text());
    let report = Report {
        run: "k3f7qa".parse().unwrap(),
        playbook: h.text(),
        title: h.text(),
        summary: h.text(),
        level: h.text(),
        cloud: CloudName::Embedded,
        tenant: h.text(),
        subscription: h.text(),
        subscription_name: h.text(),
        me: h.text(),
        me_kind: h.text(),
        mode: Mode::HandsOn,
        status,
        undoing: false,
        began: Some(at()),
        last: Some(at()),
        worked_ms: 61_000,
        attempts: vec![Attempt { number: 1, goal: Goal::Run, began: at(), end: None, worked_ms: 61_000 }],
        inputs: vec![
            Input { name: h.text(), prompt: Some(h.text()), value: Some(json!(h.text())) },
            Input { name: "note".into(), prompt: None, value: None },
            Input { name: "list".into(), prompt: None, value: Some(json!([h.text()])) },
        ],
        choices: vec![Choice { path: "store".parse().unwrap(), question: h.text(), option: h.text() }],
        consents: vec![Consent { subject: h.text(), text: h.text() }],
        steps: vec![step(&mut h, 1, "succeeded"), step(&mut h, 2, "failed")],
        costs: vec![CostLine {
            step: "part/a".parse().unwrap(),
            item: h.text(),
            usd_per_hour: 3.2,
            usd_after_undo: 0.5,
            stands: true,
        }],
        live: vec![Live { step: "part/a".parse().unwrap(), item: "HSM".into(), usd_per_hour: 3.2 }],
        leaves: vec![h.text()],
        leftovers: vec![Leftover { what: h.text(), why: h.text(), until: Some(h.text()), usd: 1.0, usd_per_hour: 0.0 }],
        undo: Some(Undo {
            at: at(),
            finished: true,
            undone: vec!["part/a".parse().unwrap()],
            open: vec!["b".parse().unwrap()],
            failed: vec![("b".parse().unwrap(), h.text())],
        }),
        problem: Some(problem(&mut h)),
        unreadable: Some(problem(&mut h)),
        next: Some(h.text()),
        bundle: Digest::of(b"bundle"),
        engine: h.text(),
        head: Head { home: h.text(), public_key: h.text(), records: 9, hash: h.text(), signed: Some(9) },
    };
    (report, h.0)
}

const SVG: &[u8] = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(2)</script></svg>";

fn pictures() -> Pictures {
    [("artifact:a/curve.svg".to_owned(), Some(SVG.to_vec()))].into()
}

/// Every tag of a page, with the names of its attributes. Panics at markup that we do not write.
fn tags(page: &str) -> Vec<(String, Vec<String>)> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let mut name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || "/!".contains(*c)).collect();
        rest = &rest[name.len()..];
        let mut attributes = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            // `<br />`, as the writer of Markdown has it.
            if let Some(after) = rest.strip_prefix("/>") {
                rest = after;
                break;
            }
            let attribute: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
            assert!(!attribute.is_empty(), "a tag that nobody wrote: <{name} {}", &rest[..rest.len().min(80)]);
            rest = &rest[attribute.len()..];
            if let Some(value) = rest.strip_prefix("=\"") {
                let end = value.find('"').unwrap();
                rest = &value[end + 1..];
            }
            attributes.push(attribute);
        }
        name.make_ascii_lowercase();
        if name == "style" {
            rest = &rest[rest.find("</style>").unwrap() + "</style>".len()..];
        }
        tags.push((name, attributes));
    }
    tags
}

#[test]
fn nothing_of_what_a_run_says_becomes_markup() {
    const TAGS: &str = "!doctype html head meta title style body main header nav section footer h1 h2 h3 h4 h5 h6 p ul ol li dl \
                        dt dd div span strong small time code pre a table caption thead tbody tr th td figure img figcaption \
                        details summary em del blockquote br hr";
    const ATTRIBUTES: &str = "lang charset name content http-equiv class id href aria-labelledby aria-label role tabindex \
                              datetime scope alt src html";
    let allowed = |list: &str, word: &str| list.split_whitespace().any(|w| w == word);
    for status in [Status::Running, Status::Succeeded, Status::Failed, Status::Interrupted, Status::Undone] {
        let (report, fields) = hostile(status);
        let page = page(&report, &pictures());
        for (tag, attributes) in tags(&page) {
            assert!(allowed(TAGS, tag.trim_start_matches('/')), "<{tag}>");
            for attribute in attributes {
                assert!(allowed(ATTRIBUTES, &attribute), "<{tag} {attribute}>");
            }
        }
        assert!(!page.contains(|c: char| c == '\u{202e}' || (c.is_control() && c != '\n' && c != '\t')));
        assert!(!page.contains("javascript:alert(1)\""), "no link leads to a script");
        // Nothing that the run says is missing either; what it failed by is told of failed runs alone.
        // Followed by a quotation mark: escaped, as in JSON, or bare between the tags of Markdown.
        let said = |n: &u32| ["&quot;", "\\", "\""].iter().any(|mark| page.contains(&format!("f{n}{mark}")));
        let missing: Vec<u32> = (1..=fields).filter(|n| !said(n)).collect();
        let problem = fields - 6;
        assert_eq!(missing, if status == Status::Failed { vec![] } else { vec![problem] }, "{status:?}");
    }
}

#[test]
fn the_page_loads_and_runs_nothing() {
    let (report, _) = hostile(Status::Succeeded);
    let page = page(&report, &pictures());
    let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = STANDARD.encode(sealbook_crypto::sha256(style.as_bytes()));
    let policy = format!(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; img-src data:; \
         style-src &#39;sha256-{digest}&#39;; base-uri &#39;none&#39;; form-action &#39;none&#39;\">"
    );
    assert!(page.contains(&policy), "{}", &page[..600]);
    assert!(!style.contains("url(") && !style.contains("@import"));
    // The one picture is inside the page, as an image; what it would run stays inside it.
    let sources: Vec<&str> = page.split(" src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let expected = format!("data:image/svg+xml;base64,{}", STANDARD.encode(SVG));
    assert_eq!(sources, [expected.as_str(), expected.as_str()]);
}

#[test]
fn pictures_are_what_their_names_say_or_are_not_shown() {
    let (report, _) = hostile(Status::Succeeded);
    let picture = |name: &str, bytes: Option<&[u8]>| {
        let picture = Picture { artifact: "artifact:a/p".into(), name: name.into() };
        let step = StepReport { pictures: vec![picture], ..report.steps[0].clone() };
        let page = page(
            &Report { steps: vec![step], ..report.clone() },
            &[("artifact:a/p".to_owned(), bytes.map(<[u8]>::to_vec))].into(),
        );
        page.contains("<img ")
    };
    let png = b"\x89PNG\r\n\x1a\n....";
    let table: [(&str, Option<&[u8]>, bool); 6] = [
        ("a.png", Some(png), true),
        ("a.svg", Some(SVG), true),
        ("a.png", Some(SVG), false),
        ("a.svg", Some(png), false),
        ("a.png", None, false),
        ("a.html", Some(SVG), false),
    ];
    for (name, bytes, shown) in table {
        assert_eq!(picture(name, bytes), shown, "{name} {bytes:?}");
    }
}

#[test]
fn each_status_says_what_it_means() {
    let (report, _) = hostile(Status::Failed);
    let mut lines = Vec::new();
    for status in [Status::Running, Status::Succeeded, Status::Failed, Status::Interrupted, Status::Undone] {
        for undoing in [false, true] {
            let problem = Some(Problem::new(codes::STEP_FAILED, "step a failed"));
            let (tone, word, said) = verdict(&Report { status, undoing, problem, ..report.clone() });
            lines.push(format!("{status:?} {undoing}: {tone}, {word}: {said}"));
        }
    }
    insta::assert_snapshot!(lines.join("\n"), @r"
    Running false: warn, Running: The run goes on while this is written: it shows the journal as of 2023-11-14 22:13:20 UTC.
    Running true: warn, Running: The run is being taken back while this is written: it shows the journal as of 2023-11-14 22:13:20 UTC.
    Succeeded false: good, Succeeded: Every step has its verdict.
    Succeeded true: good, Succeeded: Every step has its verdict.
    Failed false: bad, Failed: step a failed.
    Failed true: bad, Not all taken back: step a failed.
    Interrupted false: warn, Interrupted: It was stopped, or its process died, while going forward.
    Interrupted true: warn, Interrupted: It was stopped, or its process died, while being taken back.
    Undone false: calm, Taken back: What the run made was removed; what stays is named below.
    Undone true: calm, Taken back: What the run made was removed; what stays is named below.
    ");
}

#[test]
fn every_link_inside_the_page_has_its_target() {
    let (report, _) = hostile(Status::Failed);
    let page = page(&report, &pictures());
    let ids: Vec<&str> = page.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    let named = page.split(" href=\"#").chain(page.split(" aria-labelledby=\"").skip(1)).skip(1);
    for target in named.map(|rest| rest.split('"').next().unwrap()) {
        assert!(ids.contains(&target), "{target}");
    }
}
