//! The whole body that the backend gets for each of the requests in `requests/`, kept beside it.
//!
//! * A case is a file: `about` says what it shows, `api` and `request` are what the client sends, `operator` the operator's own
//!   instructions, and `answered` the items that the program remembers by their ids.
//! * The file of the same name that ends in `.snap` shows request and body one below the other. A test only compares;
//!   `just snapshots` writes the files anew, and the difference is read before it is committed.
//! * Every body is one that the backend accepts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use codex_proxy::backend::request;
use codex_proxy::backend::request::body::Provenance;
use codex_proxy::backend::request::context::{BackendRequest, Context, RememberedItem};
use codex_proxy::conversation::ignored::Ignored;
use codex_proxy::dialect::chat::Chat;
use codex_proxy::dialect::images;
use codex_proxy::dialect::images::ImageTask;
use codex_proxy::dialect::images::request::ImageRequest;
use codex_proxy::dialect::messages::Messages;
use codex_proxy::dialect::responses::forward;
use codex_proxy::dialect::responses::request::ResponsesRequest;
use codex_proxy::dialect::{Dialect, Form};
use codex_proxy::models::Models;
use codex_proxy::simulator::Simulator;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    api: Api,
    request: Value,
    operator: Option<String>,
    #[serde(default)]
    answered: BTreeMap<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Api {
    Chat,
    ImageEdits,
    ImageGenerations,
    Messages,
    Responses,
}

impl Api {
    /// The route of its requests.
    fn path(self) -> &'static str {
        match self {
            Self::Chat => "/v1/chat/completions",
            Self::ImageEdits => "/v1/images/edits",
            Self::ImageGenerations => "/v1/images/generations",
            Self::Messages => "/v1/messages",
            Self::Responses => "/v1/responses",
        }
    }
}

/// What a request becomes.
struct Translated {
    body: Vec<u8>,
    ignored: Vec<String>,
}

impl From<BackendRequest> for Translated {
    fn from(request: BackendRequest) -> Self {
        Self { body: request.body, ignored: request.ignored }
    }
}

impl Translated {
    fn image(task: ImageTask, bytes: &[u8]) -> Self {
        let request = ImageRequest::parse(task, bytes).unwrap();
        let model = Models::default().resolve_image(request.model.as_deref()).model;
        Self { body: images::body::write(&request, &model), ignored: request.ignored.names() }
    }
}

impl Case {
    fn read(path: &Path) -> Self {
        serde_json::from_slice(&std::fs::read(path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn translated(&self) -> Translated {
        let bytes = self.request.to_string().into_bytes();
        let headers = HeaderMap::new();
        match self.api {
            Api::Chat => self.translated_from::<Chat>(&bytes, &headers).into(),
            Api::ImageEdits => Translated::image(ImageTask::Edit, &bytes),
            Api::ImageGenerations => Translated::image(ImageTask::Generation, &bytes),
            Api::Messages => self.translated_from::<Messages>(&bytes, &headers).into(),
            Api::Responses => self.forwarded(&bytes, None).into(),
        }
    }

    /// What the backend has against the body.
    fn refusal(&self, simulator: &Simulator, body: &[u8]) -> Option<Value> {
        match self.api {
            Api::ImageEdits => simulator.rejection_of_image(body, true),
            Api::ImageGenerations => simulator.rejection_of_image(body, false),
            Api::Chat | Api::Messages | Api::Responses => simulator.rejection_of(body),
        }
    }

    fn translated_from<D: Dialect>(&self, bytes: &[u8], headers: &HeaderMap) -> BackendRequest {
        let ask = D::parse(bytes, headers).unwrap();
        match &ask.form {
            Form::Responses(ignored) => self.forwarded(bytes, Some(ignored)),
            Form::Own(conversation) => {
                let (name, effort) = (ask.model.as_deref(), ask.effort.as_deref());
                let model = Models::default().resolve_by(D::EFFORT_ORDER, name, effort);
                let instructions = self.operator.as_deref();
                request::translate(conversation, &Context { instructions, ..Context::new(&model) })
            }
        }
    }

    /// A request in the backend's own language; on the chat route, with what that has looked at already.
    fn forwarded(&self, bytes: &[u8], chat: Option<&Ignored>) -> BackendRequest {
        let mut asked = ResponsesRequest::parse(bytes).unwrap();
        asked.answers_chat = chat.is_some();
        asked.ignored = chat.cloned().unwrap_or_default();
        let model = Models::default().resolve(asked.model.as_deref(), asked.effort.as_deref());
        let provenance = Arc::new(Provenance::new("account".into(), model.model.clone()));
        let remembered = |item: &Value| RememberedItem { json: item.to_string(), provenance: provenance.clone() };
        let answered = |id: &str| self.answered.get(id).map(remembered);
        let instructions = self.operator.as_deref();
        forward::translate(&asked, &Context { instructions, answered: &answered, ..Context::new(&model) }).unwrap()
    }

    /// The case and its outcome, for people.
    fn told(&self, translated: &Translated) -> String {
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
        let mut told = format!("{}\n\n## POST {}\n\n{}\n", self.about, self.api.path(), pretty(&self.request));
        if let Some(operator) = &self.operator {
            told += &format!("\n## The operator's instructions\n\n{operator}\n");
        }
        if !self.answered.is_empty() {
            told += &format!("\n## Remembered items\n\n{}\n", pretty(&serde_json::to_value(&self.answered).unwrap()));
        }
        let body: Value = serde_json::from_slice(&translated.body).unwrap();
        told += &format!("\n## The backend gets\n\n{}\n", pretty(&body));
        if !translated.ignored.is_empty() {
            told += &format!("\n## x-codex-proxy-ignored\n\n{}\n", translated.ignored.join(", "));
        }
        told
    }
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/translation/requests");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<_> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    cases.sort();
    cases
}

#[test]
fn requests_are_translated_as_ever() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("requests");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _bound = settings.bind_to_scope();
    let simulator = Simulator::new();
    let cases = cases();
    assert!(cases.len() >= 25, "the cases are there");
    for path in cases {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case = Case::read(&path);
        let translated = case.translated();
        // What a case remembers was encrypted nowhere, so that the simulator cannot read it.
        let refusal = case.refusal(&simulator, &translated.body);
        let refusal = refusal.filter(|refusal| refusal["error"]["code"] != "invalid_encrypted_content");
        assert_eq!(refusal, None, "{name}");
        insta::assert_snapshot!(name, case.told(&translated));
    }
}
