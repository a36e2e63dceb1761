//! Rejections recognised by their text, because their code may be absent or less specific.
//!
//! * Encrypted content, reasoning or a compaction, that the backend cannot read. Observed: "The encrypted content
//!   gAAA...Rg== could not be verified." (openai/codex#8132), the same with a reason after it or with "for item rs_…" in
//!   it (miuuyy/codex-chatgpt-web#249), and "Encrypted function output content could not be decrypted or decoded."
//! * A prompt that does not fit the model's window: "Your input exceeds the context window of this model. Please adjust
//!   your input and try again.", and the platform API's "This model's maximum context length is 128000 tokens."
//! * An image that the backend cannot read: "The image data you provided does not represent a valid image." The official
//!   client knows it by this text alone (codex-rs/codex-api/src/api_bridge.rs).
//! * A model that the account does not have, which is the backend's answer for a retired one. The first message is the
//!   usual one; the others were observed for gpt-5.5 in September 2026 and for gpt-5.6-luna
//!   (NousResearch/hermes-agent#107174, earendil-works/pi#6615).

use crate::fault::{Fault, FaultKind};

/// Makes `error` the request's fault, whatever its status, if its text is known.
pub(super) fn recognise(error: &mut Fault) {
    let words = error.message.to_ascii_lowercase();
    let has = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    if words.contains("encrypted") && has(&UNREADABLE) {
        error.kind = FaultKind::InvalidRequest;
        // The code by which clients know it.
        error.code = Some(ENCRYPTED.into());
    } else if has(&OVERFLOW) {
        error.kind = FaultKind::ContextLengthExceeded;
        // The kind's own code counts, by which clients know it.
        error.code = None;
    } else if has(&IMAGE) {
        error.kind = FaultKind::Refused;
        error.details.get_or_insert_default().refuses_image = true;
    }
}

/// Returns whether `error`, once recognised, concerns encrypted content.
pub(super) fn is_of_encrypted_content(error: &Fault) -> bool {
    error.code() == Some(ENCRYPTED)
}

/// Returns whether `error` denies the account the model.
pub fn is_of_model(error: &Fault) -> bool {
    error.message.contains("model is not supported when using Codex")
        || (error.kind == FaultKind::ModelNotFound
            && (error.message.contains("does not exist or you do not have access")
                || error.message.starts_with("Model not found")))
}

const ENCRYPTED: &str = "invalid_encrypted_content";

const UNREADABLE: [&str; 2] = ["could not be verified", "could not be decrypted"];

const OVERFLOW: [&str; 2] = ["exceeds the context window", "maximum context length"];

const IMAGE: [&str; 1] = ["does not represent a valid image"];

#[cfg(test)]
mod tests {
    use super::*;

    fn recognised(kind: FaultKind, message: &str) -> Fault {
        let mut error = Fault::new(kind, message);
        recognise(&mut error);
        error
    }

    #[test]
    fn encrypted_content_by_words_or_by_code() {
        for message in [
            "The encrypted content gAAA...Rg== could not be verified.",
            "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            "Encrypted function output content could not be decrypted or decoded.",
        ] {
            let error = recognised(FaultKind::UpstreamServerError, message);
            assert_eq!((error.status().as_u16(), error.code()), (400, Some(ENCRYPTED)), "{message}");
            assert!(is_of_encrypted_content(&error));
        }
        let coded = Fault::new(FaultKind::InvalidRequest, "no").with_code(ENCRYPTED);
        assert!(is_of_encrypted_content(&coded));
        for other in ["The image could not be verified.", "encrypted", "Item could not be decrypted"] {
            assert!(!is_of_encrypted_content(&recognised(FaultKind::InvalidRequest, other)), "{other}");
        }
    }

    #[test]
    fn any_other_text_changes_nothing() {
        for message in ["An image is too large.", "The context is unknown.", "The input exceeds the limit.", ""] {
            let error = recognised(FaultKind::UpstreamServerError, message);
            assert_eq!((error.kind, error.details), (FaultKind::UpstreamServerError, None), "{message}");
        }
    }
}
