//! The backend's routes.

use std::collections::HashMap;

use axum::body::Body;
use http::header::{ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::account::Account;
use crate::answer::frame::Delivery;
use crate::answer::perform::Performance;
use crate::call::Call;
use crate::catalogue::parse_version;
use crate::fault::{expired_token, invalidated_token};
use crate::login::AccessRejection;
use crate::record::Guard;
use crate::script::ScriptedAnswer;
use crate::settings::EncryptedRejection;
use crate::turn::Turn;
use crate::validate;
use crate::validate::{Context, Rejection};
use crate::vault::Owner;
use crate::{Inner, Simulator, locked};

impl Simulator {
    /// `POST …/responses`.
    pub(super) async fn responses(&self, call: &Call, guard: Guard) -> Response<Body> {
        self.inner.journal.count(|counters| counters.responses += 1);
        let (account, body) = match self.accept(call) {
            Ok(accepted) => accepted,
            Err(rejection) => return self.with_headers(self.refused(rejection).play(guard).await, "", None),
        };
        let turn = Turn::new(body, call.bytes.len(), account.account_id.clone());
        let model = turn.model().to_owned();
        let response = Performance::new(self, turn, account.plan.clone()).play(guard).await;
        self.with_headers(response, &model, Some(&account))
    }

    /// `GET …/models`.
    pub(super) fn models(&self, call: &Call) -> ScriptedAnswer {
        if let Some(answer) = locked(&self.inner.models_answers).pop_front() {
            return answer;
        }
        if let Err(rejection) = self.authorize(call) {
            return rejection.into();
        }
        let Some(version) = call.parameter("client_version").as_deref().and_then(parse_version) else {
            let detail = json!([{ "type": "missing", "loc": ["query", "client_version"], "msg": "Field required", "input": null }]);
            return ScriptedAnswer::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({ "detail": detail }));
        };
        let current = self.current();
        let etag = current.models_etag.as_str();
        if call.header(IF_NONE_MATCH.as_str()) == etag {
            return ScriptedAnswer::status(StatusCode::NOT_MODIFIED).header(ETAG, etag);
        }
        ScriptedAnswer::json(StatusCode::OK, &current.settings.catalogue.document(version)).header(ETAG, etag)
    }

    /// `GET /backend-api/wham/usage`.
    pub(super) fn usage(&self, call: &Call) -> ScriptedAnswer {
        match self.authorize(call) {
            Ok(account) => {
                let document = self.settings().limits.document(&account.plan, self.now());
                ScriptedAnswer::json(StatusCode::OK, &document)
            }
            Err(rejection) => rejection.into(),
        }
    }

    /// `GET /backend-api/wham/accounts/check`: the routing of the account's workspace.
    pub(super) fn account_check(&self, call: &Call) -> ScriptedAnswer {
        let workspace = self.settings().workspace.clone();
        match workspace.status {
            200 => {}
            404 => return ScriptedAnswer::json(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" })),
            _ => return ScriptedAnswer::json(StatusCode::UNAUTHORIZED, &json!({ "detail": "Unauthorized" })),
        }
        let account = match self.bearer(call) {
            Ok(account) => account,
            Err(rejection) => return rejection.into(),
        };
        let entry = json!({
            "id": account.account_id,
            "name": "Simulated workspace",
            "structure": "workspace",
            "plan_type": account.plan,
            "is_deactivated": workspace.is_deactivated,
            "is_fedramp_compliant_workspace": account.fedramp,
            "workspace_backend_origin": workspace.origin.as_deref().unwrap_or(UNCONSTRAINED),
            "account_routing_override": workspace.routing_override.as_deref().unwrap_or(UNCONSTRAINED),
        });
        let body = json!({ "accounts": [entry], "account_ordering": [account.account_id] });
        ScriptedAnswer::json(StatusCode::OK, &body)
    }

    /// Returns the account of an authorised request, and its body, an object.
    pub(super) fn read_object(&self, call: &Call) -> Result<(Account, Map<String, Value>), Rejection> {
        let account = self.authorize(call)?;
        if call.media_type() != "application/json" {
            let body = json!({ "detail": "Unsupported content type" });
            return Err(Rejection { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, body });
        }
        let body = match serde_json::from_slice(&call.bytes) {
            Ok(Value::Object(body)) => body,
            Ok(_) => return Err(Rejection::detail("Input should be a valid dictionary")),
            Err(error) => return Err(Rejection::detail(format!("JSON decode error: {error}"))),
        };
        Ok((account, body))
    }

    /// Returns the account and body of an authorised and valid request for an answer.
    fn accept(&self, call: &Call) -> Result<(Account, Map<String, Value>), Rejection> {
        let (account, body) = self.read_object(call)?;
        let lite = call.header("x-openai-internal-codex-responses-lite") == "true";
        self.validate(&account, &body, lite)?;
        Ok((account, body))
    }

    /// Checks the body of a request for an answer; `lite` says that it announced the lighter shape.
    pub(super) fn validate(&self, account: &Account, body: &Map<String, Value>, lite: bool) -> Result<(), Rejection> {
        let settings = self.settings();
        if !settings.validate {
            return Ok(());
        }
        let context = Context {
            catalogue: &settings.catalogue,
            vault: &self.inner.vault,
            owner: Owner { account: &account.account_id, model: validate::model(body) },
            lite,
            access_programs: settings.access_programs,
            refused_files: settings.refused_files,
        };
        validate::request(body, context)
    }

    /// Gives a rejection of encrypted content the configured form; leaves any other as it is.
    fn refused(&self, mut rejection: Rejection) -> ScriptedAnswer {
        if !rejection.is_of_encrypted_content() {
            return rejection.into();
        }
        match self.settings().encrypted_rejection {
            EncryptedRejection::Coded => {}
            EncryptedRejection::WithoutCode => rejection.body["error"]["code"] = Value::Null,
            EncryptedRejection::InStream => {
                let id = self.inner.vault.id("resp");
                let response = |status: &str, error: Value| json!({ "id": id, "object": "response", "status": status, "error": error, "output": [] });
                let error = json!({ "code": null, "message": rejection.body["error"]["message"] });
                let events = [
                    json!({ "type": "response.created", "response": response("in_progress", Value::Null) }),
                    json!({ "type": "response.failed", "response": response("failed", error) }),
                ];
                return ScriptedAnswer::stream().bytes(events.map(|event| Delivery::default().frame(&event)).concat());
            }
        }
        rejection.into()
    }

    pub(super) fn authorize(&self, call: &Call) -> Result<Account, Rejection> {
        let account = self.bearer(call)?;
        let route = self.settings().workspace.routing_override.clone();
        if route.is_some_and(|route| call.header("x-openai-account-routing-override") != route) {
            let message = "This workspace is not served here.";
            let rejection = Rejection::error(Some("wrong_workspace_route"), None, message);
            return Err(Rejection { status: StatusCode::FORBIDDEN, ..rejection });
        }
        if account.fedramp && call.header("x-openai-fedramp") != "true" {
            let message = "This workspace must be used through its FedRAMP boundary.";
            let rejection = Rejection::error(Some("fedramp_required"), None, message);
            return Err(Rejection { status: StatusCode::FORBIDDEN, ..rejection });
        }
        Ok(account)
    }

    /// Returns the account of the call's token and account id.
    fn bearer(&self, call: &Call) -> Result<Account, Rejection> {
        let rejection = |body| Rejection { status: StatusCode::UNAUTHORIZED, body };
        let unauthorized = || rejection(json!({ "detail": "Unauthorized" }));
        let token = call.header("authorization").strip_prefix("Bearer ").ok_or_else(unauthorized)?;
        let account = match locked(&self.inner.ledger).account(token, self.now()) {
            Ok(account) => account.clone(),
            Err(AccessRejection::Unknown) => return Err(unauthorized()),
            Err(AccessRejection::Expired) => return Err(rejection(expired_token())),
            Err(AccessRejection::Invalidated) => return Err(rejection(invalidated_token())),
        };
        if call.header("chatgpt-account-id") != account.account_id {
            return Err(unauthorized());
        }
        Ok(account)
    }

    /// Adds the headers common to this route's answers; the answer's own stay.
    pub(super) fn with_headers(
        &self,
        mut response: Response<Body>,
        model: &str,
        account: Option<&Account>,
    ) -> Response<Body> {
        let current = self.current();
        let settings = &current.settings;
        let mut headers = HeaderMap::new();
        if let Some(account) = account {
            let reached = response.status() == StatusCode::TOO_MANY_REQUESTS;
            let limits = if reached { settings.limits.exhausted() } else { settings.limits };
            headers.extend(limits.headers(&account.plan, self.now()));
        }
        let request_id = self.inner.vault.id("req");
        for (name, value) in [
            ("x-models-etag", current.models_etag.as_str()),
            ("x-request-id", &request_id),
            ("x-oai-request-id", &request_id),
            ("x-reasoning-included", "true"),
            ("openai-model", model),
            ("cf-ray", "simulated-FRA"),
        ] {
            // The endpoints beside `/responses` name no model.
            if value.is_empty() {
                continue;
            }
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        for (name, value) in &headers {
            if !response.headers().contains_key(name) {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        response
    }
}

impl Inner {
    /// Returns the input tokens of the last request with this cache key.
    pub(super) fn earlier_input(&self, key: &str) -> u64 {
        locked(&self.prompt_cache).get(key).copied().unwrap_or_default()
    }

    /// Records them, and clears the record when it is too large.
    pub(super) fn remember_input(&self, key: &str, tokens: u64) {
        let mut cache = locked(&self.prompt_cache);
        if cache.len() >= CACHED_CONVERSATIONS {
            *cache = HashMap::new();
        }
        cache.insert(key.to_owned(), tokens);
    }
}

const CACHED_CONVERSATIONS: usize = 4096;

/// The origin and the route of a workspace that has none of its own.
const UNCONSTRAINED: &str = "NO_CONSTRAINT";
