//! Encrypted reasoning of earlier turns: given back where it serves, left out where it would be refused.

use std::sync::Arc;
use std::time::Duration;

use codex_proxy::server::guard::Guard;
use codex_proxy::server::guard::key::Keys;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{EncryptedRejection, HttpFault, Scenario, ScriptedAnswer, SimulatedLogin};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, tool};
use crate::common::answer::Answer;

const FORMS: [EncryptedRejection; 3] =
    [EncryptedRejection::Coded, EncryptedRejection::WithoutCode, EncryptedRejection::InStream];

fn user(text: &str) -> Value {
    json!({ "role": "user", "content": text })
}

/// A proxy whose login can be replaced.
async fn start() -> Proxy {
    let guard = Guard { admin_keys: Keys::new(["boss"]), ..Guard::default() };
    Proxy::with(Setup { settings: ServerSettings { guard, ..ServerSettings::default() }, ..Setup::default() }).await
}

async fn replace_login(proxy: &Proxy, account: &str) {
    let login = proxy.simulator.issue_login(SimulatedLogin::default().for_account(account));
    let tokens = &login["tokens"];
    let body = json!({
        "accessToken": tokens["access_token"], "refreshToken": tokens["refresh_token"],
        "accountID": account, "expiresAt": 4_000_000_000_000_u64,
    });
    let request = proxy.http.post(format!("{}/admin/credentials", proxy.base)).header("x-api-key", "boss");
    assert_eq!(request.json(&body).send().await.unwrap().status(), StatusCode::OK);
}

/// A turn that ends in a call, and the messages with which a client goes on.
async fn tool_round(proxy: &Proxy, scenario: Scenario) -> Value {
    let mut body = json!({ "messages": [user("use f")], "tools": [tool("f")] });
    proxy.next(scenario);
    let message = proxy.chat(&body).await.json()["choices"][0]["message"].clone();
    let output = json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "1" });
    body["messages"].as_array_mut().unwrap().extend([message, output]);
    body
}

fn kinds(sent: &Value) -> Vec<String> {
    let items = sent["input"].as_array().unwrap().iter();
    items.map(|item| item.get("role").unwrap_or(&item["type"]).as_str().unwrap().to_owned()).collect()
}

const WITH: [&str; 4] = ["user", "reasoning", "function_call", "function_call_output"];
const WITHOUT: [&str; 3] = ["user", "function_call", "function_call_output"];

/// Asks `body` in both modes, which must succeed, and returns the answers.
async fn both(proxy: &Proxy, path: &str, body: &Value) -> Vec<Answer> {
    let mut answers = Vec::new();
    for stream in [false, true] {
        let mut body = body.clone();
        body["stream"] = stream.into();
        let answer = proxy.post(path, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn reasoning_that_can_no_longer_be_read_is_left_out_and_forgotten() {
    for form in FORMS {
        for stream in [false, true] {
            let proxy = Proxy::start().await;
            proxy.simulator.configure(|settings| settings.encrypted_rejection = form);
            let mut next = tool_round(&proxy, Scenario::Default).await;
            next["stream"] = stream.into();
            assert_eq!(kinds(&proxy.sent(&next).await), WITH);
            proxy.simulator.forget_encrypted();
            proxy.simulator.forget_requests();
            let answer = proxy.chat(&next).await;
            answer.message();
            assert_eq!((proxy.calls(), kinds(&proxy.last_sent())), (2, WITHOUT.map(Into::into).into()), "{form:?}");
            assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true");
            proxy.simulator.forget_requests();
            let answer = proxy.chat(&next).await;
            answer.message();
            assert_eq!((proxy.calls(), answer.header("x-codex-proxy-reasoning-dropped")), (1, ""), "asked once again");
        }
    }
}

#[tokio::test]
async fn a_clients_own_stale_reasoning_is_left_out_once_and_named() {
    let proxy = Proxy::start().await;
    let stale = json!({ "type": "reasoning", "summary": [], "encrypted_content": "gAAAAABforeign" });
    let said = json!({ "type": "message", "role": "assistant", "content": "a" });
    let input = json!([stale, said, user("b"), stale, stale, said, user("c")]);
    for form in FORMS {
        proxy.simulator.configure(|settings| settings.encrypted_rejection = form);
        proxy.simulator.forget_requests();
        for answer in both(&proxy, "/v1/responses", &json!({ "input": input })).await {
            assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true", "{form:?}");
            assert_eq!(answer.header("x-codex-proxy-ignored"), "input[0], input[3], input[4]");
        }
        assert_eq!(proxy.calls(), 4);
        assert_eq!(kinds(&proxy.last_sent()), ["assistant", "user", "assistant", "user"]);
    }
    proxy.simulator.configure(|settings| settings.encrypted_rejection = EncryptedRejection::Coded);
    let answer = proxy.post("/v1/responses/compact", &json!({ "input": input })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
}

#[tokio::test]
async fn a_refusal_that_has_nothing_to_do_with_reasoning_stays() {
    let proxy = Proxy::start().await;
    let compaction = json!({ "type": "compaction", "encrypted_content": "gAAAAABforeign" });
    for form in FORMS {
        proxy.simulator.configure(|settings| settings.encrypted_rejection = form);
        proxy.simulator.forget_requests();
        // A compaction is the conversation itself: it is not left out.
        let answer = proxy.post("/v1/responses", &json!({ "input": [compaction, user("a")] })).await;
        assert_eq!(
            (answer.status, &answer.error()["code"]),
            (StatusCode::BAD_REQUEST, &json!("invalid_encrypted_content")),
            "{form:?}"
        );
        assert_eq!(proxy.calls(), 1);
    }
    // Refused without reasoning, too: that is the last word.
    let next = tool_round(&proxy, Scenario::Default).await;
    proxy.simulator.forget_requests();
    for _ in 0..2 {
        proxy.next(Scenario::Http(HttpFault::InvalidEncryptedContent));
    }
    let answer = proxy.chat(&next).await;
    assert_eq!((answer.status, proxy.calls()), (StatusCode::BAD_REQUEST, 2));
}

#[tokio::test]
async fn another_account_never_gets_reasoning() {
    let proxy = start().await;
    let next = tool_round(&proxy, Scenario::Default).await;
    let first = proxy.post("/v1/responses", &json!({ "input": "hi", "reasoning": { "summary": "auto" } })).await.json();
    let body = json!({ "previous_response_id": first["id"], "input": "ho" });
    replace_login(&proxy, "account-b").await;
    proxy.simulator.forget_requests();
    for answer in both(&proxy, "/v1/chat/completions", &next).await {
        assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true");
    }
    for answer in both(&proxy, "/v1/responses", &body).await {
        assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true");
    }
    let sent = proxy.simulator.requests_to("/responses");
    assert_eq!(sent.len(), 4, "none was refused first");
    for request in sent {
        assert_eq!(request.header("chatgpt-account-id"), "account-b");
        assert!(!String::from_utf8_lossy(&request.bytes).contains("\"reasoning\",\"summary\""));
    }
    replace_login(&proxy, &SimulatedLogin::default().account.account_id).await;
    assert_eq!(kinds(&proxy.sent(&next).await), WITH, "the first account has it back");
}

#[tokio::test]
async fn a_login_that_is_replaced_between_two_attempts_gets_no_reasoning() {
    let proxy = Arc::new(start().await);
    let next = tool_round(&proxy, Scenario::Default).await;
    proxy.simulator.forget_requests();
    let slow = ScriptedAnswer::status(StatusCode::BAD_GATEWAY).delayed(Duration::from_secs(3));
    proxy.next(slow);
    let asking = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.chat(&next).await }
    });
    assert!(
        proxy
            .simulator
            .wait_until(Duration::from_secs(30), |simulator| !simulator.requests_to("/responses").is_empty())
            .await
    );
    replace_login(&proxy, "account-b").await;
    let answer = asking.await.unwrap();
    assert_eq!((answer.status, answer.header("x-codex-proxy-reasoning-dropped")), (StatusCode::OK, "true"));
    let sent = proxy.simulator.requests_to("/responses");
    let accounts: Vec<&str> = sent.iter().map(|request| request.header("chatgpt-account-id")).collect();
    assert_eq!(accounts, [SimulatedLogin::default().account.account_id.as_str(), "account-b"]);
    assert_eq!(
        (kinds(&sent[0].json()), kinds(&sent[1].json())),
        (WITH.map(Into::into).into(), WITHOUT.map(Into::into).into())
    );
}

#[tokio::test]
async fn another_model_never_gets_reasoning() {
    let proxy = Proxy::start().await;
    let mut next = tool_round(&proxy, Scenario::Default).await;
    next["model"] = "gpt-6-luna".into();
    let reasoned = json!({ "input": "hi", "reasoning": { "summary": "auto" } });
    let first = proxy.post("/v1/responses", &reasoned).await.json();
    assert_eq!(first["output"][0]["type"], "reasoning");
    proxy.simulator.forget_requests();
    both(&proxy, "/v1/chat/completions", &next).await;
    assert_eq!(kinds(&proxy.last_sent()), WITHOUT);
    let body = json!({ "model": "gpt-6-luna", "previous_response_id": first["id"], "input": "ho" });
    for answer in both(&proxy, "/v1/responses", &body).await {
        assert_eq!(answer.header("x-codex-proxy-reasoning-dropped"), "true");
    }
    assert_eq!(kinds(&proxy.last_sent()), ["user", "assistant", "user"]);
    let reference = |index: usize| json!({ "type": "item_reference", "id": first["output"][index]["id"] });
    let body = json!({ "model": "gpt-6-luna", "input": [user("hi"), reference(0), reference(1), user("ho")] });
    for answer in both(&proxy, "/v1/responses", &body).await {
        assert_eq!(answer.header("x-codex-proxy-ignored"), "input[1]");
    }
    assert_eq!(proxy.calls(), 6, "none was refused first");
}

#[tokio::test]
async fn reasoning_behind_and_before_a_commentary_comes_back_too() {
    let proxy = Proxy::start().await;
    let next = tool_round(&proxy, Scenario::CommentedCall).await;
    let expected = ["user", "reasoning", "assistant", "reasoning", "function_call", "function_call_output"];
    let sent = proxy.sent(&next).await;
    assert_eq!(kinds(&sent), expected);
    assert_ne!(sent["input"][1]["encrypted_content"], sent["input"][3]["encrypted_content"]);
    let mut silent = next.clone();
    silent["messages"][1]["content"] = Value::Null;
    let expected = ["user", "reasoning", "reasoning", "function_call", "function_call_output"];
    assert_eq!(kinds(&proxy.sent(&silent).await), expected);
}

#[tokio::test]
async fn reasoning_belongs_to_its_call_and_not_to_its_id_alone() {
    let proxy = Proxy::start().await;
    let next = tool_round(&proxy, Scenario::Default).await;
    let function = |change: &dyn Fn(&mut Value)| {
        let mut next = next.clone();
        change(&mut next["messages"][1]["tool_calls"][0]["function"]);
        next
    };
    let arguments: Value =
        serde_json::from_str(next["messages"][1]["tool_calls"][0]["function"]["arguments"].as_str().unwrap()).unwrap();
    let spaced = function(&|function| function["arguments"] = format!("{arguments:#}").into());
    assert_eq!(kinds(&proxy.sent(&spaced).await), WITH, "white space is no change");
    let rewritten = function(&|function| function["arguments"] = r#"{"city":"elsewhere"}"#.into());
    assert_eq!(kinds(&proxy.sent(&rewritten).await), WITHOUT);
    let renamed = function(&|function| function["name"] = "g".into());
    assert_eq!(kinds(&proxy.sent(&renamed).await), WITHOUT);
}

#[tokio::test]
async fn a_call_that_is_repeated_gets_its_reasoning_once() {
    let proxy = Proxy::start().await;
    let mut next = tool_round(&proxy, Scenario::Default).await;
    let round: Vec<Value> = next["messages"].as_array().unwrap()[1..].to_vec();
    for _ in 0..20 {
        next["messages"].as_array_mut().unwrap().extend(round.clone());
    }
    let sent = proxy.sent(&next).await;
    assert_eq!(kinds(&sent).iter().filter(|kind| *kind == "reasoning").count(), 1);
}

#[tokio::test]
async fn reasoning_stays_with_the_key_it_was_for() {
    let guard = Guard { api_keys: Keys::new(["one", "two"]), ..Guard::default() };
    let proxy =
        Proxy::with(Setup { settings: ServerSettings { guard, ..ServerSettings::default() }, ..Setup::default() })
            .await;
    let ask = async |key: &str, body: &Value| {
        let request = proxy.http.post(format!("{}/v1/chat/completions", proxy.base)).bearer_auth(key).json(body);
        Answer::read(request.send().await.unwrap()).await
    };
    let mut body = json!({ "messages": [user("use f")], "tools": [tool("f")] });
    let message = ask("one", &body).await.json()["choices"][0]["message"].clone();
    let output = json!({ "role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "1" });
    body["messages"].as_array_mut().unwrap().extend([message, output]);
    ask("two", &body).await.message();
    assert_eq!(kinds(&proxy.last_sent()), WITHOUT);
    ask("one", &body).await.message();
    assert_eq!(kinds(&proxy.last_sent()), WITH);
}
