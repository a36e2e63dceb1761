//! A reader of a daemon's log that stops reading for long stretches, as a stuck log collector does.

use std::io::Read;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What came of a log so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogStatus {
    pub(crate) bytes: u64,
    /// Times that nothing was read for a while.
    pub(crate) stretches: u64,
    /// Most bytes that waited in the pipe at the end of a stretch; Linux has room for 65,536.
    pub(crate) fullest: u64,
    /// Lines that the daemon says it could not write.
    pub(crate) lost: u64,
}

/// Reads a log beside everything else.
pub(crate) struct LogReader(Arc<Mutex<LogStatus>>);

impl LogReader {
    pub(crate) fn start(log: impl Read + AsFd + Send + 'static) -> Self {
        let status = Arc::new(Mutex::new(LogStatus::default()));
        let shared = Arc::clone(&status);
        std::thread::spawn(move || read(log, &shared));
        Self(status)
    }

    pub(crate) fn status(&self) -> LogStatus {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(mut log: impl Read + AsFd, status: &Mutex<LogStatus>) {
    let mut piece = vec![0; 16 << 10];
    let mut line = Vec::new();
    let mut reading = Instant::now();
    while let Ok(length @ 1..) = log.read(&mut piece) {
        let mut lost = 0;
        for &byte in piece.get(..length).unwrap_or_default() {
            line.push(byte);
            if byte == b'\n' {
                lost += lines_lost(&String::from_utf8_lossy(&line));
                line.clear();
            }
        }
        let pauses = reading.elapsed() > READING;
        {
            let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
            status.bytes += length as u64;
            status.lost += lost;
            status.stretches += u64::from(pauses);
        }
        if pauses {
            std::thread::sleep(SILENT);
            reading = Instant::now();
            note_fullness(&log, status);
        }
    }
}

fn note_fullness(log: &impl AsFd, status: &Mutex<LogStatus>) {
    let waiting = rustix::io::ioctl_fionread(log).unwrap_or_default();
    let mut status = status.lock().unwrap_or_else(PoisonError::into_inner);
    status.fullest = status.fullest.max(waiting);
}

/// The number in a line that says how many others are missing.
fn lines_lost(line: &str) -> u64 {
    let Some((_, rest)) = line.split_once("lines of this log are lost").and_then(|(_, rest)| rest.split_once("lines="))
    else {
        return 0;
    };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_default()
}

/// How long the log is read at a time, and then not.
const READING: Duration = Duration::from_secs(5);
const SILENT: Duration = Duration::from_secs(25);
