//! Requests of the Messages API.

use super::{Row, Shape};

/// In a conversation: behind the message that says what the backend is to answer.
const TURNS: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "},"#, "]}");
const TURNS_AND_SPACE: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}"#, "]}");
const TEXT: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "#, r#""}]}"#);
const BLOCKS: (&str, &str) =
    (r#"{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"plan:1:0 "},"#, "]}]}");
const IMAGE: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"plan:1:0 "},{"type":"image","source":{"type":"base64","media_type":"image/png","data":""#,
    r#""}}]}]}"#,
);
const ANSWER: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "},{"role":"assistant","content":["#,
    r#"]},{"role":"user","content":"and?"}]}"#,
);
const SYSTEM: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"system":["#, "]}");
const TOOLS: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"tools":["#, "]}");
const SCHEMA: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"tools":[{"name":"f","input_schema":{"type":"object","properties":{"#,
    "}}}]}",
);
const FORMAT: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object","additionalProperties":false,"properties":{"#,
    "}}}}}",
);
const EDITS: (&str, &str) =
    (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"context_management":{"edits":["#, "]}}");
const STOP: (&str, &str) =
    (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"stop_sequences":[""#, r#""]}"#);
const STOPS: (&str, &str) =
    (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"stop_sequences":["#, "]}");
const ROOT: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"#, "}");

/// A document of blocks, of which one is a document, and so on, as deep as a body may be.
pub(super) fn nested_documents() -> Shape {
    const DEPTH: usize = 29;
    let (before, after) = BLOCKS;
    let open = r#"{"type":"document","source":{"type":"content","content":["#.repeat(DEPTH);
    Shape {
        name: "nested documents",
        route: "/v1/messages",
        around: (format!("{before}{open}"), format!("{}{after}", "]}}".repeat(DEPTH))),
        piece: r#"{"type":"text","text":"@ words of no importance"}"#,
        separator: ",",
    }
}

pub(super) const MESSAGES: &[Row] = &[
    ("text", TEXT, "@ words of no importance "),
    ("escaped", TEXT, r#"\u00e4\n\t\\@"#),
    ("image", IMAGE, "iVBORw0KGgoAAAANSUhEUgAA"),
    ("space", TURNS_AND_SPACE, "        \n"),
    ("messages", TURNS, r#"{"role":"assistant","content":"said @"},{"role":"user","content":"asked @"}"#),
    ("blocks", BLOCKS, r#"{"type":"text","text":"part @"}"#),
    ("cache control", BLOCKS, r#"{"type":"text","text":"part @","cache_control":{"type":"ephemeral"}}"#),
    ("ignored keys of blocks", BLOCKS, r#"{"type":"text","text":"a","key_@":1}"#),
    ("unknown blocks", BLOCKS, r#"{"type":"hologram","depth":@}"#),
    ("images", BLOCKS, r#"{"type":"image","source":{"type":"url","url":"https://example.com/@.png"}}"#),
    (
        "documents",
        BLOCKS,
        r#"{"type":"document","title":"t@","context":"c","source":{"type":"text","media_type":"text/plain","data":"@"}}"#,
    ),
    (
        "documents of blocks",
        BLOCKS,
        r#"{"type":"document","title":"t@","source":{"type":"content","content":[{"type":"text","text":"@"}]}}"#,
    ),
    (
        "search results",
        BLOCKS,
        r#"{"type":"search_result","title":"t@","source":"s","content":[{"type":"text","text":"@"}]}"#,
    ),
    ("instructions", SYSTEM, r#"{"type":"text","text":"rule @","cache_control":{"type":"ephemeral"}}"#),
    ("later instructions", TURNS, r#"{"role":"system","content":"rule @"}"#),
    (
        "calls",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_@","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_@","content":"@"}]}"#,
    ),
    (
        "failed calls",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_@","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_@","is_error":true}]}"#,
    ),
    (
        "equal ids",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call","content":"@"}]}"#,
    ),
    (
        "escaped ids",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"\u0061$","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"\u0061$","content":"@"}]}"#,
    ),
    ("calls of one message", ANSWER, r#"{"type":"tool_use","id":"c","name":"f","input":{}}"#),
    ("orphans", BLOCKS, r#"{"type":"tool_result","tool_use_id":"call_@","content":"@"}"#),
    ("equal orphans", BLOCKS, r#"{"type":"tool_result","tool_use_id":"call","content":"@"}"#),
    (
        "odd names",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"tool_use","id":"call_@","name":"f.@","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_@","content":"@"}]}"#,
    ),
    (
        "results of blocks",
        BLOCKS,
        r#"{"type":"tool_result","tool_use_id":"call_@","content":[{"type":"text","text":"@"},{"type":"tool_reference","tool_name":"f.@"}]}"#,
    ),
    (
        "server calls",
        ANSWER,
        r#"{"type":"server_tool_use","id":"s@","name":"web_search","input":{"query":"q"}},{"type":"web_search_tool_result","tool_use_id":"s@","content":[{"type":"web_search_result","url":"u@"}]}"#,
    ),
    (
        "server calls reversed",
        ANSWER,
        r#"{"type":"server_tool_use","id":"s@","name":"web_search","input":{"query":"q"}}¦{"type":"web_search_tool_result","tool_use_id":"s@","content":[{"type":"web_search_result","url":"u@"}]}"#,
    ),
    (
        "server calls of one id",
        ANSWER,
        r#"{"type":"server_tool_use","id":"s","name":"code","input":{"a":@}}¦{"type":"code_tool_result","tool_use_id":"s","content":"@"}"#,
    ),
    (
        "remote calls",
        ANSWER,
        r#"{"type":"mcp_tool_use","id":"s@","name":"f","server_name":"m","input":{"a":@}},{"type":"mcp_tool_result","tool_use_id":"s@","content":[{"type":"text","text":"@"}]}"#,
    ),
    (
        "thinking",
        TURNS,
        r#"{"role":"assistant","content":[{"type":"thinking","thinking":"t@","signature":"cpx1.AQcHBwcHBwcHAAAAC2dwdC02LjEtc29sAAAAAGdBQUFBQg"},{"type":"text","text":"said @"}]},{"role":"user","content":"asked @"}"#,
    ),
    (
        "thinking alone",
        ANSWER,
        r#"{"type":"thinking","thinking":"t@","signature":"cpx1.AQcHBwcHBwcHAAAAC2dwdC02LjEtc29sAAAAAGdBQUFBQg"}"#,
    ),
    (
        "thinking of others",
        ANSWER,
        r#"{"type":"thinking","thinking":"t@","signature":"EqQBCgIYAh@"},{"type":"redacted_thinking","data":"EmwKAhgB@"}"#,
    ),
    ("edits of thinking", EDITS, r#"{"type":"clear_thinking_20251015","keep":{"type":"thinking_turns","value":@}}"#),
    ("other edits", EDITS, r#"{"type":"clear_tool_uses_20250919","keep":{"type":"tool_uses","value":@}}"#),
    ("tools", TOOLS, r#"{"name":"f_@","input_schema":{"type":"object"},"cache_control":{"type":"ephemeral"}}"#),
    ("deferred tools", TOOLS, r#"{"name":"f_@","input_schema":{"type":"object"},"defer_loading":true}"#),
    ("odd tools", TOOLS, r#"{"name":"f.@","input_schema":{"type":"object"}}"#),
    ("equal tools", TOOLS, r#"{"name":"f","input_schema":{"type":"object"}}"#),
    (
        "tools with examples",
        TOOLS,
        r#"{"name":"f_@","input_schema":{"type":"object"},"input_examples":[{"a":@},{"b":@}]}"#,
    ),
    ("built-in tools", TOOLS, r#"{"type":"memory_1","name":"m@"}"#),
    ("searches", TOOLS, r#"{"type":"web_search_1","name":"s@"}"#),
    (
        "added tools",
        TURNS,
        r#"{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"f_@","input_schema":{"type":"object"}}}}]}"#,
    ),
    (
        "added and removed tools",
        TURNS,
        r#"{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"f_@","input_schema":{"type":"object"}}}}]}¦{"role":"system","content":[{"type":"tool_removal","tool":{"type":"tool_reference","name":"f_@"}}]}"#,
    ),
    (
        "one tool added anew",
        TURNS,
        r#"{"role":"system","content":[{"type":"tool_addition","tool":{"type":"tool_definition","definition":{"name":"f","input_schema":{"type":"object"}}}},{"type":"tool_removal","tool":{"name":"f"}}]}"#,
    ),
    ("properties", SCHEMA, r#""p@":{"type":"string","description":"@"}"#),
    ("structured output", FORMAT, r#""p@":{"type":"string","description":"@"}"#),
    ("long stop sequence", STOP, "@ is where it ends "),
    ("many stop sequences", STOPS, r#""s@""#),
    ("ignored keys", ROOT, r#""key_@":1"#),
    ("equal keys", ROOT, r#""service_tier":"@""#),
    ("ignored keys of messages", TURNS, r#"{"role":"user","content":"a","key_@":1}"#),
];
