//! `seal` and `open`: files of any size under a key of their own.

mod files;
mod keys;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sealbook_crypto::SecretBytes;
use sealbook_crypto::sealed::labs::{self, Memory};
use sealbook_crypto::sealed::{self, ContentKey, Header, Kek, SealedError, Wrap};
use sealbook_model::problem::{Problem, codes};
use serde_json::{Value, json};

pub(super) use self::files::Draft;
use self::files::{Input, Target};
pub(super) use self::keys::wrapped;
use crate::app::Failure;
use crate::args::{CommonArgs, Global, LayoutChoice, OpenArgs, Output, SealArgs};
use crate::render::text::safe;
use crate::ui::{self, Mode, Surroundings};
use crate::{out, signals};

/// Seals a file.
pub async fn seal(global: &Global, args: SealArgs) -> Result<u8, Failure> {
    fits(global, &args.file, &args.out, &args.common, args.kek.as_deref())?;
    if args.common.layout == LayoutChoice::Labs && (args.kid.is_some() || args.media_type.is_some()) {
        return Err(usage("--layout labs has no header: there is no place for --kid and --media-type"));
    }
    let (to_stdout, rich) = (is_dash(&args.out), shows_progress(global));
    let said = unless_stopped(move |stop| seal_file(&args, rich, stop)).await?;
    report(global, to_stdout, said);
    Ok(0)
}

/// Opens a file.
pub async fn open(global: &Global, args: OpenArgs) -> Result<u8, Failure> {
    fits(global, &args.file, &args.out, &args.common, args.kek.as_deref())?;
    let (to_stdout, rich) = (is_dash(&args.out), shows_progress(global));
    let said = unless_stopped(move |stop| open_file(&args, rich, stop)).await?;
    report(global, to_stdout, said);
    Ok(0)
}

/// What was done: for people and for programs.
struct Said {
    human: String,
    json: Value,
}

/// The content key, and what a sealed file says of it: one that was given, or a fresh one that is wrapped.
fn content_key(args: &SealArgs) -> Result<(SecretBytes, ContentKey), Problem> {
    match (&args.common.key, &args.kek) {
        (Some(file), _) => Ok((keys::content_key(file)?, ContentKey::Direct { kid: args.kid.clone() })),
        (None, Some(file)) => {
            let kek = keys::kek(file)?;
            let key = sealed::generate_key();
            let kid = args.kid.clone().or(kek.kid);
            let wrapped = kek.kek.wrap(&key, kid).map_err(|e| problem(e, file, &args.out))?;
            if args.common.layout == LayoutChoice::Labs
                && matches!(wrapped, ContentKey::Wrapped { wrap: Wrap::A256Kw, .. })
            {
                return Err(Problem::new(codes::KEY_FILE, "the labs' layout wraps with RSA-OAEP-256")
                    .because("the key encryption key is an AES key"));
            }
            Ok((key, wrapped))
        }
        (None, None) => Err(Problem::new(codes::USAGE, "--key or --kek is needed")),
    }
}

fn seal_file(args: &SealArgs, rich: bool, stop: Arc<AtomicBool>) -> Result<Said, Problem> {
    let (content_key, key) = content_key(args)?;
    let input = Input::open(&args.file, rich, stop)?;
    let target = Target::new(&args.out, args.common.force, false)?;
    let beside = match &args.common.wrapped {
        Some(path) => Some(Draft::new(path, args.common.force, false)?),
        None => None,
    };
    let failed = |e| problem(e, &args.file, &args.out);
    let kid = key.kid().map(str::to_owned);
    let wrap = match &key {
        ContentKey::Direct { .. } => "dir",
        ContentKey::Wrapped { wrap, .. } => wrap.name(),
    };
    let (length, sealed_length) = match args.common.layout {
        LayoutChoice::Cobblestone => {
            let name = args.file.file_name().and_then(|name| name.to_str()).filter(|_| !is_dash(&args.file));
            let header = Header {
                key,
                name: name.filter(|_| !args.no_name).map(str::to_owned),
                media_type: args.media_type.clone(),
                length: input.length(),
            };
            target.fill(|writer| sealed::seal(input, writer, &content_key, &header)).map_err(failed)?
        }
        LayoutChoice::Labs => {
            let memory = Memory { limit: args.common.memory << 30, expected: input.length().unwrap_or(0) };
            let sealing = |writer: &mut dyn Write| {
                let length = labs::seal(input, writer, &content_key, memory)?;
                // The key's file comes first: data whose key is nowhere would be lost.
                match (beside, &key) {
                    (Some(draft), ContentKey::Wrapped { wrapped, .. }) => draft.fill_with(wrapped).map(|()| length),
                    _ => Ok(length),
                }
            };
            target.fill(sealing).map_err(failed)?
        }
    };
    let place = safe(&args.out.display().to_string());
    let under = kid.as_deref().map(|kid| format!(", under {kid}")).unwrap_or_default();
    Ok(Said {
        human: format!("sealed {length} bytes as {place} ({sealed_length} bytes{under})"),
        json: json!({
            "out": args.out.display().to_string(),
            "layout": args.common.layout.name(),
            "length": length,
            "sealed_length": sealed_length,
            "wrap": wrap,
            "kid": kid,
            "wrapped": args.common.wrapped.as_ref().map(|path| path.display().to_string()),
        }),
    })
}

fn open_file(args: &OpenArgs, rich: bool, stop: Arc<AtomicBool>) -> Result<Said, Problem> {
    let held = match (&args.common.key, &args.kek) {
        (Some(file), _) => Held::Content(keys::content_key(file)?),
        (None, Some(file)) => Held::Kek(keys::kek(file)?.kek),
        (None, None) => return Err(Problem::new(codes::USAGE, "--key or --kek is needed")),
    };
    let input = Input::open(&args.file, rich, stop)?;
    let target = Target::new(&args.out, args.common.force, true)?;
    let failed = |e| problem(e, &args.file, &args.out);
    let place = safe(&args.out.display().to_string());
    match args.common.layout {
        LayoutChoice::Cobblestone => {
            let mut asked = None;
            let opened = target.fill(|writer| {
                sealed::open(input, writer, |header| {
                    asked = header.key.kid().map(str::to_owned);
                    held.for_file(&header.key)
                })
            });
            let (opened, _) = opened.map_err(|e| {
                let named = |kid: &str| format!("the file asks for the key {}", safe(kid));
                match (&e, asked.as_deref()) {
                    (SealedError::Commitment | SealedError::Unwrap | SealedError::Kek(_), Some(kid)) => {
                        failed(e).because(named(kid))
                    }
                    _ => failed(e),
                }
            })?;
            let header = opened.header;
            let was = header.name.as_deref().map(|name| format!(" (it was {})", safe(name))).unwrap_or_default();
            Ok(Said {
                human: format!("opened {} bytes as {place}{was}", opened.length),
                json: json!({
                    "out": args.out.display().to_string(),
                    "layout": args.common.layout.name(),
                    "length": opened.length,
                    "kid": header.key.kid(),
                    "name": header.name,
                    "media_type": header.media_type,
                }),
            })
        }
        LayoutChoice::Labs => {
            let wrapped = match &args.common.wrapped {
                Some(path) => Some(keys::wrapped(path)?),
                None => None,
            };
            let wrapped =
                ContentKey::Wrapped { wrap: Wrap::RsaOaep256, kid: None, wrapped: wrapped.unwrap_or_default() };
            let key = held.for_file(&wrapped).map_err(failed)?;
            let memory = Memory { limit: args.common.memory << 30, expected: input.length().unwrap_or(0) };
            let (length, _) = target.fill(|writer| labs::open(input, writer, &key, memory)).map_err(failed)?;
            Ok(Said {
                human: format!("opened {length} bytes as {place}"),
                json: json!({ "out": args.out.display().to_string(), "layout": args.common.layout.name(), "length": length }),
            })
        }
    }
}

/// What whoever opens a file has.
enum Held {
    Content(SecretBytes),
    Kek(Kek),
}

impl Held {
    fn for_file(&self, key: &ContentKey) -> Result<SecretBytes, SealedError> {
        match self {
            Self::Content(content) => Ok(content.clone()),
            Self::Kek(kek) => kek.unwrap(key),
        }
    }
}

/// What the library found, as a problem.
pub(super) fn problem(error: SealedError, file: &Path, out: &Path) -> Problem {
    let (file, out) = (safe(&file.display().to_string()), safe(&out.display().to_string()));
    let code = match &error {
        SealedError::Read(e) => {
            return Problem::new(codes::FILE_UNUSABLE, format!("`{file}` can't be read")).because(e.to_string());
        }
        SealedError::Write(e) => {
            return Problem::new(codes::FILE_UNUSABLE, format!("`{out}` can't be written")).because(e.to_string());
        }
        SealedError::NotSealed | SealedError::Version(_) | SealedError::Header(_) => codes::NOT_SEALED,
        SealedError::HeaderValue(_) => codes::USAGE,
        SealedError::KeyLength(_) | SealedError::Kek(_) => codes::KEY_FILE,
        SealedError::Unwrap | SealedError::Commitment => codes::SEALED_KEY,
        SealedError::Chunk(_) | SealedError::Truncated | SealedError::Appended | SealedError::Message => {
            codes::SEALED_CHANGED
        }
        SealedError::Length { .. } => codes::FILE_UNUSABLE,
        SealedError::TooLong | SealedError::Memory { .. } => codes::FILE_TOO_LARGE,
        _ => codes::INTERNAL,
    };
    let problem = Problem::new(code, format!("`{file}`: {error}"));
    match error {
        SealedError::HeaderValue(_) => problem.fix("--no-name leaves the file's name out"),
        SealedError::NotSealed => problem.fix("a file of the labs is opened with --layout labs"),
        SealedError::Length { .. } => problem.because("the file changed while it was read").fix("seal it again"),
        SealedError::Memory { .. } => problem.fix("--memory GIB, or seal without --layout labs"),
        _ => problem,
    }
}

/// Refuses arguments that do not go together.
fn fits(global: &Global, file: &Path, out: &Path, common: &CommonArgs, kek: Option<&Path>) -> Result<(), Failure> {
    if is_dash(file) && [common.key.as_deref(), kek].into_iter().flatten().any(is_dash) {
        return Err(usage("only one of the file and the key can come from standard input"));
    }
    if is_dash(out) && global.output == Output::Json {
        return Err(usage("--output json and --out - both want standard output"));
    }
    match common.layout {
        LayoutChoice::Cobblestone if common.wrapped.is_some() => {
            Err(usage("--wrapped goes with --layout labs: a sealed file holds its wrapped key itself"))
        }
        LayoutChoice::Labs if kek.is_some() != common.wrapped.is_some() => {
            Err(usage("with --layout labs, --kek and --wrapped go together: the wrapped key has its own file"))
        }
        _ => Ok(()),
    }
}

fn is_dash(path: &Path) -> bool {
    path == Path::new("-")
}

fn usage(what: &str) -> Failure {
    Problem::new(codes::USAGE, what).into()
}

fn shows_progress(global: &Global) -> bool {
    ui::decide(global, Surroundings::read()).mode == Mode::Rich
}

/// Does the work on a thread of its own. When somebody stops it (Ctrl-C), what was begun is removed.
async fn unless_stopped(
    work: impl FnOnce(Arc<AtomicBool>) -> Result<Said, Problem> + Send + 'static,
) -> Result<Said, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let mut done = tokio::task::spawn_blocking(move || work(seen));
    let joined = tokio::select! {
        joined = &mut done => joined,
        Ok(()) = signals::stop_requested() => {
            stop.store(true, Ordering::Relaxed);
            let left = tokio::select! {
                _ = &mut done => "nothing half-written was left behind",
                // It waits for input that may never come.
                Ok(()) = signals::stop_requested() => "a hidden file that ends in .part may be left",
            };
            return Err(Problem::new(codes::INTERRUPTED, format!("stopped; {left}")).into());
        }
    };
    match joined {
        Ok(result) => Ok(result?),
        Err(e) => Err(Problem::new(codes::INTERNAL, "the work ended early").because(e.to_string()).into()),
    }
}

fn report(global: &Global, to_stdout: bool, said: Said) {
    match (global.output, to_stdout) {
        (Output::Json, _) => out::json(&said.json),
        (Output::Human, true) => out::note(&said.human),
        (Output::Human, false) => out::data(&said.human),
    }
}

/// A path for a file in the making, beside where it will stand.
fn draft_path(path: &Path) -> PathBuf {
    let suffix = hex::encode(sealbook_crypto::random::<8>());
    path.with_file_name(format!(".{suffix}.part"))
}
