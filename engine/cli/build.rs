//! Builds the standard plugins for wasm32-wasip2 and embeds them, with the playbooks and the pages of the problem
//! codes, into the binary.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

type Outcome<T> = Result<T, String>;

fn main() {
    if let Err(message) = build() {
        // A build script has one way to speak to the person who builds: cargo shows these lines with the failure.
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn build() -> Outcome<()> {
    let root = Path::new(&variable("CARGO_MANIFEST_DIR")?).join("../..");
    let out = PathBuf::from(variable("OUT_DIR")?);
    for watched in ["plugins", "playbooks", "wit", "docs/errors", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", root.join(watched).display());
    }
    let plugins = plugins(&root)?;
    let built = compile(&root, &out, &plugins)?;

    let mut code = String::from(
        "/// Name, version and component of every standard plugin.\npub static PLUGINS: &[(&str, &str, &[u8])] = &[\n",
    );
    for plugin in &plugins {
        let wasm = built.join(format!("{}.wasm", plugin.package.replace('-', "_")));
        let _ = writeln!(code, "    ({:?}, {:?}, include_bytes!({wasm:?})),", plugin.name, plugin.version);
    }
    code.push_str("];\n/// Path below `playbooks/` and text of every file of the standard playbooks.\npub static PLAYBOOKS: &[(&str, &str)] = &[\n");
    embed(&root.join("playbooks"), &["toml", "md"], &mut code)?;
    code.push_str("];\n/// Path and text of every problem code's page.\npub static PAGES: &[(&str, &str)] = &[\n");
    embed(&root.join("docs/errors"), &["md"], &mut code)?;
    code.push_str("];\n");
    fs::write(out.join("assets.rs"), code).map_err(|e| format!("could not write the assets: {e}"))
}

struct Plugin {
    name: String,
    package: String,
    version: String,
}

/// The folders of `plugins/` other than the SDK, by what their manifests say.
fn plugins(root: &Path) -> Outcome<Vec<Plugin>> {
    let mut found = Vec::new();
    for entry in read_dir(&root.join("plugins"))? {
        let name = file_name(&entry);
        let manifest = entry.join("Cargo.toml");
        if name == "sdk" || !manifest.exists() {
            continue;
        }
        let text = fs::read_to_string(&manifest).map_err(|e| format!("{}: {e}", manifest.display()))?;
        let table: toml::Table = text.parse().map_err(|e| format!("{}: {e}", manifest.display()))?;
        let package = &table["package"];
        let field = |key: &str| package.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let version = field("version").unwrap_or_else(|| env::var("CARGO_PKG_VERSION").unwrap_or_default());
        found.push(Plugin { name, package: field("name").ok_or("a plugin without a name")?, version });
    }
    Ok(found)
}

/// Compiles them with a cargo of its own, in a target folder of its own beside the profile's, so that neither waits
/// for the other's lock. Returns where the components lie.
fn compile(root: &Path, out: &Path, plugins: &[Plugin]) -> Outcome<PathBuf> {
    // OUT_DIR is `<target>/<profile>/build/<package>/out`.
    let target = out.ancestors().nth(4).ok_or("OUT_DIR is not where cargo puts it")?.join("plugins");
    let mut cargo = Command::new(variable("CARGO")?);
    cargo.current_dir(root).args([
        "build",
        "--locked",
        "--target",
        "wasm32-wasip2",
        "--profile",
        "plugin",
        "--target-dir",
    ]);
    cargo.arg(&target);
    for plugin in plugins {
        cargo.args(["--package", &plugin.package]);
    }
    // What is meant for the host's compiler must not reach this one.
    for (key, _) in env::vars() {
        if key == "RUSTFLAGS"
            || key == "CARGO_ENCODED_RUSTFLAGS"
            || key.starts_with("RUSTC_")
            || key.starts_with("CARGO_PROFILE_")
            || key == "CARGO_BUILD_TARGET"
            || key == "CARGO_TARGET_DIR"
        {
            cargo.env_remove(key);
        }
    }
    let output = cargo.output().map_err(|e| format!("could not start cargo for the plugins: {e}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let cure = if said.contains("may not be installed")
            || said.contains("can't find crate for `core`")
            || said.contains("can't find crate for `std`")
        {
            "\nThe target for plugins is missing. Install it: rustup target add wasm32-wasip2"
        } else {
            ""
        };
        return Err(format!("the standard plugins did not compile for wasm32-wasip2:\n{said}{cure}"));
    }
    Ok(target.join("wasm32-wasip2/plugin"))
}

/// Appends `(relative path, text)` for every file below `folder` with one of the `endings`.
fn embed(folder: &Path, endings: &[&str], code: &mut String) -> Outcome<()> {
    let mut open = vec![folder.to_path_buf()];
    let mut files = Vec::new();
    while let Some(at) = open.pop() {
        for path in read_dir(&at)? {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| endings.iter().any(|x| e == *x)) {
                files.push(path);
            }
        }
    }
    files.sort();
    for path in files {
        let relative = path.strip_prefix(folder).map_err(|e| e.to_string())?.to_string_lossy().replace('\\', "/");
        let _ = writeln!(code, "    ({relative:?}, include_str!({path:?})),");
    }
    Ok(())
}

fn read_dir(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|_| format!("cargo did not set {name}"))
}
