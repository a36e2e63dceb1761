//! Token counts in the API's form: the tokens read from the cache, those written to it and the rest add up to the
//! prompt.

use crate::backend::event::Usage;
use crate::json::ObjectWriter;

/// Writes `usage`; zeros if the backend has told none.
pub(super) fn write(usage: Option<Usage>, searches: u64, out: &mut Vec<u8>) {
    let usage = usage.unwrap_or_default();
    // For any counts of the backend, the three add up to the prompt.
    let read = usage.cached_tokens().min(usage.input_tokens);
    let rest = usage.input_tokens - read;
    let written = usage.cache_write_tokens().unwrap_or_default().min(rest);
    let mut object = ObjectWriter::begin(out);
    object
        .unsigned("input_tokens", rest - written)
        .unsigned("cache_creation_input_tokens", written)
        .unsigned("cache_read_input_tokens", read)
        .unsigned("output_tokens", usage.output_tokens);
    if usage.reasoning_tokens() > 0 {
        let mut details = ObjectWriter::begin(object.key("output_tokens_details"));
        details.unsigned("thinking_tokens", usage.reasoning_tokens());
        details.end();
    }
    if searches > 0 {
        let mut tools = ObjectWriter::begin(object.key("server_tool_use"));
        tools.unsigned("web_search_requests", searches);
        tools.end();
    }
    object.end();
}
