//! What a turn may refer to.

use codex_proxy::simulator::{HttpFault, Scenario};
use serde_json::{Value, json};

use crate::common::socket::{Socket, id, said};
use crate::harness::Proxy;

async fn continued(socket: &mut Socket, id: &str) -> Value {
    let body = json!({ "input": [said("more")], "previous_response_id": id });
    socket.turn(&body).await.pop().unwrap()
}

fn is_unknown(last: &Value) -> bool {
    let error = &last["error"];
    let known = ("response.completed", "error");
    assert!(last["type"] == known.0 || last["type"] == known.1, "{last}");
    assert!(last["type"] == known.0 || error["code"] == "previous_response_not_found", "{last}");
    assert!(last["type"] == known.0 || (last["status"] == 400 && error["param"] == "previous_response_id"), "{last}");
    last["type"] == known.1
}

#[tokio::test]
async fn a_codex_socket_knows_its_latest_answer_alone() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    assert!(is_unknown(&continued(&mut socket, "resp_nowhere").await));
    let first = id(&socket.turn(&json!({ "input": [said("hi")] })).await);
    assert!(is_unknown(&continued(&mut proxy.codex().await, &first).await), "another socket knows nothing of it");
    let second = continued(&mut socket, &first).await;
    assert!(!is_unknown(&second));
    assert!(is_unknown(&continued(&mut socket, &first).await), "the backend remembers the latest one too");
    assert!(!is_unknown(&continued(&mut socket, second["response"]["id"].as_str().unwrap()).await));
}

#[tokio::test]
async fn a_failed_turn_leaves_the_latest_answer() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.codex().await;
    let first = id(&socket.turn(&json!({ "input": [said("hi")] })).await);
    proxy.next(Scenario::Http(HttpFault::UsageLimit(60)));
    assert_eq!(continued(&mut socket, &first).await["status"], 429);
    assert!(!is_unknown(&continued(&mut socket, &first).await));
}

#[tokio::test]
async fn a_library_goes_on_from_any_answer_over_either_transport() {
    let proxy = Proxy::start().await;
    let posted = proxy.post("/v1/responses", &json!({ "model": "gpt-6.1-sol", "input": "hi" })).await.json();
    let posted = posted["id"].as_str().unwrap();
    let answer = continued(&mut proxy.library().await, posted).await;
    assert!(!is_unknown(&answer));
    assert!(!is_unknown(&continued(&mut proxy.library().await, posted).await));
    let body = json!({ "input": "more", "previous_response_id": answer["response"]["id"] });
    assert_eq!(proxy.post("/v1/responses", &body).await.status, 200);
    let texts = proxy.last_sent()["input"].as_array().unwrap().len();
    assert_eq!(texts, 5, "two rounds and the question");
}
