//! Files where the backend refuses them: they are sent once more in another form, and nothing of them is lost.

use codex_proxy::simulator::RefusedFiles;
use serde_json::{Value, json};

use super::*;

fn text(text: &str) -> Value {
    json!({ "type": "input_text", "text": text })
}

const MOVED: &str = "[The file is in the message after the tool outputs.]";

async fn refusing(refused: RefusedFiles) -> Proxy {
    let proxy = Proxy::start().await;
    proxy.simulator.configure(|settings| settings.refused_files = refused);
    proxy
}

#[tokio::test]
async fn a_document_at_a_url_is_named_where_the_backend_does_not_load_it() {
    let document = json!({ "type": "document", "source": { "type": "url", "url": "https://example.com/a.pdf" } });
    let mut body = asked("");
    body["messages"][0]["content"] = json!([{ "type": "text", "text": "read" }, document]);
    let proxy = refusing(RefusedFiles { at_urls: true, in_outputs: false }).await;
    for calls in [2, 4] {
        let answer = ask(&proxy, &body).await;
        assert_eq!((answer.status.as_u16(), proxy.calls()), (200, calls), "{}", answer.text);
        assert_eq!(
            proxy.last_sent()["input"][0]["content"],
            json!([text("read"), text("Document at the URL https://example.com/a.pdf")])
        );
    }
    // Where it is loaded, it goes as a file.
    let proxy = Proxy::start().await;
    ask(&proxy, &body).await.json();
    assert_eq!((proxy.calls(), &proxy.last_sent()["input"][0]["content"][1]["type"]), (1, &json!("input_file")));
}

#[tokio::test]
async fn the_title_of_a_document_at_a_url_stands_before_it() {
    let proxy = Proxy::start().await;
    let url = "https://example.com/a.pdf";
    let document =
        json!({ "type": "document", "title": "Report", "context": "of May", "source": { "type": "url", "url": url } });
    let expected = json!([text("Report"), text("of May"), { "type": "input_file", "file_url": url }]);
    let mut body = asked("");
    body["messages"] = json!([
        { "role": "user", "content": [document] },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "Read", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "a", "content": [document] }] },
    ]);
    ask(&proxy, &body).await.json();
    let sent = proxy.last_sent();
    assert_eq!((&sent["input"][0]["content"], &sent["input"][2]["output"]), (&expected, &expected));
}

#[tokio::test]
async fn a_file_in_a_tools_result_moves_behind_the_results_where_the_backend_refuses_it() {
    let pdf = |data: &str| {
        json!({ "type": "document", "title": data,
        "source": { "type": "base64", "media_type": "application/pdf", "data": data } })
    };
    let call = |id: &str| json!({ "type": "tool_use", "id": id, "name": "Read", "input": {} });
    let result = |id: &str, content: Value| json!({ "type": "tool_result", "tool_use_id": id, "content": content });
    let mut body = asked("go");
    body["messages"].as_array_mut().unwrap().extend([
        json!({ "role": "assistant", "content": [call("a"), call("b")] }),
        json!({ "role": "user", "content": [
            result("a", json!([{ "type": "text", "text": "read" }, pdf("JVBERi0x")])),
            result("b", json!([pdf("JVBERi0y")])),
            { "type": "text", "text": "and?" },
        ] }),
    ]);
    let proxy = refusing(RefusedFiles { at_urls: true, in_outputs: true }).await;
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls()), (200, 2), "{}", answer.text);
    let input = proxy.last_sent()["input"].clone();
    assert_eq!(input[3]["output"], json!([text("read"), text(MOVED)]));
    assert_eq!(input[4]["output"], json!([text(MOVED)]));
    let names: Vec<&Value> = input[5]["content"].as_array().unwrap().iter().map(|part| &part["filename"]).collect();
    assert_eq!((&input[5]["role"], names), (&json!("user"), vec![&json!("JVBERi0x"), &json!("JVBERi0y")]));
    assert_eq!(input[6]["content"], json!([text("and?")]));
    // Both at once: the file moves, and then its URL is named.
    body["messages"][2]["content"][0]["content"][1]["source"] =
        json!({ "type": "url", "url": "https://example.com/a.pdf" });
    let calls = proxy.calls();
    let answer = ask(&proxy, &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls() - calls), (200, 3), "{}", answer.text);
    assert_eq!(proxy.last_sent()["input"][5]["content"][0], text("Document at the URL https://example.com/a.pdf"));
}

#[tokio::test]
async fn a_request_of_the_responses_api_stays_as_its_client_wrote_it() {
    let proxy = refusing(RefusedFiles { at_urls: true, in_outputs: true }).await;
    let file = json!({ "type": "input_file", "file_url": "https://example.com/a.pdf" });
    let body = json!({ "model": "gpt-6.1-sol", "input": [{ "role": "user", "content": [file] }] });
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!((answer.status.as_u16(), proxy.calls()), (400, 1), "{}", answer.text);
    // A chat's file is this program's to write.
    let file = json!({ "type": "file", "file": { "file_url": "https://example.com/a.pdf" } });
    let chat = json!({ "model": "gpt-6.1-sol", "messages": [{ "role": "user", "content": [file] }] });
    assert_eq!((proxy.chat(&chat).await.status.as_u16(), proxy.calls()), (200, 3));
}
