//! Finds a playbook, standard or on disk, and compiles it with the plugins it names: the standard ones, and those that
//! lie in `plugins/` beside it, `<name>@<version>.wasm`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealbook_engine::home::Home;
use sealbook_engine::host::Runtime;
use sealbook_engine::run::Plugin;
use sealbook_model::id::Digest;
use sealbook_model::journal::RunStarted;
use sealbook_model::playbook::{Bundle, Lab, compile};
use sealbook_model::plugin::{Description, PluginRef};
use sealbook_model::policy::Policy;
use sealbook_model::problem::{Problem, closest, codes};

use crate::assets;

/// Largest file of a playbook, in bytes.
const FILE_MAX: u64 = 4 << 20;
/// Largest component beside a playbook, in bytes.
const COMPONENT_MAX: u64 = 16 << 20;

/// A compiled playbook and what it was compiled from.
pub struct Loaded {
    /// The playbook's files.
    pub bundle: Bundle,
    /// Its plugins.
    pub plugins: BTreeMap<PluginRef, Plugin>,
    /// The compiled playbook.
    pub lab: Lab,
    /// How its files are called on disk.
    shown: Option<Shown>,
}

impl Loaded {
    /// The file that it was read from; none: it is a standard one.
    pub fn source(&self) -> Option<String> {
        let shown = self.shown.as_ref()?;
        let name = self.bundle.root.rsplit('/').next()?;
        Some(shown.folder.join(name).to_string_lossy().into_owned())
    }

    /// Problems that came up after compiling, with the files that their spans point into.
    pub fn rejected(&self, problems: Vec<Problem>) -> Rejected {
        Rejected::new(problems, self.bundle.files.clone(), self.shown.as_ref())
    }
}

/// A playbook's files are called by its folder's name inside; people know them by the path that they typed.
struct Shown {
    own: String,
    folder: PathBuf,
    typed: PathBuf,
}

impl Shown {
    fn path(&self, file: &str) -> String {
        match file.strip_prefix(&self.own).and_then(|rest| rest.strip_prefix('/')) {
            Some(rest) => self.typed.join(rest).to_string_lossy().into_owned(),
            // A part that lies beside the playbook's folder; the others are standard ones.
            None if self.folder.parent().is_some_and(|beside| beside.join(file).is_file()) => {
                let beside = self.typed.parent().unwrap_or(Path::new(".."));
                beside.join(file).to_string_lossy().into_owned()
            }
            None => file.to_owned(),
        }
    }
}

/// What went wrong, with the files that the spans point into.
pub struct Rejected {
    /// All problems, in source order.
    pub problems: Vec<Problem>,
    /// The files they speak of.
    pub files: BTreeMap<String, String>,
}

impl Rejected {
    fn new(mut problems: Vec<Problem>, mut files: BTreeMap<String, String>, shown: Option<&Shown>) -> Self {
        if let Some(shown) = shown {
            for span in problems.iter_mut().filter_map(|problem| problem.span.as_mut()) {
                span.file = shown.path(&span.file);
            }
            files = files.into_iter().map(|(file, text)| (shown.path(&file), text)).collect();
        }
        Self { problems, files }
    }
}

impl From<Problem> for Rejected {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], files: BTreeMap::new() }
    }
}

/// A playbook's files, and where they lie on disk; a standard one lies nowhere.
struct Found {
    bundle: Bundle,
    roots: Option<Roots>,
}

/// Gathers the files of a playbook: a standard one by its id, else a path to a folder or to a `playbook.toml`.
fn find(name: &str) -> Result<Found, Problem> {
    let standard = format!("{name}/playbook.toml");
    if assets::playbook_file(&standard).is_some() {
        let bundle = Bundle::gather(&standard, &mut |path| assets::playbook_file(path).map(str::to_owned));
        return Ok(Found { bundle, roots: None });
    }
    let path = Path::new(name);
    let file = if path.is_dir() { path.join("playbook.toml") } else { path.to_path_buf() };
    if !file.is_file() {
        let problem = Problem::new(codes::UNKNOWN_PLAYBOOK, format!("there is no playbook `{name}`"));
        return Err(match closest(name, assets::playbooks()) {
            Some(near) => problem.fix(format!("did you mean `{near}`? `sealbook list` shows all of them")),
            None => {
                problem.fix("`sealbook list` shows the standard ones; a path may name a folder with a playbook.toml")
            }
        });
    }
    let file = file.canonicalize().map_err(|e| unreadable(&file, &e))?;
    let (Some(folder), Some(file_name)) = (file.parent(), file.file_name()) else {
        return Err(Problem::new(codes::UNKNOWN_PLAYBOOK, format!("`{name}` is not a playbook's path")));
    };
    let id = folder.file_name().map_or_else(|| "playbook".to_owned(), |n| n.to_string_lossy().into_owned());
    let root = format!("{id}/{}", file_name.to_string_lossy());
    let typed = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let typed = typed.strip_prefix(".").unwrap_or(typed).to_path_buf();
    let roots = Roots { own: id, folder: folder.to_path_buf(), typed };
    Ok(Found { bundle: Bundle::gather(&root, &mut |path| roots.text(path)), roots: Some(roots) })
}

/// What has changed in a run's playbook since the run began, in words. A run goes on with the playbook as it was.
pub fn changes(home: &Home, started: &RunStarted) -> Vec<String> {
    let stored = home.store().get(&started.bundle).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(before) = stored.and_then(|text| Bundle::from_json(&text).ok()) else { return Vec::new() };
    match (find(started.source.as_deref().unwrap_or(&started.playbook)), &started.source) {
        (Ok(found), _) => before.changes(&found.bundle),
        (Err(_), Some(source)) => vec![format!("{source} is gone")],
        // An older journal does not say where its playbook was.
        (Err(_), None) => Vec::new(),
    }
}

/// Where the files of a playbook on disk lie: its own beside it, parts in `parts/` beside the playbook's folder, else
/// the standard ones.
struct Roots {
    own: String,
    folder: PathBuf,
    /// The folder as it was typed.
    typed: PathBuf,
}

impl Roots {
    /// A file of the playbook; none when there is no such file, or none that may be read.
    fn text(&self, path: &str) -> Option<String> {
        // Names come from the playbook: they must stay below the folders.
        if path.split('/').any(|s| s.is_empty() || s == "." || s == "..") || path.contains('\\') {
            return None;
        }
        let on_disk = match path.strip_prefix(&self.own).and_then(|p| p.strip_prefix('/')) {
            Some(own) => self.folder.join(own),
            None => self.folder.parent()?.join(path),
        };
        // What is no UTF-8 becomes U+FFFD, which the compiler refuses with its place.
        let own = self.read(&on_disk, FILE_MAX).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        own.or_else(|| assets::playbook_file(path).map(str::to_owned))
    }

    /// The component of a plugin that comes with the playbook; none when none lies there. One that can't be used is a
    /// problem, never a reason to take the standard plugin of the same name.
    fn plugin(&self, reference: &PluginRef) -> Result<Option<Arc<[u8]>>, Problem> {
        let path = self.folder.join("plugins").join(format!("{reference}.wasm"));
        match self.read(&path, COMPONENT_MAX) {
            Ok(bytes) => Ok(Some(Arc::from(bytes))),
            Err(e) if e.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&path).is_err() => Ok(None),
            Err(e) => Err(Problem::new(codes::COMPONENT_INVALID, format!("`{}` can't be used", path.display()))
                .because(e.to_string())
                .fix("put a component there, or take the file away")),
        }
    }

    /// Reads a plain file that really lies below the playbook's folder, or beside it in `parts/`: no link leads out, no
    /// device is read for ever, and what is judged is the handle that is read.
    fn read(&self, path: &Path, max: u64) -> io::Result<Vec<u8>> {
        let path = path.canonicalize()?;
        let parts = self.folder.parent().map(|p| p.join("parts"));
        if !path.starts_with(&self.folder) && !parts.is_some_and(|p| path.starts_with(p)) {
            return Err(io::Error::other("it is a link that leads out of the playbook's folder"));
        }
        read_plain(&path, max)
    }
}

fn read_plain(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    // Opening a pipe would wait for a writer.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NONBLOCK | libc::O_NOFOLLOW);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no plain file"));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(codes::UNKNOWN_PLAYBOOK, format!("`{}` can't be read", path.display())).because(error.to_string())
}

/// Compiles a bundle, asking each plugin it names what it is. A plugin that the machine's policy does not admit is not
/// even asked.
pub async fn load(name: &str, runtime: &Arc<Runtime>, policy: &Policy) -> Result<Loaded, Rejected> {
    let Found { bundle, roots } = find(name)?;
    let mut described = Vec::new();
    // What is no reference, or names no plugin, is the compiler's to report, with its place in the file.
    for reference in bundle.plugins().into_iter().filter_map(|r| r.parse::<PluginRef>().ok()) {
        let own = roots.as_ref().map_or(Ok(None), |roots| roots.plugin(&reference))?;
        let built_in = own.is_none();
        let Some(component) = own.or_else(|| assets::plugin(&reference)) else { continue };
        policy.admits_plugin(&reference, &Digest::of(&component), built_in)?;
        // A component that this home has not met is compiled first: all of them at once, on all cores.
        let runtime = runtime.clone();
        described.push(tokio::spawn(async move {
            let description = describe(&runtime, &component).await?;
            Ok::<_, Problem>((reference, Plugin { component, description, built_in }))
        }));
    }
    let mut plugins = BTreeMap::new();
    if described.len() < bundle.plugins().len() {
        // Some name means nothing: then the compiler needs all names, to say what may have been meant.
        for reference in assets::plugins().filter_map(|r| r.parse::<PluginRef>().ok()) {
            let Some(component) = assets::plugin(&reference) else { continue };
            let description = describe(runtime, &component).await?;
            plugins.insert(reference, Plugin { component, description, built_in: true });
        }
    }
    for task in described {
        let (reference, plugin) = task
            .await
            .map_err(|e| Problem::new(codes::INTERNAL, "a plugin could not be loaded").because(e.to_string()))??;
        plugins.insert(reference, plugin);
    }
    let descriptions: BTreeMap<String, Description> =
        plugins.iter().map(|(k, p)| (k.to_string(), p.description.clone())).collect();
    let shown = roots.map(|roots| Shown { own: roots.own, folder: roots.folder, typed: roots.typed });
    match compile(&bundle, &descriptions) {
        Ok(lab) => Ok(Loaded { bundle, plugins, lab, shown }),
        Err(problems) => Err(Rejected::new(problems, bundle.files, shown.as_ref())),
    }
}

/// What a component says of itself.
pub async fn describe(runtime: &Arc<Runtime>, component: &Arc<[u8]>) -> Result<Description, Problem> {
    runtime
        .describe_bytes(component)
        .await
        .map_err(|failure| Problem::new(codes::COMPONENT_INVALID, format!("a plugin could not be loaded: {failure}")))
}
