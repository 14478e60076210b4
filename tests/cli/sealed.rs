//! `seal` and `open` on real files: what appears, what does not, and what is said.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use sealbook_crypto::rsa::{RsaBits, RsaKey};
use sealbook_crypto::sealed::{self, ContentKey, Header};
use sealbook_crypto::{SecretBytes, random_bytes};

use crate::support::{Done, Lab};

/// A folder with data and keys, and the binary.
struct Desk {
    lab: Lab,
}

impl Desk {
    fn new() -> Self {
        let desk = Self { lab: Lab::empty() };
        desk.file("data.csv", &random_bytes(100_000));
        desk.file("dek.bin", &[0x20; 32]);
        desk.file("other.bin", &[0x21; 32]);
        desk.file("aes.bin", &[0x22; 32]);
        let pair = RsaKey::generate(RsaBits::B2048);
        desk.file("kek.key", pem("PRIVATE KEY", pair.to_pkcs8().expose()).as_bytes());
        let public = pair.public();
        let [n, e] = [base64url(&public.n), base64url(&public.e)];
        let kid = "https://lab.vault.azure.net/keys/kek/0123";
        desk.file("kek.json", format!(r#"{{"key":{{"kty":"RSA-HSM","kid":"{kid}","n":"{n}","e":"{e}"}}}}"#).as_bytes());
        open_to_all(&desk.path("kek.json"));
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.lab.home().join(name)
    }

    fn file(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
        close(&self.path(name));
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// Runs a command whose arguments are separated by spaces, in the folder.
    fn run(&self, line: &str) -> Done {
        self.lab.run_in(self.lab.home(), &line.split(' ').collect::<Vec<_>>())
    }

    /// Runs it with standard input.
    fn pipe(&self, line: &str, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
        let mut command = self.lab.command(&line.split(' ').collect::<Vec<_>>());
        command.current_dir(self.lab.home()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // Who refuses early reads nothing.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let done = child.wait_with_output().unwrap();
        feeder.join().unwrap();
        (done.status.code(), done.stdout, String::from_utf8_lossy(&done.stderr).into_owned())
    }

    /// Files that are there, without those that every desk has.
    fn made(&self) -> Vec<String> {
        let given = ["data.csv", "dek.bin", "other.bin", "aes.bin", "kek.key", "kek.json"];
        let names = fs::read_dir(self.lab.home()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| !given.contains(&name.as_str())).collect();
        names.sort();
        names
    }
}

fn base64url(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    // Three bytes are four characters: enough of an encoder for keys.
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - group.len()));
        for at in 0..=group.len() {
            write!(out, "{}", DIGITS[(number >> (18 - 6 * at) & 63) as usize] as char).unwrap();
        }
    }
    out
}

fn pem(label: &str, der: &[u8]) -> String {
    let mut text = base64url(der).replace('-', "+").replace('_', "/");
    text.extend(std::iter::repeat_n('=', (4 - text.len() % 4) % 4));
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

#[cfg(unix)]
fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn mode(_: &Path, _: u32) {}

fn close(path: &Path) {
    mode(path, 0o600);
}

fn open_to_all(path: &Path) {
    mode(path, 0o644);
}

#[test]
fn what_is_sealed_opens_with_each_kind_of_key() {
    let desk = Desk::new();
    for (to, with, kid) in [
        ("--key dek.bin", "--key dek.bin", None),
        ("--key dek.bin --kid mine", "--key dek.bin", Some("mine")),
        ("--kek kek.json", "--kek kek.key", Some("https://lab.vault.azure.net/keys/kek/0123")),
        ("--kek kek.key --kid k2", "--kek kek.key", Some("k2")),
        ("--kek aes.bin", "--kek aes.bin", None),
    ] {
        let said = desk.run(&format!("--output json seal data.csv --out data.sealed --force {to}")).expect(0).json();
        assert_eq!((said["length"].as_u64(), said["kid"].as_str()), (Some(100_000), kid), "{to}");
        assert_eq!(said["sealed_length"], desk.read("data.sealed").len(), "{to}");
        let said = desk.run(&format!("--output json open data.sealed --out back --force {with}")).expect(0).json();
        assert_eq!((said["name"].as_str(), said["kid"].as_str()), (Some("data.csv"), kid), "{with}");
        assert!(desk.read("back") == desk.read("data.csv"), "{to}");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(desk.path("back")).unwrap().permissions().mode() & 0o777,
            0o600,
            "what is opened is private"
        );
    }
    assert_eq!(desk.made(), ["back", "data.sealed"]);
    let human = desk.run("seal data.csv --out other.sealed --kek kek.json --no-name --media-type text/csv").expect(0);
    assert!(human.stdout.starts_with("sealed 100000 bytes as other.sealed"), "{}", human.stdout);
    let (header, _) = Header::read(&mut &desk.read("other.sealed")[..]).unwrap();
    assert_eq!((header.name, header.media_type.as_deref(), header.length), (None, Some("text/csv"), Some(100_000)));
}

#[test]
fn the_layout_of_the_labs_goes_both_ways() {
    let desk = Desk::new();
    let labs = "--layout labs --wrapped data.key --force";
    desk.run(&format!("seal data.csv --out data.enc --kek kek.json {labs}")).expect(0);
    assert_eq!((desk.read("data.enc").len(), desk.read("data.key").len()), (100_028, 256));
    desk.run(&format!("open data.enc --out back --kek kek.key {labs}")).expect(0);
    assert!(desk.read("back") == desk.read("data.csv"));
    desk.run("seal data.csv --out data.enc --key dek.bin --layout labs --force").expect(0);
    desk.run("open data.enc --out back --key dek.bin --layout labs --force").expect(0);
    assert!(desk.read("back") == desk.read("data.csv"));

    let mut changed = desk.read("data.enc");
    changed[50_000] ^= 1;
    desk.file("bad.enc", &changed);
    let refused = desk.run("open bad.enc --out never --key dek.bin --layout labs").expect(21);
    assert!(refused.stderr.contains("SB0803") && !desk.path("never").exists(), "{}", refused.stderr);
    // A file of the labs does not say what it is.
    let unknown = desk.run("open data.enc --out never --key dek.bin").expect(2);
    assert!(unknown.stderr.contains("SB0801") && unknown.stderr.contains("--layout labs"), "{}", unknown.stderr);
    assert_eq!(desk.made(), ["back", "bad.enc", "data.enc", "data.key"]);
}

#[test]
fn what_does_not_verify_leaves_no_file_and_says_which_key() {
    let desk = Desk::new();
    desk.run("seal data.csv --out data.sealed --key dek.bin --kid customer-7").expect(0);
    let whole = desk.read("data.sealed");
    let mut changed = whole.clone();
    changed[60_000] ^= 1;
    desk.file("changed", &changed);
    desk.file("cut", &whole[..whole.len() - 1]);
    desk.file("longer", &[&whole[..], b"x"].concat());
    let text = whole.windows(8).position(|w| w == b"data.csv").unwrap();
    let mut renamed = whole.clone();
    renamed[text] = b'x';
    desk.file("renamed", &renamed);
    desk.file("text", b"no sealed file at all");
    for (file, key, exit, code, hint) in [
        ("changed", "--key dek.bin", 21, "SB0803", "chunk 3"),
        ("cut", "--key dek.bin", 21, "SB0803", "end"),
        ("longer", "--key dek.bin", 21, "SB0803", "added"),
        ("renamed", "--key dek.bin", 21, "SB0802", "customer-7"),
        ("data.sealed", "--key other.bin", 21, "SB0802", "customer-7"),
        ("data.sealed", "--kek kek.key", 2, "SB0804", "content key itself"),
        ("text", "--key dek.bin", 2, "SB0801", "labs"),
        ("absent", "--key dek.bin", 2, "SB0708", "absent"),
        ("data.sealed", "--key absent", 2, "SB0804", "absent"),
        ("data.sealed", "--key kek.key", 2, "SB0804", "--kek"),
    ] {
        let done = desk.run(&format!("open {file} --out never {key}")).expect(exit);
        assert!(done.stderr.contains(code) && done.stderr.contains(hint), "{file} {key}: {}", done.stderr);
        assert!(!desk.path("never").exists(), "{file} {key}");
    }
    assert_eq!(desk.made(), ["changed", "cut", "data.sealed", "longer", "renamed", "text"], "nothing half-written");
}

#[test]
fn a_pipe_gets_what_is_verified_and_an_exit_code() {
    let desk = Desk::new();
    let plain = random_bytes(3_000_000);
    let (code, file, _) = desk.pipe("seal - --out - --key dek.bin", &plain);
    assert_eq!(code, Some(0));
    let (header, _) = Header::read(&mut &file[..]).unwrap();
    assert_eq!(header, Header::new(ContentKey::Direct { kid: None }), "a pipe has neither name nor length");
    let (code, back, said) = desk.pipe("open - --out - --key dek.bin", &file);
    assert!(code == Some(0) && back == plain && said.contains("opened 3000000 bytes"), "{said}");
    let (code, back, said) = desk.pipe("open - --out - --key dek.bin", &file[..2_000_000]);
    assert!(code == Some(21) && said.contains("SB0803"), "{code:?} {said}");
    assert!(!back.is_empty() && plain.starts_with(&back), "an authentic beginning");
    // A key from standard input, too.
    desk.file("piped.sealed", &file);
    let (code, back, _) = desk.pipe("open piped.sealed --out - --key -", &[0x20; 32]);
    assert!(code == Some(0) && back == plain);
}

#[test]
fn secrets_that_others_can_read_and_files_that_exist_are_refused() {
    let desk = Desk::new();
    let refused = |line: &str, code: &str, hint: &str| {
        let done = desk.run(line).expect(2);
        assert!(done.stderr.contains(code) && done.stderr.contains(hint), "{line}: {}", done.stderr);
    };
    #[cfg(unix)]
    for (file, line) in [
        ("dek.bin", "seal data.csv --out x --key dek.bin"),
        ("kek.key", "seal data.csv --out x --kek kek.key"),
        ("aes.bin", "open data.csv --out x --kek aes.bin"),
    ] {
        open_to_all(&desk.path(file));
        refused(line, "SB0804", &format!("chmod 600 {file}"));
        close(&desk.path(file));
    }
    desk.file("newline.bin", &[&[0x20; 32][..], b"\n"].concat());
    refused("seal data.csv --out x --key newline.bin", "SB0804", "no line end");
    desk.file("short.bin", &[7; 16]);
    refused("seal data.csv --out x --key short.bin", "SB0804", "32");
    let before = desk.read("data.csv");
    refused("seal data.csv --out data.csv --key dek.bin", "SB0708", "--force");
    assert!(desk.read("data.csv") == before);
    refused("seal . --out x --key dek.bin", "SB0708", "folder");
    refused("seal data.csv --out nowhere/x --key dek.bin", "SB0708", "nowhere");
    refused("seal data.csv --out x --key dek.bin --wrapped y", "SB0701", "--layout labs");
    refused("seal data.csv --out x --kek kek.json --layout labs", "SB0701", "--wrapped");
    refused("seal data.csv --out x --kek aes.bin --layout labs --wrapped y", "SB0804", "RSA-OAEP-256");
    refused("seal data.csv --out x --key dek.bin --layout labs --kid k", "SB0701", "no header");
    refused("seal data.csv --out x --key dek.bin --media-type nonsense", "SB0701", "media_type");
    refused("seal - --out x --key -", "SB0701", "standard input");
    let json = desk.run("--output json seal data.csv --out - --key dek.bin").expect(2).json();
    assert_eq!(json["problems"][0]["code"], "SB0701");
    // Neither key nor key encryption key, and both.
    desk.run("seal data.csv --out x").expect(2);
    desk.run("seal data.csv --out x --key dek.bin --kek kek.json").expect(2);
    assert_eq!(desk.made(), ["newline.bin", "short.bin"]);
}

/// A header that a learner's terminal would obey must not reach it, and a name in it is no path.
#[test]
fn names_from_files_are_shown_and_not_followed() {
    let desk = Desk::new();
    let header = Header { name: Some("a\u{202e}vsc.exe".into()), ..Header::new(ContentKey::Direct { kid: None }) };
    let mut file = Vec::new();
    sealed::seal(&b"x"[..], &mut file, &SecretBytes::new(vec![0x20; 32]), &header).unwrap();
    desk.file("odd.sealed", &file);
    // A path that is no UTF-8 is as good as any.
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        let mut command = desk.lab.command(&["--output", "json", "seal", "data.csv", "--key", "dek.bin", "--out"]);
        let path = desk.lab.home().join(std::ffi::OsStr::from_bytes(b"\xff"));
        assert!(command.arg(&path).current_dir(desk.lab.home()).output().unwrap().status.success());
        fs::remove_file(path).unwrap();
    }
    let said = desk.run("open odd.sealed --out back --key dek.bin").expect(0).stdout;
    assert!(said.contains("vsc.exe") && !said.contains('\u{202e}'), "{said:?}");
    assert_eq!(desk.made(), ["back", "odd.sealed"]);
}
