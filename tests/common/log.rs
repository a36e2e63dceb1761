//! What is written, readable while it is.

#![allow(dead_code, reason = "each test program uses a part")]

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Level, Subscriber};
use tracing_subscriber::fmt::MakeWriter;

/// A log or a terminal. Clones share what is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log of the current thread from now on, at TRACE.
    pub(crate) fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_ansi(false);
        let guard = listen(subscriber.with_writer(log.clone()).finish());
        (log, guard)
    }

    /// The log of the current thread from now on, at INFO, a JSON object a line.
    pub(crate) fn capture_json() -> (Self, DefaultGuard) {
        let log = Self::default();
        let guard = listen(tracing_subscriber::fmt().json().with_writer(log.clone()).finish());
        (log, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The lines of this program's credential rooms.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().filter(|line| line.contains("codex_proxy::credentials")).map(str::to_owned).collect()
    }

    pub(crate) fn count(&self, words: &str) -> usize {
        self.text().lines().filter(|line| line.contains(words)).count()
    }
}

/// Makes `subscriber` that of the current thread.
fn listen(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    LazyLock::force(&SECOND);
    set_default(subscriber)
}

/// A subscriber beside those of the tests, for as long as the program runs. If there is only one, tracing asks the thread
/// that comes first to a line whether the line is heard, and keeps the answer for all threads: a test that runs beside the
/// listening one would silence it. <https://github.com/tokio-rs/tracing/issues/3611>
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(NoSubscriber::new()));

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
