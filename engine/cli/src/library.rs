//! Finds a playbook, standard or on disk, and compiles it with the plugins it names.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealbook_engine::host::Runtime;
use sealbook_engine::run::Plugin;
use sealbook_model::playbook::{Bundle, Lab, compile};
use sealbook_model::plugin::{Description, PluginRef};
use sealbook_model::problem::{Problem, closest, codes};

use crate::assets;

/// Largest file of a playbook, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// A compiled playbook and what it was compiled from.
pub struct Loaded {
    /// The playbook's files.
    pub bundle: Bundle,
    /// Its plugins.
    pub plugins: BTreeMap<PluginRef, Plugin>,
    /// The compiled playbook.
    pub lab: Lab,
}

/// What went wrong, with the files that the spans point into.
pub struct Rejected {
    /// All problems, in source order.
    pub problems: Vec<Problem>,
    /// The files they speak of.
    pub files: BTreeMap<String, String>,
}

impl From<Problem> for Rejected {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem], files: BTreeMap::new() }
    }
}

/// Gathers the files of a playbook: a standard one by its id, else a path to a folder or to a `playbook.toml`.
pub fn find(name: &str) -> Result<Bundle, Problem> {
    let standard = format!("{name}/playbook.toml");
    if assets::playbook_file(&standard).is_some() {
        return Ok(Bundle::gather(&standard, &mut |path| assets::playbook_file(path).map(str::to_owned)));
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
    fs::read_to_string(&file).map_err(|e| unreadable(&file, &e))?;
    let id = folder.file_name().map_or_else(|| "playbook".to_owned(), |n| n.to_string_lossy().into_owned());
    let root = format!("{id}/{}", file_name.to_string_lossy());
    let roots = Roots { own: id, folder: folder.to_path_buf() };
    Ok(Bundle::gather(&root, &mut |path| roots.read(path)))
}

/// Where the files of a playbook on disk lie: its own beside it, parts in `parts/` beside the playbook's folder, else
/// the standard ones.
struct Roots {
    own: String,
    folder: PathBuf,
}

impl Roots {
    fn read(&self, path: &str) -> Option<String> {
        // Names come from the playbook: they must stay below the folders.
        if path.split('/').any(|s| s.is_empty() || s == "." || s == "..") || path.contains('\\') {
            return None;
        }
        let on_disk = match path.strip_prefix(&self.own).and_then(|p| p.strip_prefix('/')) {
            Some(own) => self.folder.join(own),
            None => self.folder.parent()?.join(path),
        };
        self.read_below(&on_disk).or_else(|| assets::playbook_file(path).map(str::to_owned))
    }

    /// Reads a plain file that really lies below the playbook's folder, or beside it in `parts/`: no link leads out, no
    /// device is read for ever.
    fn read_below(&self, path: &Path) -> Option<String> {
        let path = path.canonicalize().ok()?;
        let parts = self.folder.parent().map(|p| p.join("parts"));
        let inside = path.starts_with(&self.folder) || parts.is_some_and(|p| path.starts_with(p));
        let small = fs::metadata(&path).is_ok_and(|m| m.is_file() && m.len() <= FILE_MAX);
        if inside && small { fs::read_to_string(path).ok() } else { None }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(codes::UNKNOWN_PLAYBOOK, format!("`{}` can't be read", path.display())).because(error.to_string())
}

/// Compiles a bundle, asking each plugin it names what it is.
pub async fn load(name: &str, runtime: &Arc<Runtime>) -> Result<Loaded, Rejected> {
    let bundle = find(name)?;
    // What is no reference, or names no plugin, is the compiler's to report, with its place in the file.
    let references = bundle.plugins().into_iter().filter_map(|r| r.parse::<PluginRef>().ok());
    let components = references.filter_map(|r| assets::plugin(&r).map(|component| (r, component)));
    // A component that this home has not met is compiled first: all of them at once, on all cores.
    let described = components.map(|(reference, component)| {
        let runtime = runtime.clone();
        tokio::spawn(async move {
            let description = describe(&runtime, &component).await?;
            Ok::<_, Problem>((reference, Plugin { component, description, built_in: true }))
        })
    });
    let mut plugins = BTreeMap::new();
    for task in described.collect::<Vec<_>>() {
        let (reference, plugin) = task
            .await
            .map_err(|e| Problem::new(codes::INTERNAL, "a plugin could not be loaded").because(e.to_string()))??;
        plugins.insert(reference, plugin);
    }
    let descriptions: BTreeMap<String, Description> =
        plugins.iter().map(|(k, p)| (k.to_string(), p.description.clone())).collect();
    match compile(&bundle, &descriptions) {
        Ok(lab) => Ok(Loaded { bundle, plugins, lab }),
        Err(problems) => Err(Rejected { problems, files: bundle.files }),
    }
}

/// What a component says of itself.
pub async fn describe(runtime: &Arc<Runtime>, component: &Arc<[u8]>) -> Result<Description, Problem> {
    runtime
        .describe_bytes(component)
        .await
        .map_err(|failure| Problem::new(codes::COMPONENT_INVALID, format!("a plugin could not be loaded: {failure}")))
}
