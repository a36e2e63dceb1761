//! Server-sent events: from reads of any size to whole frames.
//!
//! * A frame ends at a blank line; lines end in LF, CRLF or CR. A CR at the end of the received bytes waits for the
//!   next byte, so that the same bytes give the same frames for any read boundaries.
//! * Complete frames inside one read are borrowed from it. Only a frame that spans reads is copied, and each of its
//!   bytes is scanned once: the cost is linear in its size.
//! * A frame longer than [`LARGEST_FRAME`] is given up ([`Framer::is_overfull`]): otherwise its beginning would be kept
//!   for as long as the backend continues it.
//! * `data` lines of a frame are joined by a line feed; other fields stay in [`Frame::raw`] and are not interpreted.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2, memchr2_iter};

/// One event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The frame's bytes as received, blank line included.
    pub raw: &'a [u8],
    /// The contents of the `data` lines.
    pub data: Cow<'a, [u8]>,
}

impl<'a> Frame<'a> {
    /// Returns whether any client can read the frame's bytes unchanged, provided that its data is readable: one `data`
    /// line, a blank line at the end, otherwise only text, and no line that ends in a bare carriage return, which not
    /// every client accepts as an end.
    pub fn is_plain(&self) -> bool {
        let Cow::Borrowed(data) = self.data else { return false };
        let Some(lines) = self.raw.strip_suffix(b"\n\n").or_else(|| self.raw.strip_suffix(b"\r\n\r\n")) else {
            return false;
        };
        // The data has been checked already, so it is skipped here.
        let others = lines.strip_suffix(data).unwrap_or(lines);
        let is_bare = |end: usize| others.get(end + 1) != Some(&b'\n');
        !memchr_iter(b'\r', others).any(is_bare) && memchr(0, others).is_none() && std::str::from_utf8(others).is_ok()
    }

    /// Reads the frame in `raw`, or `None` if it has no `data` line (a comment, a bare `event`).
    fn parse(raw: &'a [u8], layout: Layout) -> Option<Self> {
        if let Some(data) = layout.data(raw) {
            return Some(Self { raw, data: data.into() });
        }
        let mut data: Option<Cow<'a, [u8]>> = None;
        // The blank line has no contents.
        for line in lines(raw.strip_suffix(b"\n\n").unwrap_or(raw)) {
            let Some(value) = data_value(line) else { continue };
            data = Some(match data {
                None => Cow::Borrowed(value),
                Some(earlier) => {
                    let mut joined = earlier.into_owned();
                    joined.push(b'\n');
                    joined.extend_from_slice(value);
                    Cow::Owned(joined)
                }
            });
        }
        data.map(|data| Self { raw, data })
    }
}

/// Cuts a byte stream into frames.
///
/// ```
/// use codex_proxy_wire::event::sse::Framer;
///
/// let (mut framer, mut found) = (Framer::default(), Vec::new());
/// for read in [&b"event: a\nda"[..], b"ta: {}\n", b"\n: a comment\n\n"] {
///     framer.feed(read, |frame| {
///         found.push(frame.data.into_owned());
///         true
///     });
/// }
/// assert_eq!(found, [b"{}"]);
/// ```
#[derive(Debug, Default)]
pub struct Framer {
    /// The beginning of an incomplete frame.
    carry: Vec<u8>,
    /// The length of the latest frame that spanned reads: the next one is often as long.
    latest: usize,
    scan: Scan,
    begun: bool,
    is_overfull: bool,
}

impl Framer {
    /// Takes the next bytes and gives every completed frame to `each`, until it returns `false`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>) -> bool) {
        if self.is_overfull {
            return;
        }
        let mut rest = bytes;
        while let Some((length, layout)) = self.scan.frame_end(rest) {
            let (head, tail) = rest.split_at(length);
            rest = tail;
            let go_on = if self.carry.is_empty() {
                emit(head, layout, &mut self.begun, &mut each)
            } else {
                self.carry.extend_from_slice(head);
                self.latest = self.carry.len();
                let go_on = emit(&self.carry, layout, &mut self.begun, &mut each);
                self.carry.clear();
                self.carry.shrink_to(RETAINED_CAPACITY);
                go_on
            };
            if !go_on {
                return;
            }
        }
        if rest.len() > LARGEST_FRAME - self.carry.len() {
            self.is_overfull = true;
            self.carry = Vec::new();
        } else {
            self.make_room(rest.len());
            self.carry.extend_from_slice(rest);
        }
    }

    /// Makes room for `more` bytes of an incomplete frame.
    ///
    /// A long frame gets all the room that a frame may take: what is not used of it takes no memory, and whenever a buffer
    /// grows, its old bytes and their copy do. On the edge memory is not taken page by page.
    fn make_room(&mut self, more: usize) {
        let needed = self.carry.len() + more;
        if self.carry.is_empty() {
            self.carry.reserve(self.latest.clamp(more, LONG_FRAME.max(more)));
        }
        if cfg!(not(target_arch = "wasm32")) && needed > self.carry.capacity() && needed > LONG_FRAME {
            // A system that promises no memory which it may not have lets the buffer grow as usual.
            let _ = self.carry.try_reserve_exact(LARGEST_FRAME - self.carry.len());
        }
    }

    /// Returns whether a frame exceeded the maximum size. No frames after it are given out.
    pub fn is_overfull(&self) -> bool {
        self.is_overfull
    }

    /// Takes the end of the stream, and gives out a last frame that lacks its blank line. The caller has to tell a
    /// complete event from a truncated one; truncated JSON does not parse.
    pub fn end(&mut self, mut each: impl FnMut(Frame<'_>) -> bool) {
        let carry = std::mem::take(&mut self.carry);
        emit(&carry, Layout::default(), &mut self.begun, &mut each);
    }
}

fn emit(raw: &[u8], layout: Layout, begun: &mut bool, each: &mut impl FnMut(Frame<'_>) -> bool) -> bool {
    let is_first = !std::mem::replace(begun, true);
    match raw.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first) {
        Some(raw) => Frame::parse(raw, Layout::default()),
        None => Frame::parse(raw, layout),
    }
    .is_none_or(each)
}

/// The lines of a frame, as far as the search for its end has found them.
#[derive(Debug, Clone, Copy, Default)]
struct Layout {
    /// The number of lines, the blank one left out.
    lines: usize,
    /// The beginning of the last of them.
    last: usize,
    /// The beginning of the line after that.
    next: usize,
    /// Whether a line ended in a carriage return.
    has_returns: bool,
}

impl Layout {
    /// Records the end of a line at `end`.
    fn line(&mut self, end: usize) {
        self.lines += 1;
        (self.last, self.next) = (self.next, end);
    }

    /// Returns the data of a frame in the usual form, one line of another field and one of data; `None` for any other frame.
    fn data<'a>(&self, raw: &'a [u8]) -> Option<&'a [u8]> {
        if self.has_returns || !matches!(self.lines, 1 | 2) {
            return None;
        }
        let (first, last) = raw.strip_suffix(b"\n\n")?.split_at_checked(self.last)?;
        let data = data_value(last)?;
        data_value(first.strip_suffix(b"\n").unwrap_or(first)).is_none().then_some(data)
    }
}

/// The progress of the search for a blank line, over any number of reads.
#[derive(Debug)]
struct Scan {
    /// Whether the next byte begins a line.
    at_line_start: bool,
    /// Whether the last byte was a CR: it ends its line, together with a LF if one follows.
    after_carriage_return: bool,
    /// Whether the line that `after_carriage_return` ended was blank.
    after_blank_line: bool,
    /// The bytes of the frame in earlier reads.
    before: usize,
    layout: Layout,
}

impl Default for Scan {
    fn default() -> Self {
        Self {
            at_line_start: true,
            after_carriage_return: false,
            after_blank_line: false,
            before: 0,
            layout: Layout::default(),
        }
    }
}

impl Scan {
    /// Returns the number of bytes up to and including the first blank line, and the lines of the frame that ends there;
    /// `None` if it has not arrived.
    fn frame_end(&mut self, bytes: &[u8]) -> Option<(usize, Layout)> {
        let Some(end) = self.blank_line(bytes) else {
            self.before += bytes.len();
            return None;
        };
        self.before = 0;
        Some((end, std::mem::take(&mut self.layout)))
    }

    fn blank_line(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut position = 0;
        while let Some(&next) = bytes.get(position) {
            if std::mem::take(&mut self.after_carriage_return) {
                position += usize::from(next == b'\n');
                if std::mem::take(&mut self.after_blank_line) {
                    self.at_line_start = true;
                    return Some(position);
                }
                continue;
            }
            if self.at_line_start && next == b'\n' {
                return Some(position + 1);
            }
            let blank = self.at_line_start && next == b'\r';
            let Some(offset) = memchr2(b'\n', b'\r', bytes.get(position..)?) else {
                self.at_line_start = false;
                return None;
            };
            position += offset + 1;
            self.at_line_start = true;
            self.layout.line(self.before + position);
            if bytes.get(position - 1) == Some(&b'\r') {
                self.layout.has_returns = true;
                self.after_carriage_return = true;
                self.after_blank_line = blank;
            }
        }
        None
    }
}

/// Iterates over the lines of a frame, without their ends.
fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr2_iter(b'\n', b'\r', raw).chain(std::iter::once(raw.len())).map(move |end| {
        let line = raw.get(start..end).unwrap_or_default();
        start = end + 1;
        line
    })
}

/// Returns the JSON without line breaks. A line break inside JSON is white space, and would end the `data` line.
pub fn on_one_line(json: &str) -> Cow<'_, str> {
    if memchr2(b'\n', b'\r', json.as_bytes()).is_none() {
        return json.into();
    }
    json.chars().map(|character| if matches!(character, '\n' | '\r') { ' ' } else { character }).collect()
}

fn data_value(line: &[u8]) -> Option<&[u8]> {
    let value = line.strip_prefix(b"data")?;
    match value.split_first() {
        None => Some(value),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}

/// The maximum bytes of one frame that spans reads. The largest events contain a generated image, of about 10 MB.
pub const LARGEST_FRAME: usize = 64 << 20;

/// The bytes from which a frame gets the room of the largest: frames with an image, and hardly any others.
const LONG_FRAME: usize = 1 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// The buffer's capacity kept after a long event, whose memory is not needed for the rest of the stream.
const RETAINED_CAPACITY: usize = 4096;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut framer = Framer::default();
        let mut found = Vec::new();
        let mut each = |frame: Frame<'_>| {
            found.push((
                String::from_utf8_lossy(frame.raw).into_owned(),
                String::from_utf8_lossy(&frame.data).into_owned(),
            ));
            true
        };
        for chunk in chunks {
            framer.feed(chunk, &mut each);
        }
        framer.end(&mut each);
        found
    }

    fn data(bytes: &[u8]) -> Vec<String> {
        frames(&[bytes]).into_iter().map(|frame| frame.1).collect()
    }

    #[test]
    fn line_ends_spaces_and_multiple_lines() {
        assert_eq!(data(b"event: a\ndata: {}\n\n"), ["{}"]);
        assert_eq!(data(b"data:{}\r\n\r\ndata: x\r\n\r\n"), ["{}", "x"]);
        assert_eq!(data(b"data: a\rdata: b\r\rdata:  c\n\n"), ["a\nb", " c"]);
        assert_eq!(data(b": comment\n\nid: 1\n\nevent: x\n\ndata\n\n"), [""]);
        assert_eq!(data(b"\xEF\xBB\xBFdata: a\n\n\n\ndatax: b\n\n"), ["a"]);
        assert_eq!(
            data(b"data\ndata: a\n\ndata: b\nevent: x\n\nevent: x\ndata:c\n\nx\ndata\n\n"),
            ["\na", "b", "c", ""]
        );
    }

    #[test]
    fn the_end_of_the_stream_ends_a_frame() {
        assert_eq!(data(b"data: a\n\ndata: b"), ["a", "b"]);
        assert_eq!(data(b"data: a\r\n\r"), ["a"]);
    }

    #[test]
    fn raw_bytes_are_the_stream_itself() {
        let stream = b"event: x\r\ndata: 1\r\n\r\nevent: y\ndata: 2\n\n";
        let raw: String = frames(&[stream]).into_iter().map(|frame| frame.0).collect();
        assert_eq!(raw.as_bytes(), stream);
    }

    #[test]
    fn stops_when_told() {
        let mut seen = 0;
        Framer::default().feed(b"data: 1\n\ndata: 2\n\n", |_| {
            seen += 1;
            false
        });
        assert_eq!(seen, 1);
    }

    #[test]
    fn a_frame_without_end_is_given_up() {
        let mut framer = Framer::default();
        let mut seen = Vec::new();
        let piece = vec![b'x'; 1 << 20];
        framer.feed(b"data: 1\n\ndata: ", |_| true);
        for _ in 0..=LARGEST_FRAME >> 20 {
            framer.feed(&piece, |_| true);
            assert!(framer.carry.len() <= LARGEST_FRAME && framer.carry.capacity() <= LARGEST_FRAME);
        }
        assert!(framer.is_overfull() && framer.carry.capacity() == 0);
        framer.feed(b"\n\ndata: 2\n\n", |frame| {
            seen.push(frame.data.len());
            true
        });
        framer.end(|_| false);
        assert!(seen.is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["data: ", "data:", "event: e", "\n", "\r\n", "\r", "\n\n", "é\u{2028}", ":", "x"]),
                0..40,
            ),
            cuts in prop::collection::vec(0usize..200, 0..12),
        ) {
            let stream = pieces.concat().into_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
            prop_assert_eq!(frames(&chunks), frames(&[&stream]));
        }
    }
}
