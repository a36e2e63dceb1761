//! Request bodies of any size and of many shapes: what a client sends, and what one sends that means harm.

mod messages;

use std::fmt::Write as _;

use messages::{MESSAGES, nested_documents};

/// A request body that grows by repeating one piece.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) route: &'static str,
    /// What stands before the pieces and behind them.
    around: (String, String),
    /// The piece. `@` stands for its number, `$` for the number in 200 digits. If it has a `¦`, what follows that comes after
    /// all the pieces, in reversed order.
    piece: &'static str,
    separator: &'static str,
}

impl Shape {
    /// A body of at least `size` bytes, and of hardly more.
    pub(crate) fn body(&self, size: usize) -> String {
        let (piece, echo) = self.piece.split_once('¦').unwrap_or((self.piece, ""));
        // The part of the size that is left for the echoes.
        let echoes = size * echo.len() / (piece.len() + echo.len());
        let mut body = String::with_capacity(size + 4096);
        body.push_str(&self.around.0);
        let mut count = 0;
        while body.len() + self.around.1.len() + echoes < size {
            if count > 0 {
                body.push_str(self.separator);
            }
            write_piece(&mut body, piece, count);
            count += 1;
        }
        for number in (0..count).rev().take_while(|_| !echo.is_empty()) {
            body.push_str(self.separator);
            write_piece(&mut body, echo, number);
        }
        body.push_str(&self.around.1);
        body
    }
}

fn write_piece(body: &mut String, piece: &str, number: usize) {
    for letter in piece.chars() {
        // Writing into a String has no way to fail.
        let _ = match letter {
            '@' => write!(body, "{number}"),
            '$' => write!(body, "{number:0200}"),
            _ => write!(body, "{letter}"),
        };
    }
}

/// All shapes, by route.
pub(crate) fn all() -> Vec<Shape> {
    let tables = [("/v1/chat/completions", CHAT), ("/v1/responses", RESPONSES), ("/v1/messages", MESSAGES)];
    let rows = tables.into_iter().flat_map(|(route, table)| table.iter().map(move |row| (route, row)));
    let shape = |(route, &(name, (before, after), piece)): (&'static str, &Row)| {
        let separator = if JOINED.contains(&name) { "" } else { "," };
        Shape { name, route, around: (before.to_owned(), after.to_owned()), piece, separator }
    };
    rows.map(shape).chain([nested_documents()]).collect()
}

/// The shapes whose pieces make one text.
const JOINED: [&str; 5] = ["text", "escaped", "image", "space", "long stop sequence"];

/// A shape's name, what is around its pieces, and a piece.
type Row = (&'static str, (&'static str, &'static str), &'static str);

/// In a conversation: behind the message that says what the backend is to answer.
const TURNS: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "},"#, "]}");
const TOOLS: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"tools":["#, "]}");
const TEXT: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "#, r#""}]}"#);
const PARTS: (&str, &str) =
    (r#"{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"plan:1:0 "},"#, "]}]}");
const ROOT: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"#, "}");
const SCHEMA: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"#,
    "}}}}]}",
);
const IMAGE: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"plan:1:0 "},{"type":"image_url","image_url":{"url":"data:image/png;base64,"#,
    r#""}}]}]}"#,
);
const ONE_MESSAGE: (&str, &str) = (
    r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "},{"role":"assistant","content":null,"tool_calls":["#,
    "]}]}",
);

const CHAT: &[Row] = &[
    ("text", TEXT, "@ words of no importance "),
    ("escaped", TEXT, r"\u00e4\n\t\\@"),
    ("image", IMAGE, "iVBORw0KGgoAAAANSUhEUgAA"),
    ("space", TURNS_AND_SPACE, "        \n"),
    ("messages", TURNS, r#"{"role":"assistant","content":"said @"},{"role":"user","content":"asked @"}"#),
    ("instructions", TURNS, r#"{"role":"system","content":"rule @"}"#),
    ("leading instructions", LEADING, r#"{"role":"system","content":"rule @"}"#),
    (
        "calls",
        TURNS,
        r#"{"role":"assistant","tool_calls":[{"id":"call_@","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_@","content":"@"}"#,
    ),
    (
        "equal ids",
        TURNS,
        r#"{"role":"assistant","tool_calls":[{"id":"call","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call","content":"@"}"#,
    ),
    (
        "escaped ids",
        TURNS,
        r#"{"role":"assistant","tool_calls":[{"id":"\u0061\u0062$","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"\u0061\u0062$","content":"@"}"#,
    ),
    ("calls of one message", ONE_MESSAGE, r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}"#),
    ("orphans", TURNS, r#"{"role":"tool","tool_call_id":"call_@","content":"@"}"#),
    ("equal orphans", TURNS, r#"{"role":"tool","tool_call_id":"call","content":"@"}"#),
    (
        "legacy calls",
        TURNS,
        r#"{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"@"}"#,
    ),
    (
        "odd names",
        TURNS,
        r#"{"role":"assistant","tool_calls":[{"id":"call_@","type":"function","function":{"name":"f.@","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_@","content":"@"}"#,
    ),
    ("parts", PARTS, r#"{"type":"text","text":"part @"}"#),
    ("images", PARTS, r#"{"type":"image_url","image_url":{"url":"https://example.com/@.png"}}"#),
    ("ignored keys", ROOT, r#""key_@":1"#),
    ("equal keys", ROOT, r#""user":"@""#),
    ("ignored keys of messages", TURNS, r#"{"role":"user","content":"a","key_@":1}"#),
    ("tools", TOOLS, r#"{"type":"function","function":{"name":"f_@","parameters":{"type":"object"}}}"#),
    ("odd tools", TOOLS, r#"{"type":"function","function":{"name":"f.@"}}"#),
    ("properties", SCHEMA, r#""p@":{"type":"string","description":"@"}"#),
    ("deep arrays", SCHEMA, r#""p@":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"#),
];

const TURNS_AND_SPACE: (&str, &str) = (r#"{"stream":true,"messages":[{"role":"user","content":"plan:1:0 "}"#, "]}");
const LEADING: (&str, &str) = (r#"{"stream":true,"messages":["#, r#",{"role":"user","content":"plan:1:0 "}]}"#);

const INPUT: (&str, &str) = (r#"{"stream":true,"input":[{"role":"user","content":"plan:1:0 "},"#, "]}");
const INPUT_TEXT: (&str, &str) = (r#"{"stream":true,"input":"plan:1:0 "#, r#""}"#);
const INPUT_TOOLS: (&str, &str) = (r#"{"stream":true,"input":"plan:1:0 ","tools":["#, "]}");
const INPUT_ROOT: (&str, &str) = (r#"{"stream":true,"input":"plan:1:0 ","#, "}");
const INPUT_PARTS: (&str, &str) =
    (r#"{"stream":true,"input":[{"role":"user","content":[{"type":"input_text","text":"plan:1:0 "},"#, "]}]}");
/// A turn whose answer has the item that references name.
const REFERENCES: (&str, &str) = (r#"{"stream":true,"input":[{"role":"user","content":"plan:1:0 "},"#, "]}");

const RESPONSES: &[Row] = &[
    ("text", INPUT_TEXT, "@ words of no importance "),
    ("escaped", INPUT_TEXT, r"\u00e4\n\t\\@"),
    (
        "messages",
        INPUT,
        r#"{"role":"assistant","content":[{"type":"output_text","text":"said @"}]},{"role":"user","content":"asked @"}"#,
    ),
    (
        "calls",
        INPUT,
        r#"{"type":"function_call","call_id":"call_@","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call_@","output":"@"}"#,
    ),
    (
        "equal ids",
        INPUT,
        r#"{"type":"function_call","call_id":"call","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"call","output":"@"}"#,
    ),
    (
        "escaped ids",
        INPUT,
        r#"{"type":"function_call","call_id":"\u0061$","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"\u0061$","output":"@"}"#,
    ),
    ("calls alone", INPUT, r#"{"type":"function_call","call_id":"c","name":"f","arguments":"{}"}"#),
    ("orphans", INPUT, r#"{"type":"function_call_output","call_id":"call_@","output":"@"}"#),
    (
        "early outputs",
        INPUT,
        r#"{"type":"function_call_output","call_id":"call_@","output":"@"},{"type":"function_call","call_id":"call_@","name":"f","arguments":"{}"}"#,
    ),
    ("odd names", INPUT, r#"{"type":"function_call","call_id":"c@","name":"f.@","arguments":"{}"}"#),
    ("parts", INPUT_PARTS, r#"{"type":"input_text","text":"part @"}"#),
    ("reasoning", INPUT, r#"{"type":"reasoning","id":"rs_@","summary":[],"encrypted_content":"e@"}"#),
    (
        "reasoning of messages",
        INPUT,
        r#"{"type":"reasoning","id":"rs_@","summary":[],"encrypted_content":"e@"},{"role":"assistant","content":"said @"}"#,
    ),
    ("lost references", INPUT, r#"{"type":"item_reference","id":"rs_@"}"#),
    ("references", REFERENCES, r#"{"type":"item_reference","id":"item_1"}"#),
    ("ignored keys", INPUT_ROOT, r#""key_@":1"#),
    ("ignored keys of items", INPUT, r#"{"role":"user","content":"a","key_@":1}"#),
    ("tools", INPUT_TOOLS, r#"{"type":"function","name":"f_@","parameters":{"type":"object"}}"#),
    ("odd tools", INPUT_TOOLS, r#"{"type":"function","name":"f.@","parameters":{"type":"object"}}"#),
];
