//! Words of the APIs as JSON may write them: a letter by its number is the same letter.

use http::StatusCode;
use serde_json::Value;

use super::harness::Proxy;

/// Sends `body` with each `~` as an escape of the letter that follows it, and without.
async fn both(proxy: &Proxy, path: &str, body: &str) -> [(StatusCode, String, Option<Value>); 2] {
    let mut escaped = String::new();
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '~' => escaped += &format!("\\u{:04x}", u32::from(letters.next().unwrap())),
            other => escaped.push(other),
        }
    }
    let mut found = Vec::new();
    for body in [body.replace('~', ""), escaped] {
        proxy.simulator.forget_requests();
        let request = proxy.http.post(format!("{}{path}", proxy.base)).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        let ignored = answer.headers().get("x-codex-proxy-ignored").map(|value| value.to_str().unwrap().to_owned());
        let status = answer.status();
        answer.bytes().await.unwrap();
        let mut sent = proxy
            .simulator
            .requests_to("/responses")
            .pop()
            .map(|request| serde_json::from_slice::<Value>(&request.bytes).unwrap());
        if let Some(sent) = &mut sent {
            sent["prompt_cache_key"] = Value::Null;
        }
        found.push((status, ignored.unwrap_or_default(), sent));
    }
    found.try_into().unwrap()
}

#[tokio::test]
async fn a_letter_by_its_number_is_the_same_letter() {
    let proxy = Proxy::start().await;
    let tools = r#""tools":[{"type":"function","name":"f","parameters":{}},{"type":"web_~search"}]"#;
    let hi = r#"{"role":"user","content":"hi json"}"#;
    let pixel = "iVBORw0KGgo=";
    let chat = [
        format!(r#""messages":[{hi}],"modalities":["text","~audio"]"#),
        format!(r#""messages":[{hi}],{tools},"tool_choice":"~auto""#),
        format!(r#""messages":[{hi}],"web_search_options":{{"search_context_size":"~low"}}"#),
        format!(r#""messages":[{hi}],"reasoning":{{"summary":"n~one"}}"#),
        format!(r#""messages":[{hi}],"reasoning_effort":"l~ow""#),
        r#""messages":[{"role":"user","content":[{"type":"image_~url","image_url":{"url":"https:~/~/x.example/a.png","detail":"~low"}}]}]"#.to_owned(),
        r#""messages":[{"role":"us~er","content":"x","images":["https:~/~/x.example/a.png"]}]"#.to_owned(),
    ];
    let messages = [
        r#""messages":[{"role":"user","content":[{"type":"t~ext","text":"x"}]}]"#.to_owned(),
        r#""messages":[{"role":"user","content":[{"type":"input_~text","text":"x"}]}]"#.to_owned(),
        format!(
            r#""messages":[{{"role":"user","content":[{{"type":"im~age","source":{{"type":"b~ase64","media_type":"image/png","data":"{pixel}"}}}}]}}]"#
        ),
        r#""messages":[{"role":"user","content":[{"type":"doc~ument","source":{"type":"te~xt","data":"x"}}]}]"#.to_owned(),
        r#""messages":[{"role":"user","content":[{"type":"document","source":{"type":"content","content":[{"type":"t~ext","text":"x"}]}}]}]"#.to_owned(),
        format!(
            r#""messages":[{hi},{{"role":"assistant","content":[{{"type":"tool_~use","id":"a","name":"f","input":{{}}}}]}},
            {{"role":"user","content":[{{"type":"tool_~result","tool_use_id":"a","content":"[tool ~error] x","is_error":true}}]}}]"#
        ),
        format!(
            r#""messages":[{hi},{{"role":"assistant","content":[
                {{"type":"server_tool_~use","id":"s","name":"web_~search","input":{{"query":"q"}}}},
                {{"type":"web_search_tool_~result","tool_use_id":"s","content":[]}},
                {{"type":"mcp_tool_~use","id":"m","name":"g","server_name":"s","input":{{}}}}]}},{hi}]"#
        ),
        format!(
            r#""messages":[{hi},{{"role":"system","clear_at":"next_~user_message","content":[{{"type":"tool_~removal","tool":"f"}}]}},{hi}]"#
        ),
        format!(
            r#""messages":[{hi}],"tools":[{{"name":"f","input_schema":{{"type":"object"}}}}],"tool_choice":{{"type":"f~unction","function":{{"name":"f"}}}}"#
        ),
        format!(r#""messages":[{hi}],"thinking":{{"type":"adaptive","display":"~omitted"}},"speed":"~fast""#),
        format!(r#""messages":[{hi}],"context_management":{{"edits":[{{"type":"clear_~thinking_20251015"}}]}}"#),
    ];
    let responses = [
        r#""input":[{"role":"syst~em","content":"x"}]"#.to_owned(),
        r#""input":[{"role":"~user","content":[{"type":"t~ext","text":"x"},{"type":"image_~url","image_url":{"url":"https://x.example/a.png"}}]}]"#.to_owned(),
        format!(
            r#""input":[{{"role":"user","content":[{{"type":"im~age","source":{{"type":"base64","media_type":"image/png","data":"{pixel}"}}}}]}}]"#
        ),
        format!(r#""input":[{hi},{{"role":"~assistant","tool_calls":[{{"id":"a","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"to~ol","tool_call_id":"a","content":"x"}}]"#),
        r#""input":"hi","instructions":"as JSON","text":{"format":{"type":"json_obj~ect"}}"#.to_owned(),
        format!(r#""input":[{hi},{{"type":"tool_search_call","call_id":"t","execution":"s~erver","arguments":{{}}}}]"#),
        format!(r#""input":[{hi},{{"type":"~function_call_output","call_id":"x","output":[{{"type":"~input_text","text":"o"}}]}}]"#),
        format!(r#""input":[{hi}],"tools":[{{"type":"cu~stom","name":"f","input_~schema":{{"type":"object"}}}}],"tool_choice":{{"type":"t~ool","name":"f"}}"#),
        format!(r#""input":[{hi}],{tools},"tool_choice":{{"type":"allowed_~tools","mode":"auto","tools":[{{"type":"web_search_~preview"}}]}}"#),
    ];
    for (path, rest, cases) in [
        ("/v1/chat/completions", "", chat.as_slice()),
        ("/v1/messages", r#","max_tokens":9"#, &messages),
        ("/v1/responses", "", &responses),
    ] {
        for case in cases {
            let [plain, escaped] = both(&proxy, path, &format!(r#"{{"model":"gpt-6.1-sol",{case}{rest}}}"#)).await;
            assert_eq!(plain, escaped, "{path} {case}");
            assert!(plain.0 == StatusCode::OK || case.contains("modalities"), "{path} {case}: {plain:?}");
        }
    }
}
