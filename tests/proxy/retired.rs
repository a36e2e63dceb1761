//! Models and efforts that the backend refuses: what is sent in their place, how openly, and for how long.

use std::time::Duration;

use codex_proxy::models::Models;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::{
    FailureShape, HttpFault, Moment, Scenario, ScriptedAnswer, SimulatedCatalogue, Stage, StreamFailure,
};
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

/// The two APIs, each buffered and streamed.
const WAYS: [(&str, bool); 4] = [
    ("/v1/chat/completions", false),
    ("/v1/chat/completions", true),
    ("/v1/responses", false),
    ("/v1/responses", true),
];

fn request(path: &str, stream: bool, model: Option<&str>) -> Value {
    let mut body = if path.ends_with("responses") { json!({ "input": "hi" }) } else { user("hi") };
    body["stream"] = stream.into();
    if let Some(model) = model {
        body["model"] = model.into();
    }
    body
}

/// The model that an answer names, in every place that it does.
fn named(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let documents = match answer.header("content-type") {
        "application/json" => vec![answer.json()],
        _ => answer.events(),
    };
    let model = |document: &Value| {
        let response = document.get("response").unwrap_or(document);
        response.get("model").and_then(Value::as_str).map(str::to_owned)
    };
    let mut models: Vec<_> = documents.iter().filter_map(model).collect();
    models.dedup();
    assert_eq!(models.len(), 1, "one model throughout: {}", answer.text);
    models.remove(0)
}

impl Proxy {
    async fn ask_at(&self, path: &str, stream: bool, model: Option<&str>) -> Answer {
        self.post(path, &request(path, stream, model)).await
    }

    /// The models and efforts that were asked of the backend since the last time.
    fn asked(&self) -> Vec<(String, Option<String>)> {
        let word = |value: &Value| value.as_str().map(str::to_owned);
        let requests = self.simulator.requests_to("/responses").into_iter().map(|request| request.json());
        let asked = requests.map(|body| (word(&body["model"]).unwrap(), word(&body["reasoning"]["effort"]))).collect();
        self.simulator.forget_requests();
        asked
    }

    fn asked_models(&self) -> Vec<String> {
        self.asked().into_iter().map(|(model, _)| model).collect()
    }

    /// The account's list cannot be had.
    fn without_list(&self) -> &Self {
        self.simulator.script_models_answer(ScriptedAnswer::status(StatusCode::INTERNAL_SERVER_ERROR));
        self
    }
}

fn strict() -> Setup {
    Setup { settings: ServerSettings { strict_model: true, ..ServerSettings::default() }, ..Setup::default() }
}

#[tokio::test]
async fn a_retired_model_is_tried_once_and_then_its_successor_is_sent() {
    for (path, stream) in WAYS {
        for list in [true, false] {
            let proxy = Proxy::start().await;
            if list {
                proxy.begin().await;
            } else {
                proxy.without_list().begin().await;
            }
            let answer = proxy.ask_at(path, stream, Some("gpt-5.5")).await;
            assert_eq!(named(&answer), "gpt-6-sol", "{path} {stream}");
            assert_eq!(proxy.asked_models(), ["gpt-5.5", "gpt-6-sol"], "{path} {stream}");
            for (path, stream) in WAYS {
                assert_eq!(named(&proxy.ask_at(path, stream, Some("GPT-5-5")).await), "gpt-6-sol");
                assert_eq!(proxy.asked_models(), ["gpt-6-sol"], "it is remembered");
            }
        }
    }
}

#[tokio::test]
async fn every_retired_model_is_answered_by_a_living_one() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    for (retired, successor) in [
        ("gpt-5", "gpt-6-sol"),
        ("gpt-5-codex", "gpt-6-sol"),
        ("gpt-5.1", "gpt-6-sol"),
        ("gpt-5.1-codex", "gpt-6-sol"),
        ("gpt-5.1-codex-max", "gpt-6-sol"),
        ("gpt-5-codex-mini", "gpt-6-luna"),
        ("gpt-5.1-codex-mini", "gpt-6-luna"),
        ("gpt-5.2", "gpt-5.6-terra"),
        ("gpt-5.3-codex", "gpt-6-sol"),
        ("gpt-5.3-codex-spark", "gpt-6-luna"),
        ("gpt-5.4", "gpt-5.6-terra"),
        ("gpt-5.4-mini", "gpt-5.6-luna"),
        ("gpt-5.5", "gpt-6-sol"),
    ] {
        assert_eq!(named(&proxy.ask_at("/v1/responses", false, Some(retired)).await), successor, "{retired}");
        assert_eq!(proxy.asked_models(), [retired, successor]);
    }
}

#[tokio::test]
async fn nothing_but_model_effort_and_tier_differs_in_the_second_body() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let chat = json!({ "model": "gpt-5.1-xhigh", "service_tier": "fast", "verbosity": "low", "messages": [
        { "role": "system", "content": "be \"brief\" \u{e4}" }, { "role": "user", "content": "\u{1f600} gpt-5.1" }] });
    let responses = json!({ "model": "gpt-5.5", "service_tier": "priority", "input": [{ "role": "user", "content": "hi" }],
        "reasoning": { "effort": "max", "summary": "auto", "context": "all_turns" },
        "client_metadata": { "model": "gpt-5.5" } });
    for (path, body, efforts) in
        [("/v1/chat/completions", chat, ["high", "xhigh"]), ("/v1/responses", responses, ["xhigh", "max"])]
    {
        named(&proxy.post(path, &body).await);
        let sent = proxy.simulator.requests_to("/responses");
        let [mut first, mut second] = [0, 1].map(|index| sent[index].json());
        assert_eq!([&first, &second].map(|body| body["reasoning"]["effort"].as_str().unwrap()), efforts, "{path}");
        assert_eq!(sent[0].header("session-id"), sent[1].header("session-id"));
        for body in [&mut first, &mut second] {
            body["model"] = Value::Null;
            body["reasoning"]["effort"] = Value::Null;
        }
        assert_eq!(first, second, "{path}");
        proxy.simulator.forget_requests();

        // The next turn is the same conversation.
        named(&proxy.post(path, &body).await);
        let next = proxy.last_sent();
        assert_eq!(next["prompt_cache_key"], first["prompt_cache_key"], "{path}");
        assert_eq!(next["reasoning"]["effort"], efforts[1]);
        proxy.simulator.forget_requests();
    }
}

#[tokio::test]
async fn the_effort_is_the_successors() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    for (asked, first, second) in [
        ("gpt-5-none", Some("low"), Some("low")),
        ("gpt-5-codex-mini", Some("medium"), None),
        ("gpt-5.1", Some("low"), None),
        ("gpt-5.4-max", Some("xhigh"), Some("max")),
        ("gpt-5.1-codex-mini-none", Some("medium"), Some("none")),
    ] {
        named(&proxy.ask_at("/v1/chat/completions", true, Some(asked)).await);
        let efforts: Vec<_> = proxy.asked().into_iter().map(|(_, effort)| effort).collect();
        assert_eq!(efforts, [first, second].map(|effort| effort.map(str::to_owned)), "{asked}");
    }
}

#[tokio::test]
async fn a_refusal_inside_a_stream_is_the_same_refusal() {
    for shape in [FailureShape::Failed, FailureShape::NestedError, FailureShape::FlatError] {
        for (path, stream) in WAYS {
            let proxy = Proxy::before_retirements().await;
            proxy.begin().await;
            let failure = StreamFailure {
                code: "invalid_request_error".to_owned(),
                message: "The 'gpt-5.5' model is not supported when using Codex with a ChatGPT account.".to_owned(),
            };
            proxy.next(Scenario::Fail(failure, shape, Moment::BeforeOutput));
            assert_eq!(
                named(&proxy.ask_at(path, stream, Some("gpt-5.5")).await),
                "gpt-6-sol",
                "{shape:?} {path} {stream}"
            );
            assert_eq!(proxy.asked_models(), ["gpt-5.5", "gpt-6-sol"]);
        }
    }
}

#[tokio::test]
async fn a_404_that_names_the_model_is_the_same_refusal_and_another_is_not() {
    let proxy = Proxy::before_retirements().await;
    proxy.begin().await;
    proxy.next(Scenario::Http(HttpFault::ModelNotFound));
    assert_eq!(named(&proxy.ask_at("/v1/responses", false, Some("gpt-5.4-mini")).await), "gpt-5.6-luna");
    let words = "The model `gpt-5.5` does not exist or you do not have access to it.";
    let error = json!({ "message": words, "type": "invalid_request_error", "param": null, "code": "model_not_found" });
    proxy.next(ScriptedAnswer::json(StatusCode::NOT_FOUND, &json!({ "error": error })));
    assert_eq!(named(&proxy.ask_at("/v1/responses", true, Some("gpt-5.5")).await), "gpt-6-sol");
    proxy.asked();
    for fault in [HttpFault::EmptyNotFound, HttpFault::CyberPolicy, HttpFault::Forbidden] {
        proxy.next(Scenario::Http(fault));
        assert_ne!(proxy.ask_at("/v1/responses", true, Some("gpt-5.4")).await.status, StatusCode::OK);
        assert_eq!(proxy.asked_models(), ["gpt-5.4"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_head_that_was_sent_early_changes_nothing() {
    for path in ["/v1/chat/completions", "/v1/responses"] {
        let settings = ServerSettings { keepalive: Duration::from_millis(50), ..ServerSettings::default() };
        let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
        proxy.begin().await;
        proxy.next(Scenario::Stall(Duration::from_millis(300), Stage::Head));
        let answer = proxy.ask_at(path, true, Some("gpt-5.5")).await;
        assert!(answer.text.starts_with(": keepalive\n"), "{}", answer.text);
        assert_eq!(named(&answer), "gpt-6-sol", "{path}");
        let metrics = proxy.get("/metrics").await.text;
        assert!(metrics.contains(r#"codex_proxy_tokens_total{kind="input",model="gpt-6-sol"}"#), "{metrics}");
        assert!(!metrics.contains(r#"model="gpt-5.5""#), "{metrics}");
    }
}

#[tokio::test]
async fn another_list_is_a_new_beginning() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    let ask = async || named(&proxy.ask_at("/v1/responses", false, Some("gpt-5.5")).await);
    assert_eq!(ask().await, "gpt-6-sol");
    proxy.app.catalogue.refresh().await.unwrap();
    assert_eq!(ask().await, "gpt-6-sol");
    assert_eq!(proxy.asked_models(), ["gpt-5.5", "gpt-6-sol", "gpt-6-sol"], "the same list changes nothing");

    proxy.simulator.configure(|settings| settings.catalogue = SimulatedCatalogue::with_retired());
    proxy.app.catalogue.refresh().await.unwrap();
    assert_eq!(ask().await, "gpt-5.5", "it is back");

    proxy.simulator.configure(|settings| assert!(settings.catalogue.retire("gpt-5.5")));
    proxy.asked();
    assert_eq!(ask().await, "gpt-6-sol");
    assert_eq!(proxy.asked_models(), ["gpt-5.5", "gpt-6-sol"]);
}

#[tokio::test]
async fn the_catalogues_own_successor_comes_first() {
    let proxy = Proxy::start().await;
    let live =
        json!({ "models": [{ "slug": "gpt-6-luna" }, { "slug": "gpt-5.5", "upgrade": { "model": "gpt-6-luna" } }] });
    proxy.simulator.script_models_answer(ScriptedAnswer::json(StatusCode::OK, &live));
    proxy.app.catalogue.refresh().await.unwrap();
    assert_eq!(named(&proxy.ask_at("/v1/responses", false, Some("gpt-5.5")).await), "gpt-6-luna");
}

#[tokio::test]
async fn strictness_refuses_and_names_the_successor_and_the_accounts_models() {
    for list in [true, false] {
        let proxy = Proxy::with(strict()).await;
        if list {
            proxy.begin().await;
        } else {
            proxy.without_list().begin().await;
        }
        for (path, stream) in WAYS {
            for _ in 0..2 {
                let answer = proxy.ask_at(path, stream, Some("gpt-5.4")).await;
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
                let error = answer.error();
                assert_eq!(error["param"], "model");
                let message = error["message"].as_str().unwrap();
                let (words, rest) = message.split_once(". ").unwrap();
                assert_eq!(words, "The 'gpt-5.4' model is not supported when using Codex with a ChatGPT account");
                let successor =
                    "Its successor is gpt-5.6-terra, which --strict-model keeps from being sent in its place. ";
                let list_of = match list {
                    true => "Models of this account: gpt-5.6-terra, gpt-6.1-sol, gpt-6-astra, ",
                    false => "The account's own list of models is not known yet; this version knows of gpt-5.6-terra, ",
                };
                assert!(rest.starts_with(&format!("{successor}{list_of}")), "{message}");
                assert!(rest.ends_with("--model-alias gpt-5.4=gpt-5.6-terra"), "{message}");
                assert_eq!(proxy.asked_models(), ["gpt-5.4"], "{path}");
            }
        }
    }
}

#[tokio::test]
async fn without_a_successor_the_refusal_is_the_clients() {
    let proxy = Proxy::start().await;
    proxy.begin().await;
    for (path, stream) in WAYS {
        let answer = proxy.ask_at(path, stream, Some("gpt-5.6")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let message = answer.error()["message"].as_str().unwrap().to_owned();
        let words = "The 'gpt-5.6' model is not supported when using Codex with a ChatGPT account. Models of this \
                     account: gpt-6.1-sol, gpt-6-astra, ";
        assert!(message.starts_with(words), "{message}");
        assert!(!message.contains("gpt-5.5"), "{message}");
        assert_eq!(proxy.asked_models(), ["gpt-5.6"]);
    }
}

#[tokio::test]
async fn a_successor_that_is_refused_too_ends_it() {
    let proxy = Proxy::start().await;
    proxy.without_list().begin().await;
    proxy.simulator.configure(|settings| assert!(settings.catalogue.retire("gpt-6-sol")));
    let answer = proxy.ask_at("/v1/chat/completions", true, Some("gpt-5.5")).await;
    assert_eq!(proxy.asked_models(), ["gpt-5.5", "gpt-6-sol"], "once more, and no further");
    let error = answer.error();
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("The 'gpt-5.5' model is not supported"), "{message}");
    assert!(!message.contains("gpt-6-sol"), "{message}");
    // A default that the account cannot have is none.
    proxy.simulator.configure(|settings| assert!(settings.catalogue.retire("gpt-5.6-terra")));
    assert_eq!(proxy.ask_at("/v1/chat/completions", true, Some("gpt-5.4")).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(proxy.asked_models(), ["gpt-5.4", "gpt-5.6-terra"]);
}

#[tokio::test]
async fn a_first_request_finds_a_living_model() {
    for (path, stream) in WAYS {
        for (model, effort, sent) in [
            (None, None, ("gpt-6.1-sol", None)),
            (Some("gpt-4o"), None, ("gpt-6.1-sol", None)),
            (Some("claude-opus-4-5"), Some("none"), ("gpt-6.1-sol", Some("low"))),
            (Some("gpt-5.1-high"), None, ("gpt-6-sol", Some("high"))),
            (Some("gpt-6-astra"), Some("none"), ("gpt-6-astra", Some("low"))),
            (Some("gpt-6-astra"), Some("minimal"), ("gpt-6-astra", Some("low"))),
        ] {
            let proxy = Proxy::start().await;
            let mut body = request(path, stream, model);
            if let Some(effort) = effort {
                body["reasoning_effort"] = effort.into();
            }
            let answer = proxy.without_list().post(path, &body).await;
            assert_eq!(named(&answer), sent.0, "{path} {stream} {model:?}");
            assert_eq!(proxy.last_sent()["reasoning"]["effort"].as_str(), sent.1, "{path} {stream} {model:?}");
        }
    }
}

/// A proxy whose account's list claims that gpt-6-astra takes `none`.
async fn misled() -> Proxy {
    let proxy = Proxy::start().await;
    let live = json!({ "models": [{ "slug": "gpt-6-astra", "supported_reasoning_levels": ["none", "minimal", "low", "high"] }] });
    proxy.simulator.script_models_answer(ScriptedAnswer::json(StatusCode::OK, &live));
    proxy.app.catalogue.refresh().await.unwrap();
    proxy
}

#[tokio::test]
async fn a_refused_effort_is_sent_again_as_the_nearest_the_model_takes() {
    let astra = |effort: &str| ("gpt-6-astra".to_owned(), Some(effort.to_owned()));
    for (path, stream) in WAYS {
        let proxy = misled().await;
        let mut body = request(path, stream, Some("gpt-6-astra"));
        for (effort, sent) in [
            ("none", vec![astra("none"), astra("low")]),
            ("none", vec![astra("low")]),
            ("minimal", vec![astra("low")]),
            // What the list does not show is taken all the same.
            ("high", vec![astra("high")]),
        ] {
            body["reasoning_effort"] = effort.into();
            assert_eq!(named(&proxy.post(path, &body).await), "gpt-6-astra");
            assert_eq!(proxy.asked(), sent, "{path} {stream} {effort}");
        }
        proxy.app.catalogue.refresh().await.unwrap();
        body["reasoning_effort"] = "none".into();
        named(&proxy.post(path, &body).await);
        assert_eq!(proxy.asked(), [astra("low")], "the true list");
    }
}

#[tokio::test]
async fn an_effort_is_refused_once_more_and_then_told() {
    let proxy = misled().await;
    let refusal = |list: &str| {
        let error = json!({ "message": format!("Unsupported value: 'x'. Supported values are: {list}."),
            "type": "invalid_request_error", "param": "reasoning.effort", "code": "unsupported_value" });
        ScriptedAnswer::json(StatusCode::BAD_REQUEST, &json!({ "error": error }))
    };
    let mut body = request("/v1/responses", false, Some("gpt-6-astra"));
    body["reasoning_effort"] = "high".into();
    proxy.next(refusal("'low'")).next(refusal("'max'"));
    let answer = proxy.post("/v1/responses", &body).await;
    assert_eq!((answer.status, answer.error()["param"].clone()), (StatusCode::BAD_REQUEST, json!("reasoning.effort")));
    assert_eq!(proxy.asked().len(), 2);
    // A list that holds nothing is no reason to ask again.
    proxy.simulator.forget_requests();
    proxy.next(refusal("'galactic'"));
    assert_eq!(proxy.post("/v1/responses", &body).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(proxy.asked().len(), 1);
}

#[tokio::test]
async fn the_operators_default_may_be_retired_too() {
    let models = Models::new(Vec::new(), Some("gpt-5.5-high".to_owned()));
    let proxy = Proxy::with(Setup { models, ..Setup::default() }).await;
    proxy.begin().await;
    assert_eq!(named(&proxy.ask_at("/v1/responses", false, None).await), "gpt-6-sol");
    assert_eq!(proxy.last_sent()["reasoning"]["effort"], "high");
}
