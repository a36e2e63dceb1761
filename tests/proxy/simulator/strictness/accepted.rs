//! What must pass: well-formed requests, and those of the official client.

use std::io::Write as _;

use codex_proxy::simulator::SimulatedCatalogue;
use serde_json::{Value, json};

use super::{call, effort, found, input, json_mode, message, output, search, tools, with};
use crate::simulator::support::{Backend, body, function, user};

#[tokio::test]
async fn well_formed_requests_pass() {
    let backend = Backend::start().await;
    let first = backend.ask(&with("reasoning", json!({ "effort": "low", "summary": "auto" }))).await;
    let replay = first.items();
    assert_eq!(replay[0]["type"], "reasoning");
    let weather = || function("get_weather", "city");
    let custom = json!({ "type": "custom", "name": "apply_patch", "description": "", "format": { "type": "grammar", "syntax": "lark", "definition": "start: /.+/" } });
    let pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
    let history = [&[user("Hello")], replay.as_slice(), &[user("Go on")]].concat();
    let accepted = [
        input(&history),
        with("model", json!("gpt-6-luna")),
        with("model", json!("codex-auto-review")),
        with("service_tier", json!("priority")),
        with("reasoning", json!({ "effort": "max" })),
        effort("gpt-6.1-terra", "none"),
        json_mode("", &user("as Json, please")),
        json_mode("", &message("developer", &json!({ "type": "input_text", "text": "JSON" }))),
        input(&[user("Hello"), search("client"), found("client"), search("server")]),
        tools(&[function(&"x".repeat(64), "c")], json!("auto")),
        with("tool_choice", json!("auto")),
        tools(
            &[
                weather(),
                custom,
                json!({ "type": "web_search" }),
                json!({ "type": "image_generation", "output_format": "png" }),
            ],
            json!({ "type": "custom", "name": "apply_patch" }),
        ),
        tools(
            &[weather()],
            json!({ "type": "allowed_tools", "mode": "auto", "tools": [{ "type": "function", "name": "get_weather" }] }),
        ),
        input(&[user("a"), call("1"), call("2"), output("2"), user("between"), output("1")]),
        input(&[message("user", &json!({ "type": "input_image", "image_url": pixel, "detail": "high" }))]),
        input(&[message("user", &json!({ "type": "input_image", "image_url": "https://example.com/a.png" }))]),
        input(&[message(
            "user",
            &json!({ "type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0=" }),
        )]),
        input(&[
            call("1"),
            json!({ "type": "function_call_output", "call_id": "1", "output": [{ "type": "input_image", "image_url": pixel }] }),
        ]),
        input(&[json!({ "role": "developer", "content": "Be brief" }), user("Hello")]),
    ];
    for body in accepted {
        let answer = backend.ask(&body).await;
        assert_eq!(answer.status, 200, "{body}: {}", answer.text);
        assert_eq!(answer.types().last().map(String::as_str), Some("response.completed"), "{body}");
    }
}

/// The official client's requests, recorded; the folder can be named by an environment variable.
#[tokio::test]
async fn the_official_clients_requests_pass() {
    let beside =
        ["../shared/captures", "../../shared/captures"].map(|path| format!("{}/{path}", env!("CARGO_MANIFEST_DIR")));
    let named = std::env::var("CODEX_PROXY_CAPTURES").ok();
    let mut folders = named.into_iter().chain(beside);
    let Some(folder) = folders.find(|folder| std::path::Path::new(folder).is_dir()) else {
        println!("no recordings here: nothing checked");
        return;
    };
    let backend = Backend::start().await;
    backend.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
    let mut checked = 0;
    for name in ["codex-0144-chatgpt.jsonl", "codex-0130-chatgpt.jsonl"] {
        let Ok(text) = std::fs::read_to_string(format!("{folder}/{name}")) else {
            println!("no {name} in {folder}: not checked");
            continue;
        };
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            if record["method"] != "POST" || !record["body"].is_object() {
                continue;
            }
            let answer = backend.ask(&record["body"]).await;
            assert_eq!(answer.status, 200, "{name} {}: {}", record["n"], answer.text);
            checked += 1;
        }
    }
    println!("{checked} recorded requests accepted");
}

/// A request of the official client's shape, written for this test: it passes without the recordings too.
#[tokio::test]
async fn a_compressed_request_of_the_official_shape_passes() {
    let backend = Backend::start().await;
    let metadata = json!({ "turn_id": "t" });
    let mut request = body("Run echo hello");
    request["input"][0]["internal_chat_message_metadata_passthrough"] = metadata;
    let namespace =
        json!({ "type": "namespace", "name": "image_gen", "description": "", "tools": [function("make", "prompt")] });
    let search =
        json!({ "type": "tool_search", "execution": "client", "description": "", "parameters": { "type": "object" } });
    let web = json!({ "type": "web_search", "external_web_access": true, "search_content_types": ["text", "image"] });
    request["tools"] = json!([function("exec_command", "cmd"), namespace, search, web]);
    request["tool_choice"] = json!("auto");
    request["parallel_tool_calls"] = json!(true);
    request["reasoning"] = json!({ "effort": "medium" });
    request["prompt_cache_key"] = json!("01a208e3-0000-7782-a7ae-d758794ec93e");
    request["text"] = json!({ "verbosity": "low" });
    request["client_metadata"] = json!({ "x-codex-installation-id": "i", "session_id": "s" });
    let bytes =
        ruzstd::encoding::compress_to_vec(request.to_string().as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let mut sent = backend.request(&request);
    *sent.body_mut() = bytes.into();
    sent.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    let answer = crate::simulator::support::send(sent).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(backend.simulator.requests()[0].json(), request);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(request.to_string().as_bytes()).unwrap();
    let mut sent = backend.request(&request);
    *sent.body_mut() = gzip.finish().unwrap().into();
    sent.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(crate::simulator::support::send(sent).await.status, 200);
    let mut broken = backend.request(&request);
    broken.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    assert_eq!(crate::simulator::support::send(broken).await.status, 400);
}
