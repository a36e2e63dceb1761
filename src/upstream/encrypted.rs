//! Rejections of encrypted content: reasoning or a compaction that the backend cannot read.
//!
//! They are recognised by their message as well as by their code, which may be absent. Observed: "The encrypted content
//! gAAA...Rg== could not be verified." (openai/codex#8132), the same with a reason after it or with "for item rs_…" in
//! it (miuuyy/codex-chatgpt-web#249), and "Encrypted function output content could not be decrypted or decoded."

use crate::fault::FaultKind;
use crate::upstream::failed_attempt::FailedAttempt;

/// Returns whether `failed` concerns encrypted content. If its code is missing or less specific, it gets the code
/// known to clients, and counts as the request's fault whatever its status.
pub(super) fn recognise(failed: &mut FailedAttempt) -> bool {
    let error = &mut failed.error;
    if error.code() != Some(CODE) {
        let words = error.message.to_ascii_lowercase();
        if !words.contains("encrypted") || !UNREADABLE.iter().any(|reason| words.contains(reason)) {
            return false;
        }
        error.code = Some(CODE.into());
        error.kind = FaultKind::InvalidRequest;
    }
    true
}

const CODE: &str = "invalid_encrypted_content";

const UNREADABLE: [&str; 2] = ["could not be verified", "could not be decrypted"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    fn recognised(kind: FaultKind, message: &str) -> Option<Fault> {
        let mut failed = FailedAttempt::from(Fault::new(kind, message));
        recognise(&mut failed).then_some(failed.error)
    }

    #[test]
    fn by_words_or_by_code() {
        for message in [
            "The encrypted content gAAA...Rg== could not be verified.",
            "The encrypted content for item rs_1 could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            "Encrypted function output content could not be decrypted or decoded.",
        ] {
            let error = recognised(FaultKind::UpstreamServerError, message).unwrap();
            assert_eq!((error.status().as_u16(), error.code()), (400, Some(CODE)), "{message}");
        }
        let mut coded = FailedAttempt::from(Fault::new(FaultKind::InvalidRequest, "no").with_code(CODE));
        assert!(recognise(&mut coded));
        for other in ["The image could not be verified.", "encrypted", "Item could not be decrypted"] {
            assert!(recognised(FaultKind::InvalidRequest, other).is_none(), "{other}");
        }
    }
}
