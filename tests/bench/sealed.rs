//! Sealed files against the bare cipher: `cargo bench -p sealbook-crypto`. Processor time, not wall time, so that a busy
//! machine does not count. Each measurement is a process of its own, which tells its time and its peak memory at its
//! end. Method and results: docs/benchmarks.md.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark stops at the first surprise"
)]

use std::io::{self, Read, Write};
use std::process::Command;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sealbook_crypto::SecretBytes;
use sealbook_crypto::sealed::{self, ContentKey, Header, SealedError};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// What the pipeline may hold, whatever the file's size.
const MOST_MEMORY: f64 = 64.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    if let [what, bytes] = &args[..] {
        return measured(what, bytes.parse().unwrap());
    }
    println!("{:<58} {:>14}  {:>12}  met", "what", "measured", "goal");
    let bare = figure("AES-256-GCM, bare, chunks of 16 KiB", "bare", 8 * GIB);
    let copy = figure("copying, for comparison", "copy", 8 * GIB);
    let seal = figure("seal", "seal", 4 * GIB);
    let open = figure("open", "open", 4 * GIB);
    // Reading the input costs a copy whatever the cipher: what is left of the bare cipher's speed beside it.
    let reachable = 1.0 / (1.0 / bare + 1.0 / copy);
    at_least("seal / (bare and a copy), a core", seal / reachable * 100.0, 50.0, "%");
    at_least("open / (bare and a copy), a core", open / reachable * 100.0, 50.0, "%");
    for size in [MIB, 64 * MIB, GIB, 8 * GIB] {
        let peak = run("both", size).1;
        at_most(&format!("memory of sealing and opening {} MiB", size / MIB), peak, MOST_MEMORY, "MiB");
    }
}

/// A figure in GB for each second of processor time: the median of five processes.
fn figure(what: &str, how: &str, bytes: u64) -> f64 {
    let mut rounds: Vec<f64> = (0..5).map(|_| bytes as f64 / 1e9 / run(how, bytes).0).collect();
    rounds.sort_by(f64::total_cmp);
    println!("{:<58} {:>14}", format!("{what}, a core"), format!("{:.1} GB/s", rounds[2]));
    rounds[2]
}

fn at_least(what: &str, value: f64, goal: f64, unit: &str) {
    println!("{what:<58} {value:>10.1} {unit:<3} {goal:>8.1} {unit:<3}  {}", if value >= goal { "yes" } else { "NO" });
}

fn at_most(what: &str, value: f64, goal: f64, unit: &str) {
    println!("{what:<58} {value:>10.1} {unit:<3} {goal:>8.1} {unit:<3}  {}", if value <= goal { "yes" } else { "NO" });
}

/// Runs a measurement in a process of its own; seconds of processor time, MiB at the peak.
fn run(what: &str, bytes: u64) -> (f64, f64) {
    let done = Command::new(std::env::current_exe().unwrap()).args([what, &bytes.to_string()]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = String::from_utf8(done.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|n| n.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// The child: does it, and tells time and memory.
fn measured(what: &str, bytes: u64) {
    match what {
        "bare" => bare(bytes),
        "copy" => drop(io::copy(&mut Source::new(bytes), &mut Sink(vec![0; 512 * 1024])).unwrap()),
        "seal" => {
            let key = SecretBytes::new(vec![7; 32]);
            sealed::seal(Source::new(bytes), io::sink(), &key, &header()).unwrap();
        }
        "open" => return open(bytes),
        "both" => both(bytes),
        other => panic!("no measurement is called {other}"),
    }
    println!("{} {}", processor_seconds(), peak_mib());
}

/// The cipher alone, on a buffer that stays in the cache as the pipeline's do.
fn bare(bytes: u64) {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).unwrap());
    let mut buffer = vec![7; 512 * 1024];
    let mut number = 0_u128;
    for _ in 0..bytes / buffer.len() as u64 {
        for chunk in buffer.chunks_mut(16 * 1024) {
            number += 1;
            let nonce = Nonce::try_assume_unique_for_key(&number.to_be_bytes()[4..]).unwrap();
            let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), chunk).unwrap();
            std::hint::black_box(tag.as_ref());
        }
    }
}

/// Opening, without what it took to seal: a file is sealed ahead and opened several times. It comes from memory, not from
/// a cache.
fn open(bytes: u64) {
    const LENGTH: u64 = 512 * MIB;
    let key = SecretBytes::new(vec![7; 32]);
    let mut file = Vec::new();
    sealed::seal(Source::new(LENGTH), &mut file, &key, &header()).unwrap();
    let before = processor_seconds();
    for _ in 0..bytes / LENGTH {
        let opened = sealed::open::<_, _, SealedError>(&file[..], io::sink(), |_| Ok(key.clone())).unwrap();
        assert_eq!(opened.length, LENGTH);
    }
    println!("{} {}", processor_seconds() - before, peak_mib());
}

/// Sealing into a pipe and opening out of it, in one process.
fn both(bytes: u64) {
    let key = SecretBytes::new(vec![7; 32]);
    let (reader, writer) = io::pipe().unwrap();
    std::thread::scope(|scope| {
        let sealing = key.clone();
        scope.spawn(move || sealed::seal(Source::new(bytes), writer, &sealing, &header()).unwrap());
        let opened = sealed::open::<_, _, SealedError>(reader, io::sink(), |_| Ok(key.clone())).unwrap();
        assert_eq!(opened.length, bytes);
    });
}

fn header() -> Header {
    Header::new(ContentKey::Direct { kid: None })
}

/// Gives so many bytes, copied out of a megabyte.
struct Source {
    left: u64,
    block: Vec<u8>,
}

impl Source {
    fn new(left: u64) -> Self {
        Self { left, block: (0..MIB).map(|i| ((i * 31) >> 3) as u8).collect() }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.block.len()).min(usize::try_from(self.left).unwrap());
        buffer[..count].copy_from_slice(&self.block[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

/// Takes bytes by copying them, as a file does.
struct Sink(Vec<u8>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.0.len());
        self.0[..count].copy_from_slice(&bytes[..count]);
        std::hint::black_box(&mut self.0);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// User and system time of this process, from its 14th and 15th field in proc(5), in ticks of 10 ms.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a system with /proc");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Resident memory of this process at its peak.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a system with /proc");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches("kB").trim().parse::<f64>().unwrap() / 1024.0
}
