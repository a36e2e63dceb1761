//! Log lines as `wrangler tail` shows them: one JSON object each. The host adds the time.

use std::io::{self, Write};
use std::sync::Once;

use tracing::level_filters::LevelFilter;

/// Starts logging at `level`. Only the first call counts.
pub(super) fn start(level: LevelFilter) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let subscriber = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_max_level(level)
            .without_time()
            .with_writer(|| Line(Vec::new()));
        // The error means that a subscriber is installed already.
        let _ = tracing::subscriber::set_global_default(subscriber.finish());
    });
}

/// A line, passed to the host when complete.
struct Line(Vec<u8>);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        worker::console_log!("{}", String::from_utf8_lossy(&self.0).trim_end());
    }
}
