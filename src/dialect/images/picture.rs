//! What an image is, by its own first bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::json::Text;

/// Returns the media type of the image that begins with `bytes`.
pub fn media_type(bytes: &[u8]) -> Option<&'static str> {
    let is_webp = || bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        _ => is_webp().then_some("image/webp"),
    }
}

/// Returns whether all of `text` is base64, with or without padding.
pub fn is_base64(text: &str) -> bool {
    let letters = text.trim_end_matches('=');
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let padding = text.len() - letters.len();
    let is_whole = if padding == 0 { letters.len() % 4 != 1 } else { padding <= 2 && text.len().is_multiple_of(4) };
    is_whole && letters.bytes().all(is_letter)
}

/// Decodes the beginning of an image; nothing of what is no base64.
fn beginning(letters: impl Iterator<Item = u8>) -> Vec<u8> {
    let head: Vec<u8> = letters.take(HEAD / 3 * 4).collect();
    let whole = head.len() / 4 * 4;
    STANDARD.decode(head.get(..whole).unwrap_or_default()).unwrap_or_default()
}

/// The facts in the beginning of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Picture {
    /// `png`, `jpeg`, `webp` or `gif`.
    pub format: Option<&'static str>,
    /// Width and height in pixels; known of PNG, the one format that the backend makes.
    pub size: Option<(u32, u32)>,
}

impl Picture {
    /// Reads the image in base64, however long it is, by its first characters.
    pub fn of_base64(text: Text<'_>) -> Self {
        // JSON may write each slash with a backslash before it.
        let letters = text.escaped().bytes().filter(|byte| *byte != b'\\');
        Self::of(&beginning(letters))
    }

    /// Returns the media type of the image in base64, by its first characters.
    pub fn media_type_of_base64(text: &str) -> Option<&'static str> {
        media_type(&beginning(text.bytes()))
    }

    fn of(bytes: &[u8]) -> Self {
        let format = media_type(bytes).and_then(|kind| kind.strip_prefix("image/"));
        let side = |at: usize| {
            let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes)).filter(|pixels| *pixels > 0)
        };
        // The header chunk comes first in a PNG (https://www.w3.org/TR/png/#11IHDR).
        let is_headed = format == Some("png") && bytes.get(12..16) == Some(b"IHDR");
        let size = if is_headed { side(16).zip(side(20)) } else { None };
        Self { format, size }
    }
}

/// The bytes of an image that are looked at; a multiple of three.
const HEAD: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x06\0\0\0\x04\0\x08\x06\0\0\0";

    #[test]
    fn an_image_tells_what_it_is() {
        for (bytes, kind) in [
            (PNG, Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"GIF89a", Some("image/gif")),
            (b"RIFF\x10\0\0\0WAVE", None),
            (b"plain text", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn the_size_is_the_one_in_the_image() {
        let read = |bytes: &[u8]| Picture::of_base64(Text::from_escaped(&STANDARD.encode(bytes)));
        assert_eq!(read(PNG), Picture { format: Some("png"), size: Some((1536, 1024)) });
        assert_eq!(read(&PNG[..20]), Picture { format: Some("png"), size: None });
        assert_eq!(read(b"\xff\xd8\xff\xe0 and more than enough"), Picture { format: Some("jpeg"), size: None });
        let escaped = STANDARD.encode(b"\xff\xd8\xff\xe0\xff\xff\xff\xff").replace('/', r"\/");
        assert!(escaped.contains(r"\/"));
        assert_eq!(Picture::of_base64(Text::from_escaped(&escaped)).format, Some("jpeg"));
        assert_eq!(Picture::of_base64(Text::from_escaped("!!!")), Picture::default());
        assert_eq!(Picture::of_base64(Text::EMPTY), Picture::default());
    }
}
