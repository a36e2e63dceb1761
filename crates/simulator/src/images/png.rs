//! A picture: a grey gradient, as a whole and valid PNG (<https://www.w3.org/TR/png/>).

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// Draws `width` by `height` pixels, at a transparent picture's edge invisible ones. `padding` bytes are added in a chunk that
/// readers skip.
pub(super) fn draw(width: u32, height: u32, is_transparent: bool, padding: usize) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let kind = if is_transparent { GREY_AND_ALPHA } else { GREY };
    let mut header = [width.to_be_bytes(), height.to_be_bytes()].concat();
    header.extend_from_slice(&[8, kind, 0, 0, 0]);
    chunk(&mut png, b"IHDR", &header);
    if padding > 0 {
        chunk(&mut png, b"paDd", &vec![0; padding]);
    }
    chunk(&mut png, b"IDAT", &pixels(width, height, is_transparent));
    chunk(&mut png, b"IEND", &[]);
    png
}

fn pixels(width: u32, height: u32, is_transparent: bool) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let columns = usize::try_from(width).unwrap_or_default();
    for row in 0..height {
        let shade = u8::try_from(u64::from(row) * 255 / u64::from(height)).unwrap_or_default();
        let pixel: &[u8] = if is_transparent { &[shade, OPAQUE] } else { &[shade] };
        let mut line = [&[NO_FILTER], pixel.repeat(columns).as_slice()].concat();
        if let Some(alpha) = line.get_mut(2).filter(|_| is_transparent) {
            *alpha = INVISIBLE;
        }
        // Writing into a Vec cannot fail.
        let _ = encoder.write_all(&line);
    }
    encoder.finish().unwrap_or_default()
}

fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    png.extend_from_slice(&length.to_be_bytes());
    let mut sum = Crc::new();
    sum.update(kind);
    sum.update(data);
    png.extend_from_slice(kind);
    png.extend_from_slice(data);
    png.extend_from_slice(&sum.sum().to_be_bytes());
}

const OPAQUE: u8 = 255;
const INVISIBLE: u8 = 0;
const GREY: u8 = 0;
const GREY_AND_ALPHA: u8 = 4;
const NO_FILTER: u8 = 0;
