//! `policy test|explain|new`: release policies against tokens, without a cloud.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use sealbook_attestation::maa;
use sealbook_attestation::policy::{Encoded, Evaluation, Level, Selection, from_claims, lint};
use sealbook_model::problem::{Problem, codes};
use serde_json::{Value, json};

use super::{input, print};
use crate::app::Failure;
use crate::args::{Global, NewPolicyArgs, Output, PolicyCommand};
use crate::out;
use crate::render::text::{Line, Tone, line};

/// The longest file that is read, in bytes.
const LONGEST: u64 = 1024 * 1024;

/// Carries out a command about policies. They need no home.
pub fn policy(global: &Global, command: PolicyCommand) -> Result<u8, Failure> {
    match command {
        PolicyCommand::Test { policy, token } => test(global, &policy, &token),
        PolicyCommand::Explain { policy, token } => explain(global, &policy, token.as_deref()),
        PolicyCommand::New(args) => new(global, &args),
    }
}

fn test(global: &Global, policy: &Path, token: &Path) -> Result<u8, Failure> {
    let encoded = read_policy(policy)?;
    let (issuer, claims) = read_token(token)?;
    let evaluation = encoded.policy.evaluate(&issuer, &claims);
    let refusal = Problem::new(codes::POLICY_NOT_MET, "the key would not be released")
        .because(evaluation.reason())
        .fix(format!("see every clause: sealbook policy explain {} {}", policy.display(), token.display()));
    match global.output {
        Output::Json => {
            let mut document = shown(&evaluation);
            if !evaluation.released {
                document["code"] = codes::POLICY_NOT_MET.into();
            }
            out::json(&document);
            return Ok(if evaluation.released { 0 } else { refusal.exit_code() });
        }
        Output::Human => print(global, &tree(&evaluation)),
    }
    if !evaluation.released {
        return Err(refusal.into());
    }
    out::note("Only claims were compared; the token's signature and times were not looked at.");
    Ok(0)
}

fn explain(global: &Global, policy: &Path, token: Option<&Path>) -> Result<u8, Failure> {
    let encoded = read_policy(policy)?;
    let token = token.map(read_token).transpose()?;
    let evaluation = token.map(|(issuer, claims)| encoded.policy.evaluate(&issuer, &claims));
    let warnings = lint(&encoded.policy, encoded.immutable);
    if global.output == Output::Json {
        out::json(&json!({
            "policy": encoded.policy.document(),
            "immutable": encoded.immutable,
            "words": encoded.policy.to_string(),
            "warnings": warnings,
            "evaluation": evaluation.as_ref().map(shown),
        }));
        return Ok(0);
    }
    let words = encoded.policy.to_string();
    let mut lines: Vec<Line> = words.lines().map(|text| verbatim(Tone::Plain, "", text)).collect();
    for warning in &warnings {
        let (tone, label) = match warning.level {
            Level::Warning => (Tone::Warn, "warning"),
            Level::Note => (Tone::Dim, "note"),
        };
        lines.push(line(tone, label, warning.to_string()));
    }
    if let Some(evaluation) = &evaluation {
        lines.extend(tree(evaluation));
    }
    print(global, &lines);
    Ok(0)
}

fn new(global: &Global, args: &NewPolicyArgs) -> Result<u8, Failure> {
    let (issuer, claims) = read_token(&args.token)?;
    let issuer = args.authority.as_deref().unwrap_or(&issuer);
    let selection = Selection { measurement: args.measurement, user_data: args.user_data };
    let policy = from_claims(issuer, &claims, selection).map_err(|why| {
        Problem::new(codes::NO_POLICY, "no policy can be written from this token").because(why.to_string())
    })?;
    let text = format!("{:#}\n", policy.document());
    match &args.out {
        None => out::data(&text),
        Some(path) => {
            let file = File::options().write(true).create_new(true).open(path);
            file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|why| {
                Problem::new(codes::USAGE, format!("`{}` can't be written", path.display()))
                    .because(why.to_string())
                    .fix("name a file that is not there yet")
            })?;
            if global.output == Output::Json {
                out::json(&json!({ "file": path, "policy": policy.document() }));
            }
        }
    }
    // Where the claims are is taken from the token itself.
    for warning in lint(&policy, None).into_iter().filter(|warning| warning.name != "top_level") {
        out::note(&line(Tone::Dim, "note", warning.to_string()).layout(100, false));
    }
    Ok(0)
}

/// The evaluation with what decided it.
pub(super) fn shown(evaluation: &Evaluation) -> Value {
    let mut document = json!(evaluation);
    document["reason"] = evaluation.reason().into();
    document["deciding"] = json!(evaluation.deciding());
    document
}

/// Every clause that was asked, one a line, and what comes of it.
pub(super) fn tree(evaluation: &Evaluation) -> Vec<Line> {
    let tone = |text: &str| match text {
        _ if text.starts_with("not ") => Tone::Bad,
        _ if text.starts_with("met ") || text == "released" => Tone::Good,
        _ => Tone::Plain,
    };
    let text = evaluation.to_string();
    text.lines().map(|text| verbatim(tone(text), "", text)).collect()
}

fn verbatim(tone: Tone, label: &'static str, text: &str) -> Line {
    Line { verbatim: true, ..line(tone, label, text) }
}

fn read_policy(path: &Path) -> Result<Encoded, Problem> {
    Encoded::read(&input::read(path, LONGEST, "a policy or a token")?).map_err(|why| {
        Problem::new(codes::POLICY_INVALID, format!("`{}` is no release policy", path.display()))
            .because(why.to_string())
            .fix("docs/release-policy.md has the grammar, with examples")
    })
}

/// The issuer and the claims of a token, before anything is verified.
fn read_token(path: &Path) -> Result<(String, Value), Problem> {
    let refuse = |why: String| {
        Problem::new(codes::TOKEN_UNREADABLE, format!("`{}` is no attestation token", path.display()))
            .because(why)
            .fix("give the token as the service answered it, or its claims as a JSON object with `iss`")
    };
    let claims =
        maa::unverified(&input::read(path, LONGEST, "a policy or a token")?).map_err(|why| refuse(why.to_string()))?;
    match claims.get("iss").and_then(Value::as_str) {
        Some(issuer) => Ok((issuer.to_owned(), claims)),
        None => Err(refuse("it names no issuer (iss)".to_owned())),
    }
}
