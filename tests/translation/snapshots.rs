//! Everything a client is sent for each of the project's own streams, kept as files in `snapshots/`.
//!
//! * One file a stream: the chat chunks, the chat completion, the last event of the Responses stream, the response.
//! * A test only compares; `just snapshots` writes the files anew, and the difference is read before it is committed.

use std::path::Path;

use super::fold::{chunks, collect, completion, meta, relay};

/// What the machines make of `stream`, one section each.
fn translated(stream: &[u8]) -> String {
    let text = |(bytes, step): (Vec<u8>, codex_proxy::backend::answer::Step)| {
        format!("{}\n=> {step:?}", String::from_utf8(bytes).unwrap().trim_end())
    };
    let (relayed, step) = relay(&[stream]);
    let whole = String::from_utf8(relayed).unwrap();
    let last = whole.trim_end().rsplit("\n\n").next().unwrap_or_default().as_bytes().to_vec();
    [
        ("chat chunks", text(chunks(&meta(), &[stream]))),
        ("chat completion", text(completion(&meta(), &[stream]))),
        ("last event of the relayed stream", text((last, step))),
        ("collected response", text(collect(&[stream]))),
    ]
    .map(|(title, text)| format!("## {title}\n\n{text}\n"))
    .join("\n")
}

#[test]
fn own_streams_are_translated_as_ever() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/streams");
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let mut compared = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|extension| extension == "sse") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            insta::assert_snapshot!(name, translated(&std::fs::read(&path).unwrap()));
            compared += 1;
        }
    }
    assert!(compared >= 10, "the fixtures are there");
}
