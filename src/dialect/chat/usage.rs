//! Token counts in the shape of Chat Completions.

use crate::backend::event::Usage;
use crate::json::ObjectWriter;

/// Writes chat's `usage` object; an estimate knows no details.
pub(super) fn write(usage: Usage, out: &mut Vec<u8>) {
    let mut object = ObjectWriter::begin(out);
    object
        .unsigned("prompt_tokens", usage.input_tokens)
        .unsigned("completion_tokens", usage.output_tokens)
        .unsigned("total_tokens", usage.total());
    if !usage.is_estimate {
        let mut prompt = ObjectWriter::begin(object.key("prompt_tokens_details"));
        prompt.unsigned("cached_tokens", usage.cached_tokens());
        if let Some(written) = usage.cache_write_tokens() {
            prompt.unsigned("cache_write_tokens", written);
        }
        prompt.end();
        let mut completion = ObjectWriter::begin(object.key("completion_tokens_details"));
        completion.unsigned("reasoning_tokens", usage.reasoning_tokens());
        completion.end();
    }
    object.end();
}
