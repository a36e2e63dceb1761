//! Answers of which something was lost, damaged or said twice on the way: whole, or an error, on both APIs and in both modes.

use codex_proxy::dialect::chat::options::ReasoningFormat;
use codex_proxy::server::settings::ServerSettings;
use codex_proxy::simulator::ScriptedAnswer;
use http::StatusCode;
use serde_json::{Value, json};

use super::harness::{Proxy, Setup, user};
use crate::common::answer::Answer;

/// One text of an answer, in the words of every event that tells it.
#[derive(Debug, Clone, Copy)]
struct Kind {
    /// The events' common name.
    family: &'static str,
    /// The field of the event that finishes the text.
    done: &'static str,
    index: &'static str,
    /// Where the item holds it.
    pointer: &'static str,
    item: &'static str,
    /// Where a chat message holds it.
    message: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind {
        family: "response.output_text",
        done: "text",
        index: "content_index",
        pointer: "/content/0/text",
        item: r#"{"id":"i","type":"message","role":"assistant","content":[{"type":"output_text","text":"","annotations":[]}]}"#,
        message: "/content",
    },
    Kind {
        family: "response.refusal",
        done: "refusal",
        index: "content_index",
        pointer: "/content/0/refusal",
        item: r#"{"id":"i","type":"message","role":"assistant","content":[{"type":"refusal","refusal":""}]}"#,
        message: "/refusal",
    },
    Kind {
        family: "response.reasoning_summary_text",
        done: "text",
        index: "summary_index",
        pointer: "/summary/0/text",
        item: r#"{"id":"i","type":"reasoning","summary":[{"type":"summary_text","text":""}]}"#,
        message: "/reasoning_content",
    },
    Kind {
        family: "response.reasoning_text",
        done: "text",
        index: "content_index",
        pointer: "/content/0/text",
        item: r#"{"id":"i","type":"reasoning","summary":[],"content":[{"type":"reasoning_text","text":""}]}"#,
        message: "/reasoning_content",
    },
    Kind {
        family: "response.function_call_arguments",
        done: "arguments",
        index: "unused",
        pointer: "/arguments",
        item: r#"{"id":"i","type":"function_call","call_id":"c","name":"n","arguments":""}"#,
        message: "/tool_calls/0/function/arguments",
    },
    Kind {
        family: "response.custom_tool_call_input",
        done: "input",
        index: "unused",
        pointer: "/input",
        item: r#"{"id":"i","type":"custom_tool_call","call_id":"c","name":"n","input":""}"#,
        message: "/tool_calls/0/custom/input",
    },
];

impl Kind {
    /// The item with this text.
    fn with(self, text: &str) -> Value {
        let mut item: Value = serde_json::from_str(self.item).unwrap();
        *item.pointer_mut(self.pointer).unwrap() = text.into();
        item
    }

    fn added(self) -> Value {
        let mut item = self.with("");
        for list in ["content", "summary"] {
            if item.get(list).is_some() {
                item[list] = json!([]);
            }
        }
        json!({ "type": "response.output_item.added", "output_index": 0, "item": item })
    }

    fn announced(self) -> Option<Value> {
        let item = self.with("");
        let (list, name) = match self.index {
            "content_index" => ("content", "response.content_part.added"),
            "summary_index" => ("summary", "response.reasoning_summary_part.added"),
            _ => return None,
        };
        Some(json!({ "type": name, "item_id": "i", "output_index": 0, self.index: 0, "part": item[list][0] }))
    }

    fn delta(self, text: &str) -> Value {
        json!({ "type": format!("{}.delta", self.family), "item_id": "i", "output_index": 0, self.index: 0, "delta": text })
    }

    fn done(self, text: &Value) -> Value {
        json!({ "type": format!("{}.done", self.family), "item_id": "i", "output_index": 0, self.index: 0, self.done: text })
    }

    fn ended(self, text: &str) -> Value {
        json!({ "type": "response.output_item.done", "output_index": 0, "item": self.with(text) })
    }

    /// All events of an item whose deltas and finished text are these.
    fn events(self, deltas: &[&str], whole: &str) -> Vec<Value> {
        let announced = [Some(self.added()), self.announced()].into_iter().flatten();
        let deltas = deltas.iter().map(|delta| self.delta(delta));
        announced.chain(deltas).chain([self.done(&whole.into()), self.ended(whole)]).collect()
    }
}

/// The events between their beginning and their end.
fn whole(events: &[Value], output: &Value) -> Vec<Value> {
    let created = json!({ "type": "response.created", "response": { "id": "resp_1" } });
    let begun = json!({ "type": "response.in_progress", "response": { "id": "resp_1" } });
    let completed = json!({ "type": "response.completed", "response": { "id": "resp_1", "output": output } });
    [&[created, begun], events, &[completed]].concat()
}

fn numbered(mut events: Vec<Value>) -> Vec<Value> {
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = number.into();
    }
    events
}

fn stream(events: &[Value]) -> ScriptedAnswer {
    ScriptedAnswer::stream().bytes(events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>())
}

/// The same answer asked for in all four ways.
struct Asked {
    chat: [Answer; 2],
    responses: [Answer; 2],
}

async fn ask(proxy: &Proxy, events: &[Value]) -> Asked {
    Asked {
        chat: proxy.both(stream(events), &user("hi")).await,
        responses: proxy.both_responses(stream(events), &json!({ "input": "hi" })).await,
    }
}

const CODE: &str = "upstream_answer_inconsistent";

/// Whether a stream ends in the error of an answer that cannot be true, and in nothing that looks like success.
fn is_error_event(answer: &Answer) -> bool {
    let events = answer.events();
    let finishes = answer.text.contains("\"finish_reason\":\"") || answer.text.contains("\"response.completed\"");
    answer.status == StatusCode::OK && !finishes && events.last().unwrap()["error"]["code"] == CODE
}

fn is_error_status(answer: &Answer) -> bool {
    answer.status == StatusCode::BAD_GATEWAY && answer.error()["code"] == CODE
}

impl Asked {
    /// All four hold this text.
    fn assert_whole(&self, kind: Kind, text: &str) {
        let [buffered, streamed] = &self.chat;
        assert_eq!(buffered.message(), streamed.message(), "{kind:?}");
        self.assert_documents(kind, text);
        let events = self.responses[1].events();
        let of_type = |name: String| events.iter().filter(move |event| event["type"] == name);
        let deltas: String =
            of_type(format!("{}.delta", kind.family)).map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(deltas, text, "{kind:?}: for who adds deltas up");
        let item = of_type("response.output_item.done".to_owned()).next_back().unwrap()["item"].clone();
        assert_eq!(item.pointer(kind.pointer), Some(&json!(text)), "{kind:?}: for who reads items");
        assert_eq!(
            events.last().unwrap()["response"]["output"][0].pointer(kind.pointer),
            Some(&json!(text)),
            "{kind:?}: for who reads the end"
        );
    }

    /// Both documents hold this text.
    fn assert_documents(&self, kind: Kind, text: &str) {
        let message = self.chat[0].json()["choices"][0]["message"].clone();
        let found = message.pointer(kind.message).unwrap_or(&Value::Null);
        assert_eq!(found.as_str().unwrap_or_default(), text, "{kind:?}: {message}");
        let item = self.responses[0].json()["output"][0].clone();
        assert_eq!(item.pointer(kind.pointer), Some(&json!(text)), "{kind:?}: {item}");
    }

    /// The streams end in an error, and the documents hold this text.
    fn assert_contradicted(&self, kind: Kind, text: &str) {
        assert!(is_error_event(&self.chat[1]), "{kind:?}: {}", self.chat[1].text);
        assert!(is_error_event(&self.responses[1]), "{kind:?}: {}", self.responses[1].text);
        self.assert_documents(kind, text);
    }

    /// Nobody can know what was said.
    fn assert_lost(&self, what: &str) {
        assert!(is_error_status(&self.chat[0]), "{what}: {}", self.chat[0].text);
        assert!(is_error_status(&self.responses[0]), "{what}: {}", self.responses[0].text);
        for streamed in [&self.chat[1], &self.responses[1]] {
            assert!(is_error_status(streamed) || is_error_event(streamed), "{what}: {}", streamed.text);
        }
    }
}

#[tokio::test]
async fn a_lost_or_damaged_delta_is_an_error_or_mended_by_the_finished_text() {
    let proxy = Proxy::start().await;
    for kind in KINDS {
        // One in the middle is missing, one is damaged, one came twice; and no number tells which.
        for deltas in [&["{\"a\"", "}"][..], &["{\"a\"", ":2", "}"], &["{\"a\"", ":1", ":1", "}"]] {
            let events = whole(&kind.events(deltas, "{\"a\":1}"), &json!([]));
            ask(&proxy, &events).await.assert_contradicted(kind, "{\"a\":1}");
        }
        // The last ones are missing.
        for deltas in [&["{\"a\""][..], &[]] {
            let events = whole(&kind.events(deltas, "{\"a\":1}"), &json!([]));
            ask(&proxy, &events).await.assert_whole(kind, "{\"a\":1}");
        }
    }
}

#[tokio::test]
async fn numbers_tell_what_was_lost_and_what_came_twice() {
    let proxy = Proxy::start().await;
    for kind in KINDS {
        let events = numbered(whole(&kind.events(&["{\"a\"", ":1", ",\"b\"", ":2}"], "{\"a\":1,\"b\":2}"), &json!([])));
        let deltas = events.iter().position(|event| *event == events[events.len() - 7]).unwrap();
        for place in deltas..deltas + 4 {
            let mut lost = events.clone();
            lost.remove(place);
            ask(&proxy, &lost).await.assert_whole(kind, "{\"a\":1,\"b\":2}");
            let mut twice = events.clone();
            twice.insert(place + 1, events[place].clone());
            ask(&proxy, &twice).await.assert_whole(kind, "{\"a\":1,\"b\":2}");
            let mut late = events.clone();
            late.swap(place, place + 1);
            ask(&proxy, &late).await.assert_whole(kind, "{\"a\":1,\"b\":2}");
        }
    }
}

#[tokio::test]
async fn a_finished_text_counts_wherever_it_is_told() {
    let proxy = Proxy::start().await;
    for kind in KINDS {
        let deltas = [kind.added()].into_iter().chain(kind.announced()).chain([kind.delta("{\"a\"")]);
        let deltas: Vec<Value> = deltas.collect();
        let full = |text: &str| json!([kind.with(text)]);
        for (more, output) in [
            (vec![kind.done(&"{\"a\":1}".into())], full("{\"a\":1}")),
            (vec![kind.ended("{\"a\":1}")], json!([])),
            (vec![], full("{\"a\":1}")),
            (vec![kind.done(&Value::Null), kind.ended("{\"a\":1}")], Value::Null),
        ] {
            let events = whole(&[deltas.clone(), more].concat(), &output);
            ask(&proxy, &events).await.assert_whole(kind, "{\"a\":1}");
        }
        for (more, output) in [
            (vec![kind.done(&"{\"b\"".into()), kind.ended("{\"b\":1}")], json!([])),
            (vec![kind.ended("{\"b\":1}")], json!([])),
            (vec![], full("{\"b\":1}")),
            (vec![kind.done(&"".into()), kind.ended("{\"b\":1}")], json!([])),
        ] {
            let events = whole(&[deltas.clone(), more].concat(), &output);
            ask(&proxy, &events).await.assert_contradicted(kind, "{\"b\":1}");
        }
    }
}

#[tokio::test]
async fn an_item_that_only_the_end_holds_is_told_and_one_that_it_lacks_is_none() {
    let proxy = Proxy::start().await;
    for kind in KINDS {
        let output = json!([kind.with("{\"a\":1}")]);
        ask(&proxy, &whole(&[], &output)).await.assert_whole(kind, "{\"a\":1}");
        let events = [kind.added()].into_iter().chain(kind.announced()).chain([kind.delta("x")]).collect::<Vec<_>>();
        let other = json!([{ "id": "other", "type": "web_search_call" }]);
        let asked = ask(&proxy, &whole(&events, &other)).await;
        assert!(is_error_event(&asked.chat[1]), "{kind:?}: {}", asked.chat[1].text);
        assert!(is_error_event(&asked.responses[1]), "{kind:?}: {}", asked.responses[1].text);
    }
}

#[tokio::test]
async fn an_item_lost_whole_is_an_error_if_nothing_else_holds_it() {
    let proxy = Proxy::start().await;
    let [first, .., second] = KINDS;
    let mut later = second.events(&["b"], "b");
    for event in &mut later {
        event["output_index"] = 1.into();
        if event.get("item_id").is_some() {
            event["item_id"] = "j".into();
        }
        if event.get("item").is_some() {
            event["item"]["id"] = "j".into();
        }
    }
    let item = later.last().unwrap()["item"].clone();
    let earlier = first.events(&["a"], "a");
    for output in [json!([]), json!([first.with("a"), item])] {
        let events = numbered(whole(&[earlier.clone(), later.clone()].concat(), &output));
        for lost in [2..2 + earlier.len(), 2 + earlier.len()..events.len() - 1] {
            let kept = [&events[..lost.start], &events[lost.end..]].concat();
            let asked = ask(&proxy, &kept).await;
            if output == json!([]) {
                asked.assert_lost(&format!("{lost:?}"));
            } else {
                let message = asked.chat[0].message();
                assert_eq!((message.content.as_str(), message.tools()), ("a", vec![("n", "b")]), "{lost:?}");
                assert_eq!(message, asked.chat[1].message());
                assert_eq!(asked.responses[1].events().last().unwrap()["response"]["output"], output);
            }
        }
    }
}

#[tokio::test]
async fn spelling_is_no_contradiction() {
    let proxy = Proxy::start().await;
    for kind in KINDS {
        let spelled = |deltas: &[&str], whole: &str| {
            // The deltas and the finished text, spelled as they are here.
            let template = super::contradictions::whole(&kind.events(&["@DELTAS"], "@WHOLE"), &json!([]));
            let mut events = Vec::new();
            for event in template.iter().map(Value::to_string) {
                match event.contains("@DELTAS") {
                    true => events.extend(deltas.iter().map(|delta| event.replace("@DELTAS", delta))),
                    false => events.push(event.replace("@WHOLE", whole)),
                }
            }
            ScriptedAnswer::stream().bytes(events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>())
        };
        for (deltas, whole, text) in [
            (&["\\u00e9", "\\/"][..], "é/", "é/"),
            (&["é", "/\\n"], "\\u00E9\\/\\u000a", "é/\n"),
            (&["a\\ud83d", "\\ude00"], "a😀", "a😀"),
            (&["😀"], "\\ud83d\\ude00", "😀"),
            (&["\\u2028", "\u{2029}"], "\u{2028}\\u2029", "\u{2028}\u{2029}"),
        ] {
            let [buffered, streamed] = proxy.both(spelled(deltas, whole), &user("hi")).await;
            let message = buffered.json()["choices"][0]["message"].clone();
            assert_eq!(message.pointer(kind.message), Some(&json!(text)), "{kind:?}");
            assert!(streamed.text.contains("\"finish_reason\":\""), "{}", streamed.text);
            for answer in proxy.both_responses(spelled(deltas, whole), &json!({ "input": "hi" })).await {
                assert_eq!(answer.status, StatusCode::OK);
                assert!(!answer.text.contains(CODE), "{}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn reasoning_that_is_not_shown_contradicts_nothing() {
    for (format, contradicts) in
        [(ReasoningFormat::None, false), (ReasoningFormat::ThinkTags, true), (ReasoningFormat::Reasoning, true)]
    {
        let settings = ServerSettings { reasoning_format: format, ..ServerSettings::default() };
        let proxy = Proxy::with(Setup { settings, ..Setup::default() }).await;
        for kind in [KINDS[2], KINDS[3]] {
            let mut text = KINDS[0].events(&["hi"], "hi");
            for event in &mut text {
                event["output_index"] = 1.into();
            }
            for (events, id) in text.iter_mut().zip(std::iter::repeat("m")) {
                if events.get("item_id").is_some() {
                    events["item_id"] = id.into();
                } else {
                    events["item"]["id"] = id.into();
                }
            }
            let events = whole(&[kind.events(&["ab", "x"], "abc"), text].concat(), &json!([]));
            let [buffered, streamed] = proxy.both(stream(&events), &user("hi")).await;
            assert_eq!(is_error_event(&streamed), contradicts, "{format:?}: {}", streamed.text);
            let content = buffered.message().content;
            let expected = if format == ReasoningFormat::ThinkTags { "<think>\nabc\n</think>\n\nhi" } else { "hi" };
            assert_eq!(content, expected, "{format:?}");
            if !contradicts {
                assert_eq!(streamed.message().content, "hi");
            }
        }
    }
}

#[tokio::test]
async fn a_call_announced_as_another_is_an_error_or_mended() {
    let proxy = Proxy::start().await;
    let kind = KINDS[4];
    let mut events = whole(&kind.events(&["{}"], "{}"), &json!([]));
    events[2]["item"]["name"] = "m".into();
    let asked = ask(&proxy, &events).await;
    assert!(is_error_event(&asked.chat[1]) && is_error_event(&asked.responses[1]));
    assert_eq!(asked.chat[0].message().tools(), [("n", "{}")]);
    assert_eq!(asked.responses[0].json()["output"][0]["name"], "n");
}

#[tokio::test]
async fn citations_come_once_and_in_their_order() {
    let proxy = Proxy::start().await;
    let kind = KINDS[0];
    let citation = |name: &str| json!({ "type": "url_citation", "url": format!("https://{name}.example"), "title": name, "start_index": 0, "end_index": 1 });
    let cited = |index: usize, name: &str| json!({ "type": "response.output_text.annotation.added", "item_id": "i", "output_index": 0, "content_index": 0, "annotation_index": index, "annotation": citation(name) });
    let mut ended = kind.ended("text");
    ended["item"]["content"][0]["annotations"] = json!([citation("a"), citation("b")]);
    let (a, b) = (cited(0, "a"), cited(1, "b"));
    for (between, contradicts) in [
        (vec![a.clone(), b.clone()], false),
        (vec![], false),
        (vec![a.clone()], false),
        (vec![b.clone()], false),
        (vec![a.clone(), a.clone(), b.clone(), b.clone()], false),
        (vec![b.clone(), a.clone()], false),
        (vec![cited(0, "other"), b.clone()], true),
    ] {
        let events = [vec![kind.added(), kind.delta("text")], between.clone(), vec![ended.clone()]].concat();
        let asked = ask(&proxy, &whole(&events, &json!([]))).await;
        let urls = |annotations: &[Value]| -> Vec<Value> {
            annotations.iter().map(|annotation| annotation["url_citation"]["title"].clone()).collect()
        };
        assert_eq!(urls(&asked.chat[0].message().annotations), ["a", "b"], "{between:?}");
        if contradicts {
            assert!(is_error_event(&asked.chat[1]) && is_error_event(&asked.responses[1]), "{between:?}");
            continue;
        }
        assert_eq!(urls(&asked.chat[1].message().annotations), ["a", "b"], "{between:?}");
        let events = asked.responses[1].events();
        let told = events.iter().filter(|event| event["type"] == "response.output_text.annotation.added");
        let told: Vec<&Value> = told.map(|event| &event["annotation"]["title"]).collect();
        assert_eq!(told, ["a", "b"], "{between:?}");
    }
}

#[tokio::test]
async fn a_second_legacy_call_is_left_out_alike_in_both_modes() {
    let proxy = Proxy::start().await;
    let call = |place: u64, arguments: &str| json!({ "type": "response.output_item.added", "output_index": place, "item": { "id": format!("f{place}"), "type": "function_call", "call_id": format!("c{place}"), "name": format!("n{place}"), "arguments": arguments } });
    let delta = |place: u64, text: &str| json!({ "type": "response.function_call_arguments.delta", "item_id": format!("f{place}"), "output_index": place, "delta": text });
    let only_first = [call(0, "{\"a\":0}"), call(1, "{\"a\":1}")];
    let interleaved =
        [call(0, ""), call(1, ""), delta(0, "{\"a\""), delta(1, "{\"a\""), delta(0, ":0}"), delta(1, ":1}")];
    let mut body = user("hi");
    body["functions"] = json!([{ "name": "n0" }, { "name": "n1" }]);
    for events in [&only_first[..], &interleaved] {
        let [buffered, streamed] =
            proxy.both(stream(&whole(events, &json!([]))), &body).await.map(|answer| answer.message());
        assert_eq!(buffered, streamed);
        assert_eq!(buffered.function_call, Some(("n0".to_owned(), "{\"a\":0}".to_owned())));
        assert_eq!(buffered.finish, "function_call");
    }
    assert_eq!(proxy.last_sent()["parallel_tool_calls"], false, "the backend was asked for one");
}
