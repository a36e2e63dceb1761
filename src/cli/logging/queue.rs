//! The log's output: a bounded queue, and one thread that writes it to stderr.
//!
//! * A log line neither blocks its caller nor fails, whatever the state of stderr: a closed pipe, a full disk, a
//!   stopped reader, a closed terminal.
//! * Lines beyond the bound, and lines that could not be written, are dropped and counted; the count is logged as soon
//!   as a line can be written again.
//! * The bound is in bytes as well as in lines, because a line of `--log-bodies` may hold 16 KiB. `tracing-appender`
//!   has no such bound, and prints to stdout if the queue is full at exit
//!   (<https://docs.rs/tracing-appender/0.2.5/src/tracing_appender/non_blocking.rs.html>).

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::platform::Instant;

/// A sender into the queue. Clones send into the same queue.
#[derive(Debug, Clone)]
pub(super) struct LogQueue {
    messages: SyncSender<Message>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Message {
    /// One whole line with its line break.
    Line(Vec<u8>),
    /// A request for a reply once everything before it was written.
    Flush(SyncSender<()>),
}

#[derive(Debug, Default)]
struct Counts {
    /// Bytes in the queue.
    waiting: AtomicUsize,
    /// Dropped lines not yet reported.
    lost: AtomicU64,
}

impl LogQueue {
    /// Starts a thread that writes every line to `output`.
    pub(super) fn start(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, received) = sync_channel(MOST_LINES);
        let counts = Arc::new(Counts::default());
        let writer = LineWriter { output, torn: false };
        let shared = counts.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || write_lines(&received, writer, &shared))?;
        Ok(Self { messages, counts })
    }

    /// Waits until the queued lines were written, for at most `limit`.
    pub(super) fn flush(&self, limit: Duration) {
        let (done, flushed) = sync_channel(1);
        if self.messages.try_send(Message::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(limit);
        }
    }

    /// Queues one whole line with its line break, or counts it as lost.
    pub(super) fn push(&self, line: &[u8]) {
        let counts = &self.counts;
        let waiting = counts.waiting.fetch_add(line.len(), Ordering::Relaxed);
        let fits = waiting.saturating_add(line.len()) <= MOST_BYTES;
        if !fits || self.messages.try_send(Message::Line(line.to_vec())).is_err() {
            counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes lines until every sender is gone.
fn write_lines(messages: &Receiver<Message>, mut writer: LineWriter<impl Write>, counts: &Counts) {
    for message in messages {
        let line = match message {
            Message::Line(line) => line,
            Message::Flush(done) => {
                let _ = done.send(());
                continue;
            }
        };
        let written = writer.write_line(&line);
        counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
        if written.is_err() {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let lost = counts.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            tracing::warn!(lines = lost, "lines of this log are lost: they could not be written");
        }
    }
}

/// Writes whole lines to an output that may fail between any two bytes.
#[derive(Debug)]
struct LineWriter<W> {
    output: W,
    /// Whether the output ends in the middle of a line.
    torn: bool,
}

impl<W: Write> LineWriter<W> {
    fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        if self.torn {
            self.write_bytes(b"\n", deadline)?;
            self.torn = false;
        }
        self.write_bytes(line, deadline)
    }

    /// Another process may have made the descriptor non-blocking, which requires retries.
    fn write_bytes(&mut self, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = bytes.get(written..).unwrap_or_default();
                    self.torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                    thread::sleep(PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The most queued lines; a second of the busiest log.
const MOST_LINES: usize = 4096;
/// The most queued bytes.
const MOST_BYTES: usize = 8 << 20;
/// The longest retry of a line on a non-blocking descriptor.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::*;

    /// An output with scripted results of writes; it accepts everything after the script.
    #[derive(Clone, Default)]
    struct Scripted {
        next: Arc<Mutex<VecDeque<Result<usize, ErrorKind>>>>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Scripted {
        fn new(next: impl IntoIterator<Item = Result<usize, ErrorKind>>) -> Self {
            Self { next: Arc::new(Mutex::new(next.into_iter().collect())), ..Self::default() }
        }

        fn text(&self) -> String {
            String::from_utf8(self.taken.lock().expect("not poisoned").clone()).expect("text")
        }
    }

    impl Write for Scripted {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let next = self.next.lock().expect("not poisoned").pop_front();
            let count = next.unwrap_or(Ok(bytes.len()))?.min(bytes.len());
            self.taken.lock().expect("not poisoned").extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_whole_or_begun_anew() {
        let steps = [Ok(2), Err(ErrorKind::WouldBlock), Err(ErrorKind::Interrupted), Ok(99), Ok(3)];
        let output = Scripted::new(steps.into_iter().chain([Err(ErrorKind::StorageFull)]));
        let mut writer = LineWriter { output: output.clone(), torn: false };
        assert!(writer.write_line(b"first\n").is_ok());
        assert!(writer.write_line(b"second\n").is_err());
        assert!(writer.write_line(b"third\n").is_ok());
        assert_eq!(output.text(), "first\nsec\nthird\n");
    }

    #[test]
    fn lines_that_fail_or_find_no_room_are_counted() {
        let output = Scripted::new([Err(ErrorKind::BrokenPipe), Err(ErrorKind::StorageFull)]);
        let queue = LogQueue::start(output.clone()).expect("a thread");
        queue.push(b"a\n");
        queue.push(b"b\n");
        queue.push(&vec![b'x'; MOST_BYTES + 1]);
        queue.flush(Duration::from_secs(20));
        assert_eq!(queue.counts.lost.load(Ordering::Relaxed), 3);
        assert_eq!(queue.counts.waiting.load(Ordering::Relaxed), 0);
        queue.push(b"c\n");
        queue.flush(Duration::from_secs(20));
        assert_eq!((output.text().as_str(), queue.counts.lost.load(Ordering::Relaxed)), ("c\n", 0));
    }

    #[test]
    fn an_output_that_blocks_holds_nobody_up() {
        struct Stuck(Receiver<()>);
        impl Write for Stuck {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (release, stuck) = sync_channel::<()>(1);
        let queue = LogQueue::start(Stuck(stuck)).expect("a thread");
        for _ in 0..2 * MOST_LINES {
            queue.push(b"line\n");
        }
        // One line is with the writer.
        let lost = queue.counts.lost.load(Ordering::Relaxed);
        assert!((MOST_LINES as u64 - 1..=MOST_LINES as u64).contains(&lost), "{lost}");
        queue.flush(Duration::from_millis(1));
        drop(release);
    }
}
