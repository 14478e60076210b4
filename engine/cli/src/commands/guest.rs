//! `guest release` and `guest attest`: a confidential VM proves what it is, and gets a key for it.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sealbook_attestation::Verdict;
use sealbook_crypto::SecretBytes;
use sealbook_crypto::rsa::{Padding, RsaAesWrap, RsaKey};
use sealbook_engine::step::{self, StepError};
use sealbook_engine::tee::Attested;
use sealbook_guest::release::{Obtained, evaluate, unmet};
use sealbook_model::problem::{Problem, code, codes};
use serde_json::json;
use zeroize::Zeroizing;

use super::policy::{shown, tree};
use super::print;
use super::sealed::{Draft, problem as unwritten, wrapped};
use crate::app::Failure;
use crate::args::{Global, GuestAttestArgs, GuestCommand, GuestReleaseArgs, Output, ProviderArgs};
use crate::guest::machine::Machine;
use crate::guest::resident;
use crate::out;
use crate::render::text::{Line, Tone, line};
use crate::render::verdict as render;

/// How a key is wrapped on its way to the machine.
const WRAP: RsaAesWrap = RsaAesWrap::Sha256;
/// Most bytes of a nonce: a quote's qualifying data has no more.
const NONCE: usize = 64;

/// Carries out a command inside a machine.
pub async fn guest(global: &Global, command: GuestCommand) -> Result<u8, Failure> {
    match command {
        GuestCommand::Release(args) => release(global, &args).await,
        GuestCommand::Attest(args) => attest(global, &args).await,
        GuestCommand::Start(args) => resident::start(&args).await,
        GuestCommand::Agent(args) => resident::agent(&args).await,
        GuestCommand::Serve => Ok(0),
        #[cfg(debug_assertions)]
        GuestCommand::Probe(_) => Ok(0),
    }
}

async fn attest(global: &Global, args: &GuestAttestArgs) -> Result<u8, Failure> {
    let place = args.out.as_deref().map(new_file).transpose()?;
    let machine = Machine::here(args.provider.identity.clone())?;
    let mut seen = Verdict::default();
    let attested = prove(&machine, &args.provider, &mut seen).await.inspect_err(|_| show_partly(global, &seen))?;
    if let Some((draft, path)) = place {
        let text = format!("{:#}\n", attested.document);
        draft.fill_with(text.as_bytes()).map_err(|e| unwritten(e, path, path))?;
    }
    match global.output {
        Output::Json => out::json(&json!({
            "verified": seen.passed(),
            "checks": seen.checks,
            "facts": seen.facts,
            "claims": attested.claims,
            "out": args.out,
        })),
        Output::Human => {
            let mut lines = render::verdict(&seen);
            lines.extend(args.out.as_deref().map(|path| written("the machine's evidence", path)));
            print(global, &lines);
        }
    }
    Ok(0)
}

async fn release(global: &Global, args: &GuestReleaseArgs) -> Result<u8, Failure> {
    let wrapped = args.unwrap.as_deref().map(wrapped).transpose()?;
    let place = args.out.as_deref().map(new_file).transpose()?;
    let machine = Machine::here(args.provider.identity.clone())?;
    let mut seen = Verdict::default();
    let attested = prove(&machine, &args.provider, &mut seen).await.inspect_err(|_| show_partly(global, &seen))?;
    let obtained = match machine.tee.obtain(&machine.azure, &args.kid, &attested, WRAP, &mut seen).await {
        Ok(obtained) => obtained,
        Err(failure) => {
            show_partly(global, &seen);
            return Err(refused(global, &machine, &args.kid, &attested, &failure).await.into());
        }
    };
    let evaluation = evaluate(&obtained.bundle, &attested);
    let kid = obtained.bundle["key"]["kid"].as_str().unwrap_or(&args.kid).to_owned();
    let key = match wrapped.zip(args.unwrap.as_deref()) {
        Some((wrapped, path)) => Some(unwrap(&obtained, &wrapped, path)?),
        None if place.is_some() => Some(pem(&obtained)?),
        None => None,
    };
    let bytes = key.as_ref().filter(|_| args.unwrap.is_some()).map(SecretBytes::len);
    if let (Some((draft, path)), Some(key)) = (place, &key) {
        draft.fill_with(key.expose()).map_err(|e| unwritten(e, path, path))?;
        if args.unwrap.is_none() {
            out::note(&format!(
                "warning: {} holds the private key itself. Whoever reads it needs no attestation any more.",
                path.display()
            ));
        }
    }
    match global.output {
        Output::Json => out::json(&json!({
            "released": kid,
            "kty": obtained.bundle["key"]["kty"],
            "verified": seen.passed(),
            "checks": seen.checks,
            "facts": seen.facts,
            "policy": evaluation.as_ref().map(shown),
            "unwrapped": bytes.map(|bytes| json!({ "bytes": bytes })),
            "out": args.out,
        })),
        Output::Human => {
            let mut lines = render::verdict(&seen);
            if let Some(evaluation) = &evaluation {
                lines.push(line(Tone::Head, "", "What the key's policy asked"));
                lines.extend(tree(evaluation));
            }
            lines.push(line(Tone::Good, "ok", format!("released {kid}")));
            if let Some(bytes) = bytes {
                lines.push(line(Tone::Good, "ok", format!("unwrapped a data key of {bytes} bytes")));
            }
            let what = if bytes.is_some() { "the data key" } else { "the private key" };
            lines.extend(args.out.as_deref().map(|path| written(what, path)));
            print(global, &lines);
        }
    }
    Ok(0)
}

/// Has the machine attested, if there is anything to attest.
async fn prove(machine: &Machine, args: &ProviderArgs, seen: &mut Verdict) -> Result<Attested, Problem> {
    let nonce = match &args.nonce {
        None => sealbook_crypto::random::<32>().to_vec(),
        Some(text) if (1..=NONCE).contains(&text.len()) => text.clone().into_bytes(),
        Some(text) => {
            return Err(Problem::new(codes::USAGE, format!("a nonce has 1 to {NONCE} bytes, not {}", text.len())));
        }
    };
    machine.demand_report().await?;
    if machine.embedded {
        out::note("This is a machine of the embedded Azure: its evidence leads to test roots.");
    }
    let attested = machine.tee.prove(&machine.azure, &args.attest_url, None, &nonce, seen).await;
    attested.map_err(|failure| problem("this machine was not attested", &failure))
}

/// The file that shall be written, which must not be there yet.
fn new_file(path: &Path) -> Result<(Draft, &Path), Problem> {
    let draft = Draft::new(path, false, true).map_err(|problem| problem.fix("name a file that is not there yet"))?;
    Ok((draft, path))
}

/// What was seen until it failed, for people.
fn show_partly(global: &Global, seen: &Verdict) {
    if global.output == Output::Human && !seen.checks.is_empty() {
        print(global, &render::checks(seen));
    }
}

fn written(what: &str, path: &Path) -> Line {
    line(Tone::Good, "ok", format!("wrote {what} to {}", path.display()))
}

/// Why a key was not released. Whoever may read the key is also told which clause of its policy decided.
async fn refused(
    global: &Global,
    machine: &Machine,
    kid: &str,
    attested: &Attested,
    failure: &step::Failure,
) -> Problem {
    let what = "the key was not released to this machine";
    if failure.azure.as_ref().is_none_or(|cause| cause.status != 403) {
        return problem(what, failure);
    }
    match unmet(&machine.azure, kid, attested, failure).await {
        Some(evaluation) => {
            if global.output == Output::Human {
                print(global, &tree(&evaluation));
            }
            Problem::new(codes::POLICY_NOT_MET, what).because(evaluation.reason()).because(failure.to_string())
        }
        None => problem(what, failure).fix(
            "the machine's identity needs the role Key Vault Crypto Service Release User (on a managed HSM: Managed HSM \
             Crypto Service Release User), and the token must fulfil the key's policy: sealbook policy test",
        ),
    }
}

/// A step's failure as a problem of its own.
fn problem(what: &str, failure: &step::Failure) -> Problem {
    let status = failure.azure.as_ref().map(|cause| cause.status);
    let found = match (&failure.error, status) {
        (StepError::Component { code: text, .. }, _) => code(text).map_or(codes::INTERNAL, |info| info.code),
        (StepError::Precondition { .. }, _) => codes::PRECONDITION,
        (_, Some(0)) => codes::AZURE_UNREACHABLE,
        (_, Some(401)) => codes::SIGN_IN,
        (StepError::Transient { .. }, _) => codes::TRANSIENT,
        (_, Some(_)) => codes::AZURE_REFUSED,
        _ => codes::EVIDENCE_REFUSED,
    };
    let problem = Problem::new(found, what).because(failure.to_string());
    match &failure.error {
        StepError::Precondition { fix, .. } => problem.fix(fix.clone()),
        _ => problem,
    }
}

/// Unwraps a data key (RSA-OAEP-256) with the released key.
fn unwrap(obtained: &Obtained, wrapped: &[u8], path: &Path) -> Result<SecretBytes, Problem> {
    let unusable =
        |why: &str| Problem::new(codes::KEY_FILE, format!("`{}` can't be unwrapped", path.display())).because(why);
    let kty = obtained.bundle["key"]["kty"].as_str().unwrap_or_default();
    let pair = RsaKey::from_pkcs8(obtained.key.expose())
        .map_err(|_| unusable(&format!("the released key is of type {kty}; RSA-OAEP-256 takes an RSA key")))?;
    let length = pair.bits().bytes();
    let ciphertext = ciphertext(wrapped, length).ok_or_else(|| {
        unusable(&format!("a data key that was wrapped with this key has {length} bytes, raw or in Base64"))
    })?;
    pair.decrypt(Padding::OaepSha256, &ciphertext).map_err(|error| {
        Problem::new(codes::SEALED_KEY, format!("`{}` does not open with the released key", path.display()))
            .because(error.to_string())
            .fix("wrap the data key with this version of the key, by RSA-OAEP-256")
    })
}

/// A ciphertext of `length` bytes: as it is, as the labs write it, or in Base64 or BASE64URL, as `az` prints it.
fn ciphertext(wrapped: &[u8], length: usize) -> Option<Vec<u8>> {
    if wrapped.len() == length {
        return Some(wrapped.to_vec());
    }
    let text: String = std::str::from_utf8(wrapped).ok()?.split_ascii_whitespace().collect();
    let url = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    let bytes = URL_SAFE_NO_PAD.decode(url).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// The released key as PEM (RFC 7468, section 10).
fn pem(obtained: &Obtained) -> Result<SecretBytes, Problem> {
    let kty = obtained.bundle["key"]["kty"].as_str().unwrap_or_default();
    if !(kty.starts_with("RSA") || kty.starts_with("EC")) {
        return Err(Problem::new(codes::USAGE, format!("a key of type {kty} has no PEM"))
            .fix("leave --out away: the release is proved without it"));
    }
    let text = Zeroizing::new(STANDARD.encode(obtained.key.expose()));
    // Enough at once, so that no copy of a secret stays behind where the vector grew.
    let mut pem = Vec::with_capacity(text.len() + text.len() / 64 + 64);
    pem.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
    for row in text.as_bytes().chunks(64) {
        pem.extend_from_slice(row);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
    Ok(SecretBytes::new(pem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_is_raw_or_in_base64() {
        let raw: Vec<u8> = (0..=255).collect();
        let standard = STANDARD.encode(&raw);
        let folded = format!("{}\n{}\n", &standard[..76], &standard[76..]);
        for given in
            [raw.clone(), standard.clone().into_bytes(), folded.into_bytes(), URL_SAFE_NO_PAD.encode(&raw).into()]
        {
            assert_eq!(ciphertext(&given, 256).as_ref(), Some(&raw));
        }
        for refused in [&raw[..255], &standard.as_bytes()[..300], b"", &[0xff; 344]] {
            assert_eq!(ciphertext(refused, 256), None, "{} bytes", refused.len());
        }
    }

    #[test]
    fn a_released_key_is_pem_that_reads_back() {
        let pair = RsaKey::generate(sealbook_crypto::rsa::RsaBits::B2048);
        let obtained = |kty: &str| Obtained { key: pair.to_pkcs8(), bundle: json!({ "key": { "kty": kty } }) };
        let text = pem(&obtained("RSA-HSM")).unwrap();
        let text = std::str::from_utf8(text.expose()).unwrap();
        assert!(text.lines().all(|row| row.len() <= 64));
        let body: String = text.lines().filter(|row| !row.starts_with('-')).collect();
        assert_eq!(STANDARD.decode(body).unwrap(), pair.to_pkcs8().expose());
        assert_eq!(pem(&obtained("oct-HSM")).unwrap_err().code, codes::USAGE);
    }
}
