//! Arguments of `seal` and `open`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// How a file is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LayoutChoice {
    /// A sealed file: Cobblestone-256 in an envelope that holds the wrapped key (docs/sealed-file.md).
    Cobblestone,
    /// What the published labs write: one AES-256-GCM message, and the wrapped key in a file of its own.
    Labs,
}

impl LayoutChoice {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cobblestone => "cobblestone",
            Self::Labs => "labs",
        }
    }
}

#[derive(Debug, Args)]
pub struct SealArgs {
    /// The file to seal; `-` is standard input.
    pub file: PathBuf,
    /// Where the sealed file goes; `-` is standard output.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// The key encryption key: a new content key is made and wrapped with it. A public key as PEM or JSON Web Key, or
    /// as `az keyvault key show` prints it; an AES key of 32 bytes.
    #[arg(long, value_name = "FILE")]
    pub kek: Option<PathBuf>,
    /// The id of that key, such as its address in Key Vault; told to whoever opens the file.
    #[arg(long, value_name = "ID")]
    pub kid: Option<String>,
    /// The media type to note in the header, such as text/csv.
    #[arg(long, value_name = "TYPE")]
    pub media_type: Option<String>,
    /// Do not note the file's name in the header, which anyone can read.
    #[arg(long)]
    pub no_name: bool,
    #[command(flatten)]
    pub common: CommonArgs,
}

#[derive(Debug, Args)]
pub struct OpenArgs {
    /// The file to open; `-` is standard input.
    pub file: PathBuf,
    /// Where the content goes; `-` is standard output, which gets verified chunks as they come: only exit code 0 says
    /// that it got all.
    #[arg(long, short, value_name = "FILE")]
    pub out: PathBuf,
    /// The key encryption key that unwraps the content key: a private key as PEM or JSON Web Key, or an AES key of 32
    /// bytes, in a file that only you can read; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub kek: Option<PathBuf>,
    #[command(flatten)]
    pub common: CommonArgs,
}

/// What `seal` and `open` share: the key, the layout, the file.
#[derive(Debug, Args)]
pub struct CommonArgs {
    /// The content key: 32 raw bytes or a JSON Web Key, in a file that only you can read; `-` is standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "kek", conflicts_with = "kek")]
    pub key: Option<PathBuf>,
    /// How the file is laid out.
    #[arg(long, value_enum, default_value_t = LayoutChoice::Cobblestone)]
    pub layout: LayoutChoice,
    /// With --layout labs and --kek: the file of the wrapped key, raw.
    #[arg(long, value_name = "FILE")]
    pub wrapped: Option<PathBuf>,
    /// Replace files that exist.
    #[arg(long)]
    pub force: bool,
    /// With --layout labs: how much may be held in memory, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub memory: u64,
}
