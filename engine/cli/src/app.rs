//! What every command needs: the home, the machine's policy, the way of showing things. Effects at the edge.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use sealbook_crypto::SecretBytes;
use sealbook_engine::home::Home;
use sealbook_engine::host::{Runtime, RuntimeSettings};
use sealbook_model::id::Digest;
use sealbook_model::policy::Policy;
use sealbook_model::problem::{Problem, codes};
use serde_json::json;

use crate::args::{Global, Output};
use crate::hooks::Hooks;
use crate::library::Rejected;
use crate::machines::Machines;
use crate::out;
use crate::render::problem;
use crate::render::text::Line;
use crate::ui::{self, Mode, Surroundings, Ui};

/// Why a command failed.
pub enum Failure {
    /// One problem.
    Problem(Problem),
    /// A playbook's problems.
    Rejected(Rejected),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl Failure {
    /// The first problem in words.
    pub fn problem(&self) -> String {
        match self {
            Self::Problem(p) => p.to_string(),
            Self::Rejected(r) => r.problems.first().map(ToString::to_string).unwrap_or_default(),
        }
    }

    /// Shows it (as one JSON line on stdout where programs listen), and returns its exit code.
    pub fn report(&self, ui: &Ui) -> u8 {
        let none = BTreeMap::new();
        let (problems, files) = match self {
            Self::Problem(p) => (std::slice::from_ref(p), &none),
            Self::Rejected(r) => (r.problems.as_slice(), &r.files),
        };
        if ui.mode == Mode::Json {
            out::json_line(&json!({ "problems": problems }));
        } else {
            problems.iter().for_each(|p| out::note(&problem::render(p, files, ui)));
        }
        problems.first().map_or(1, Problem::exit_code)
    }
}

/// The surroundings of a command.
pub struct App {
    ui: Ui,
    output: Output,
    home: Arc<Home>,
    policy: Policy,
    hooks: Hooks,
    machines: Arc<Machines>,
}

impl App {
    /// Opens the home and reads the machine's policy, without which nothing is done.
    pub fn open(global: Global) -> Result<Self, Failure> {
        Self::open_with(global, read_policy()?)
    }

    /// Opens the home under a given policy.
    pub fn open_with(global: Global, policy: Policy) -> Result<Self, Failure> {
        let ui = ui::decide(&global, Surroundings::read());
        let root = match global.home.filter(|h| !h.as_os_str().is_empty()) {
            Some(root) => root,
            None => default_home()?,
        };
        let home = Arc::new(Home::open(root)?);
        let machines = Arc::new(Machines::new(home.cloud_dir()));
        Ok(Self { ui, output: global.output, home, policy, hooks: Hooks::from_environment(), machines })
    }

    /// How to show things.
    pub fn ui(&self) -> Ui {
        self.ui
    }

    /// For people or for programs.
    pub fn output(&self) -> Output {
        self.output
    }

    /// The home.
    pub fn home(&self) -> Arc<Home> {
        self.home.clone()
    }

    /// The machine's policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The tests' hooks; inert in a release build.
    pub fn hooks(&self) -> Hooks {
        self.hooks.clone()
    }

    /// Where virtual machines of the embedded Azure become processes.
    pub fn machines(&self) -> Arc<Machines> {
        self.machines.clone()
    }

    /// The engine that runs components, with the home's cache of compiled ones.
    pub fn runtime(&self) -> Result<Arc<Runtime>, Problem> {
        let home = self.home.clone();
        let settings = RuntimeSettings {
            cache: Some(self.home.cache_dir()),
            cache_key: SecretBytes::from(self.home.derive("compiled components").to_vec()),
            components: Arc::new(move |digest: &Digest| home.store().get(digest).ok()),
        };
        Runtime::new(settings).map_err(|e| {
            Problem::new(codes::COMPONENT_INVALID, "WebAssembly can't run on this machine").because(e.to_string())
        })
    }

    /// Prints lines to stdout.
    pub fn data(&self, lines: &[Line]) {
        let text: Vec<String> =
            lines.iter().map(|l| l.layout(100, self.ui.color && ui::stdout_is_terminal())).collect();
        out::data(&text.join("\n"));
    }
}

/// The platform's folder for state: `$XDG_STATE_HOME/sealbook`, else `~/.local/state/sealbook`; on macOS
/// `~/Library/Application Support/sealbook`.
fn default_home() -> Result<PathBuf, Problem> {
    folder("XDG_STATE_HOME", ".local/state").ok_or_else(|| {
        Problem::new(codes::HOME_UNUSABLE, "there is no folder for Sealbook's state")
            .because("HOME is not set")
            .fix("name one: --home FOLDER or SEALBOOK_HOME")
    })
}

/// Where the machine's policy stands, if there is one.
pub fn policy_file() -> Option<PathBuf> {
    Some(folder("XDG_CONFIG_HOME", ".config")?.join("policy.toml"))
}

fn folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = match set(variable).filter(|p| p.is_absolute()) {
        Some(base) => base,
        None if cfg!(target_os = "macos") => set("HOME")?.join("Library/Application Support"),
        None => set("HOME")?.join(below_home),
    };
    Some(base.join("sealbook"))
}

/// The machine owner's policy: `policy.toml` in the configuration folder. None there: the default.
pub fn read_policy() -> Result<Policy, Failure> {
    let Some(path) = policy_file() else { return Ok(Policy::default()) };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Policy::default()),
        // An unreadable policy must not become no policy.
        Err(e) => {
            return Err(Problem::new(codes::BAD_POLICY, format!("`{}` can't be read", path.display()))
                .because(e.to_string())
                .into());
        }
    };
    let file = path.display().to_string();
    Policy::parse(&file, &text)
        .map_err(|problems| Failure::Rejected(Rejected { problems, files: BTreeMap::from([(file, text)]) }))
}
