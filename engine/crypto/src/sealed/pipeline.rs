//! A bounded pipeline: one thread reads, some work, the caller's thread writes, in order. Memory does not grow with the
//! input: the buffers go round, and who has none waits.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use zeroize::Zeroizing;

use super::{SealedError, read_full};

/// More threads than this are no faster: the memory is busy then.
const MOST_WORKERS: usize = 16;

/// Some of the input, as a worker sees it.
pub(super) struct Piece<'a> {
    /// Where it begins, in bytes of the input.
    pub(super) offset: u64,
    /// The bytes: as many as a piece has, fewer only in the last one.
    pub(super) bytes: &'a [u8],
    /// Nothing follows. The last piece is always short, be it empty.
    pub(super) last: bool,
}

/// What goes round.
struct Buffers {
    input: Zeroizing<Vec<u8>>,
    /// Bytes of the input that count.
    filled: usize,
    output: Zeroizing<Vec<u8>>,
    /// Bytes of the output that count.
    made: usize,
}

impl Buffers {
    fn new(input: usize, output: usize) -> Self {
        let zeros = |length| Zeroizing::new(vec![0; length]);
        Self { input: zeros(input), filled: 0, output: zeros(output), made: 0 }
    }

    /// Fills the input; what is short is the last.
    fn fill(&mut self, reader: &mut impl Read) -> Result<bool, SealedError> {
        self.filled = read_full(reader, &mut self.input)?;
        Ok(self.filled < self.input.len())
    }

    fn input(&self) -> &[u8] {
        self.input.get(..self.filled).unwrap_or_default()
    }

    fn output(&self) -> &[u8] {
        self.output.get(..self.made).unwrap_or_default()
    }
}

/// A piece on its way to a worker.
struct Job {
    number: u64,
    last: bool,
    buffers: Buffers,
}

/// A piece on its way to the writer, by its number.
type Finished = (u64, bool, Result<Buffers, SealedError>);

/// Reads pieces of `input` bytes, has each worked on, and writes what comes out (at most `output` bytes of each), in
/// order. The first error in the input's order ends it, and nothing that follows is written. Returns the number of bytes
/// read. What fits one piece is done without a thread.
pub(super) fn run<R, W, F>(
    mut reader: R,
    mut writer: W,
    input: usize,
    output: usize,
    work: F,
) -> Result<u64, SealedError>
where
    R: Read + Send,
    W: Write,
    F: Fn(&Piece<'_>, &mut [u8]) -> Result<usize, SealedError> + Sync,
{
    let size = input as u64;
    let perform = |number: u64, last, buffers: &mut Buffers| {
        let offset = number.checked_mul(size).ok_or(SealedError::TooLong)?;
        let piece = Piece { offset, bytes: buffers.input.get(..buffers.filled).unwrap_or_default(), last };
        buffers.made = work(&piece, &mut buffers.output)?;
        Ok(())
    };
    let mut first = Buffers::new(input, output);
    if first.fill(&mut reader)? {
        perform(0, true, &mut first)?;
        writer.write_all(first.output()).and_then(|()| writer.flush()).map_err(SealedError::Write)?;
        return Ok(first.filled as u64);
    }
    let workers = thread::available_parallelism().map_or(1, NonZero::get).min(MOST_WORKERS);
    let (free, freed) = channel();
    let (todo, jobs) = channel::<Job>();
    let (done, finished) = channel::<Finished>();
    let jobs = Mutex::new(jobs);
    for _ in 0..2 * workers + 1 {
        // The receiver is there: it is below.
        let _ = free.send(Buffers::new(input, output));
    }
    let _ = todo.send(Job { number: 0, last: false, buffers: first });
    thread::scope(|scope| {
        let start = |what: std::io::Result<_>| what.map(drop).map_err(SealedError::Threads);
        let failed = done.clone();
        start(thread::Builder::new().spawn_scoped(scope, move || read_on(reader, &freed, &todo, &failed)))?;
        for _ in 0..workers {
            let (done, jobs, perform) = (done.clone(), &jobs, &perform);
            start(thread::Builder::new().spawn_scoped(scope, move || {
                while let Some(Job { number, last, mut buffers }) = next(jobs) {
                    let result = perform(number, last, &mut buffers).map(|()| buffers);
                    if done.send((number, last, result)).is_err() {
                        break;
                    }
                }
            }))?;
        }
        drop(done);
        write_on(writer, finished, free, size)
    })
}

/// Reads into free buffers until the input ends, or nobody gives any back.
fn read_on(mut reader: impl Read, freed: &Receiver<Buffers>, todo: &Sender<Job>, failed: &Sender<Finished>) {
    for number in 1.. {
        let Ok(mut buffers) = freed.recv() else { return };
        match buffers.fill(&mut reader) {
            Ok(last) => {
                if todo.send(Job { number, last, buffers }).is_err() || last {
                    return;
                }
            }
            Err(e) => {
                // When nobody listens any more, another error came first.
                let _ = failed.send((number, true, Err(e)));
                return;
            }
        }
    }
}

/// Writes pieces in order and gives their buffers back. Who leaves here early drops both ends, which ends all threads.
fn write_on(
    mut writer: impl Write,
    finished: Receiver<Finished>,
    free: Sender<Buffers>,
    size: u64,
) -> Result<u64, SealedError> {
    let mut early = BTreeMap::new();
    let mut next = 0_u64;
    for (number, last, result) in finished {
        early.insert(number, (last, result));
        while let Some((last, result)) = early.remove(&next) {
            let buffers = result?;
            writer.write_all(buffers.output()).map_err(SealedError::Write)?;
            if last {
                writer.flush().map_err(SealedError::Write)?;
                return Ok(next.saturating_mul(size).saturating_add(buffers.input().len() as u64));
            }
            next += 1;
            // The reader may have come to its end.
            let _ = free.send(buffers);
        }
    }
    // Every piece is answered unless a thread was lost.
    Err(SealedError::Threads(std::io::Error::other("a thread ended early")))
}

fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
