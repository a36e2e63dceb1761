//! The seal of a block of reasoning: the contents of its `signature`, or of a redacted block's `data`.
//!
//! * Encrypted reasoning is valid for one account and one model. The seal names both, so that reasoning that would be
//!   refused is not sent, and distinguishes our blocks from those of the real API and of other proxies.
//! * It is [`PREFIX`] and base64url of: a version, eight bytes of the account id's SHA-256, the model, the lengths of
//!   the summary's texts, the encrypted reasoning. The lengths recover the texts, which one block joins. Raw reasoning
//!   shown to the client has a length too, and is not returned: it is no summary, and the encrypted reasoning contains
//!   it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::conversation::turn::{AccountDigest, SealedReasoning};

/// The beginning of every seal of this program.
pub(super) const PREFIX: &str = "cpx1.";
/// The separator between two texts of a summary in a block.
pub(super) const BETWEEN: &str = "\n\n";

/// The length of a text in a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Length {
    /// The length in bytes.
    pub(super) bytes: usize,
    /// Whether the text is raw reasoning and not a part of its summary.
    pub(super) is_raw: bool,
}

/// Seals `encrypted` reasoning of `model` for an account, with the lengths of the texts in its block.
pub(super) fn seal(account: AccountDigest, model: &str, lengths: &[Length], encrypted: &str) -> String {
    let mut bytes = Vec::with_capacity(encrypted.len() + model.len() + 16 + lengths.len() * 4);
    bytes.push(VERSION);
    bytes.extend_from_slice(&account);
    put(&mut bytes, model.len());
    bytes.extend_from_slice(model.as_bytes());
    put(&mut bytes, lengths.len());
    lengths.iter().for_each(|length| put(&mut bytes, length.bytes | if length.is_raw { RAW } else { 0 }));
    bytes.extend_from_slice(encrypted.as_bytes());
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// Opens `seal`, whose block shows `text`; `None` if the seal is not one of this program's.
pub(super) fn open(seal: &str, text: &str) -> Option<SealedReasoning> {
    let bytes = URL_SAFE_NO_PAD.decode(seal.strip_prefix(PREFIX)?).ok()?;
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let account = *take(&mut rest, size_of::<AccountDigest>())?.first_chunk()?;
    let length = number(&mut rest)?;
    let model = String::from_utf8(take(&mut rest, length)?.to_vec()).ok()?;
    let count = number(&mut rest)?;
    let lengths = (0..count).map(|_| number(&mut rest)).collect::<Option<Vec<_>>>()?;
    let encrypted = String::from_utf8(rest.to_vec()).ok().filter(|encrypted| !encrypted.is_empty())?;
    Some(SealedReasoning { summary: split(text, &lengths), encrypted, account, model })
}

/// Splits `text` into the texts of a summary with these lengths; returns it whole if it has been changed.
fn split(text: &str, lengths: &[usize]) -> Vec<String> {
    let mut texts = Vec::new();
    let mut rest = Some(text);
    for (index, length) in lengths.iter().enumerate() {
        let from = if index == 0 { rest } else { rest.and_then(|rest| rest.strip_prefix(BETWEEN)) };
        let Some((piece, left)) = from.and_then(|from| from.split_at_checked(length & !RAW)) else {
            return whole(text);
        };
        if length & RAW == 0 {
            texts.push(piece.to_owned());
        }
        rest = Some(left);
    }
    if rest == Some("") { texts } else { whole(text) }
}

fn whole(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { vec![text.to_owned()] }
}

fn put(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, size_of::<u32>())?;
    usize::try_from(u32::from_be_bytes(*bytes.first_chunk()?)).ok()
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

const VERSION: u8 = 1;
/// The flag in the length of a text that is no summary's.
const RAW: usize = 1 << 31;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_comes_back() {
        let texts = ["one", "", "zwei\n\nund é"];
        let length = |text: &&str| Length { bytes: text.len(), is_raw: false };
        let mut lengths: Vec<Length> = texts.iter().map(length).collect();
        let seal = seal([7; 8], "gpt-6.1-sol", &lengths, "gAAAA_-=");
        assert!(seal.len() <= "gAAAA_-=".len() * 4 / 3 + 120);
        let opened = open(&seal, &texts.join(BETWEEN)).unwrap();
        assert_eq!(opened.summary, texts);
        assert_eq!(
            (opened.account, opened.model.as_str(), opened.encrypted.as_str()),
            ([7; 8], "gpt-6.1-sol", "gAAAA_-=")
        );
        assert_eq!(open(&seal, "another text").unwrap().summary, ["another text"]);
        assert!(open(&seal, "").unwrap().summary.is_empty());
        lengths[0].is_raw = true;
        let seal = super::seal([7; 8], "gpt-6.1-sol", &lengths, "gAAAA_-=");
        assert_eq!(open(&seal, &texts.join(BETWEEN)).unwrap().summary, texts[1..]);
    }

    #[test]
    fn nobody_elses_seal_is_opened() {
        let own = seal([7; 8], "m", &[], "x");
        for other in ["", "EqQBCgIYAh", "cpx1.", "cpx1.!", &own[..own.len() - 4], "cpx2.AAAA"] {
            assert_eq!(open(other, ""), None, "{other}");
        }
    }
}
