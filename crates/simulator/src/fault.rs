//! The backend's failures: HTTP answers that are not a stream, and failures inside one.

use http::StatusCode;
use http::header::{HeaderName, RETRY_AFTER};
use serde_json::{Value, json};

use crate::limits::Limits;
use crate::script::ScriptedAnswer;

/// An error answer with the body that the backend sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFault {
    /// 401 `{"detail":"Unauthorized"}`.
    Unauthorized,
    /// 401 `token_invalidated`.
    TokenInvalidated,
    /// 401 `token_expired`.
    TokenExpired,
    /// 401 `account_deactivated`.
    AccountDeactivated,
    /// 402: the workspace has been deactivated or has no credits.
    WorkspaceDeactivated,
    /// 403 as JSON: the region is not supported.
    Forbidden,
    /// 403 as a page that asks for a browser.
    Cloudflare,
    /// 404 as JSON: no such model.
    ModelNotFound,
    /// 404 without a body: an intermediary blocks the path.
    EmptyNotFound,
    /// 408.
    RequestTimeout,
    /// 413.
    TooLarge,
    /// 429: the plan's window is exhausted for this many seconds.
    UsageLimit(u32),
    /// The same, with the account's Luna Reserve left: a separate allowance in the backend's other headers
    /// (openai/codex#45132, limit `base_model_inference`, named `gpt-reserve`).
    ReserveLeft(u32),
    /// 429: the plan does not include Codex.
    UsageNotIncluded,
    /// 429 without a body: the request rate is too high.
    TooManyRequests,
    /// 400 `cyber_policy`.
    CyberPolicy,
    /// 400 `context_length_exceeded`.
    ContextLength,
    /// 400 `invalid_encrypted_content`.
    InvalidEncryptedContent,
    /// 500.
    ServerError,
    /// 502 as a page.
    BadGateway,
    /// 503 `server_is_overloaded`.
    Overloaded,
    /// 503 `slow_down`.
    SlowDown,
    /// 504 as a page.
    GatewayTimeout,
    /// This status with this code, and the message of [`StreamFailure::CODES`].
    Coded(u16, &'static str),
}

impl HttpFault {
    /// The faults by their directives' names.
    pub const NAMED: &[(&str, Self)] = &[
        ("unauthorized", Self::Unauthorized),
        ("token-invalidated", Self::TokenInvalidated),
        ("token-expired", Self::TokenExpired),
        ("account-deactivated", Self::AccountDeactivated),
        ("workspace-deactivated", Self::WorkspaceDeactivated),
        ("forbidden", Self::Forbidden),
        ("cloudflare", Self::Cloudflare),
        ("model-not-found", Self::ModelNotFound),
        ("empty-not-found", Self::EmptyNotFound),
        ("request-timeout", Self::RequestTimeout),
        ("too-large", Self::TooLarge),
        ("usage-limit", Self::UsageLimit(13_872)),
        ("reserve-left", Self::ReserveLeft(13_872)),
        ("usage-not-included", Self::UsageNotIncluded),
        ("too-many-requests", Self::TooManyRequests),
        ("cyber-policy", Self::CyberPolicy),
        ("context-length", Self::ContextLength),
        ("invalid-encrypted-content", Self::InvalidEncryptedContent),
        ("server-error", Self::ServerError),
        ("bad-gateway", Self::BadGateway),
        ("overloaded", Self::Overloaded),
        ("slow-down", Self::SlowDown),
        ("gateway-timeout", Self::GatewayTimeout),
        ("misalignment-policy", Self::Coded(400, "misalignment_policy_violation")),
        ("content-policy", Self::Coded(400, "content_policy_violation")),
        ("bio-policy", Self::Coded(400, "bio_policy")),
        ("inference-hook-denied", Self::Coded(403, "inference_hook_denied")),
        ("access-program", Self::Coded(403, "access_program_not_enabled")),
        ("workspace-access-denied", Self::Coded(403, "workspace_access_denied")),
        ("organization-usage-limit", Self::Coded(429, "organization_usage_limit_exceeded")),
        ("organization-spend-limit", Self::Coded(429, "organization_spend_limit_exceeded")),
        ("budget-reached", Self::Coded(429, "budget_reached")),
        ("policy-capacity", Self::Coded(503, "policy_capacity_unavailable")),
        ("invalid-audio", Self::Coded(400, "invalid_audio")),
    ];

    /// Returns the answer; `model` and `plan` are the request's, `now` is in Unix seconds.
    pub(super) fn answer(self, model: &str, plan: &str, now: i64) -> ScriptedAnswer {
        match self {
            Self::Unauthorized => detail(StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::TokenInvalidated => json_answer(StatusCode::UNAUTHORIZED, &invalidated_token()),
            Self::TokenExpired => json_answer(StatusCode::UNAUTHORIZED, &expired_token()),
            Self::AccountDeactivated => {
                let message = "Your OpenAI account has been deactivated, please check your email for more information.";
                error(StatusCode::UNAUTHORIZED, "account_deactivated", message)
            }
            Self::WorkspaceDeactivated => {
                json_answer(StatusCode::PAYMENT_REQUIRED, &json!({ "detail": { "code": "deactivated_workspace" } }))
            }
            Self::Forbidden => error(
                StatusCode::FORBIDDEN,
                "unsupported_country_region_territory",
                "Country, region, or territory not supported",
            ),
            Self::Cloudflare => ScriptedAnswer::cloudflare_challenge(),
            Self::ModelNotFound => {
                let message = format!("Model not found {model}");
                let error =
                    json!({ "message": message, "type": "invalid_request_error", "param": "model", "code": null });
                json_answer(StatusCode::NOT_FOUND, &json!({ "error": error }))
            }
            Self::EmptyNotFound => ScriptedAnswer::status(StatusCode::NOT_FOUND),
            Self::RequestTimeout => detail(StatusCode::REQUEST_TIMEOUT, "Request timeout"),
            Self::TooLarge => detail(StatusCode::PAYLOAD_TOO_LARGE, "Request entity too large"),
            Self::UsageLimit(seconds) => usage_limit(seconds, plan, now),
            Self::ReserveLeft(seconds) => {
                let reserve = Limits { reserve: Some(Limits::FULL_RESERVE), ..Limits::default().exhausted() };
                ScriptedAnswer { headers: reserve.headers(plan, now), ..usage_limit(seconds, plan, now) }
            }
            Self::UsageNotIncluded => {
                let error = json!({ "type": "usage_not_included", "message": "Codex is not included in this plan." });
                json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": error }))
            }
            Self::TooManyRequests => ScriptedAnswer::status(StatusCode::TOO_MANY_REQUESTS),
            Self::CyberPolicy => error(StatusCode::BAD_REQUEST, "cyber_policy", message_of("cyber_policy")),
            Self::ContextLength => {
                error(StatusCode::BAD_REQUEST, "context_length_exceeded", message_of("context_length_exceeded"))
            }
            Self::InvalidEncryptedContent => {
                error(StatusCode::BAD_REQUEST, "invalid_encrypted_content", message_of("invalid_encrypted_content"))
            }
            Self::ServerError => error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message_of("server_error")),
            Self::BadGateway => ScriptedAnswer::html(StatusCode::BAD_GATEWAY, BAD_GATEWAY),
            Self::Overloaded => {
                error(StatusCode::SERVICE_UNAVAILABLE, "server_is_overloaded", message_of("server_is_overloaded"))
            }
            Self::SlowDown => {
                error(StatusCode::SERVICE_UNAVAILABLE, "slow_down", message_of("slow_down")).header(RETRY_AFTER, "5")
            }
            Self::GatewayTimeout => ScriptedAnswer::html(StatusCode::GATEWAY_TIMEOUT, GATEWAY_TIMEOUT),
            Self::Coded(status, code) => {
                error(StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST), code, message_of(code))
            }
        }
    }
}

/// Returns the body of the 401 for an expired token.
pub(super) fn expired_token() -> Value {
    json!({
        "error": { "message": "Provided authentication token is expired.", "code": "token_expired" },
        "status": 401,
    })
}

/// Returns the body of the 401 for an invalidated token.
pub(super) fn invalidated_token() -> Value {
    let message = "Your authentication token has been invalidated. Please try signing in again.";
    json!({
        "error": { "message": message, "type": "invalid_request_error", "code": "token_invalidated", "param": null },
        "status": 401,
    })
}

/// A failure inside a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFailure {
    /// The code.
    pub code: String,
    /// The message.
    pub message: String,
}

impl StreamFailure {
    /// Creates the failure with this code and its usual message.
    pub fn of(code: &str) -> Self {
        Self { code: code.to_owned(), message: message_of(code).to_owned() }
    }

    /// Creates a rate limit with a retry time in seconds.
    pub fn rate_limit(seconds: f64) -> Self {
        let message = format!(
            "Rate limit reached for gpt-6.1-sol in organization org-simulated on tokens per min (TPM): Limit 30000, Used \
             22999, Requested 12528. Please try again in {seconds}s. Visit https://example.com/rate-limits to learn more."
        );
        Self { code: "rate_limit_exceeded".to_owned(), message }
    }

    /// The codes with their messages.
    pub const CODES: &[(&str, &str)] = &[
        (
            "context_length_exceeded",
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
        ),
        ("insufficient_quota", "You exceeded your current quota, please check your plan and billing details."),
        ("usage_limit_reached", "The usage limit has been reached"),
        ("usage_not_included", "Codex is not included in this plan."),
        ("rate_limit_exceeded", "Rate limit reached. Please try again in 1.5s."),
        ("server_is_overloaded", "Our servers are currently overloaded. Please try again later."),
        ("slow_down", "Too many requests at this moment. Please slow down."),
        ("server_error", "The server had an error while processing your request. Sorry about that! (simulated)"),
        ("cyber_policy", "This request was flagged for possible cybersecurity risk."),
        ("bio_policy", "This request was flagged for possible biological risk."),
        ("invalid_prompt", "Invalid prompt: we've limited access to this content for safety reasons."),
        ("invalid_encrypted_content", "The encrypted content could not be verified."),
        ("previous_response_not_found", "Previous response not found."),
        ("websocket_connection_limit_reached", "Responses websocket connection limit reached (60 minutes)."),
        ("invalid_image", "The image data you provided does not represent a valid image."),
        ("invalid_image_format", "The image format is not supported."),
        ("invalid_base64_image", "The image is not valid base64."),
        ("invalid_image_url", "The image URL is not valid."),
        ("image_too_large", "The image is too large."),
        ("image_too_small", "The image is too small."),
        ("image_parse_error", "The image could not be parsed."),
        ("image_content_policy_violation", "The image violates the content policy."),
        ("invalid_image_mode", "The image mode is not supported."),
        ("image_file_too_large", "The image file is too large."),
        ("unsupported_image_media_type", "The image media type is not supported."),
        ("empty_image_file", "The image file is empty."),
        ("failed_to_download_image", "The image could not be downloaded."),
        ("image_file_not_found", "The image file was not found."),
        ("vector_store_timeout", "The vector store timed out."),
        ("data_residency_mismatch", "The data residency does not match."),
        // Codes in the Codex CLI's own strings since 0.147 (0.159 of 2026-09-29, 0.169 of 2026-11-13). Their messages
        // are guesses if no public report quotes them.
        ("misalignment_policy_violation", "This request was blocked due to a misalignment policy violation."),
        ("content_policy_violation", "This request was blocked by the content policy."),
        ("inference_hook_denied", "Your workspace inference hook blocked this request."),
        ("access_program_not_enabled", "This access program is not enabled for this organization."),
        ("workspace_access_denied", "You do not have access to this workspace."),
        ("organization_usage_limit_exceeded", "Your organization has reached its usage limit."),
        ("organization_spend_limit_exceeded", "Your organization has reached its spend limit."),
        ("budget_reached", "The budget has been reached."),
        ("session_budget_exceeded", "The session's budget has been exceeded."),
        ("policy_capacity_unavailable", "Policy checks have no capacity at the moment. Please try again later."),
        ("audio_too_large", "The audio is too large."),
        ("invalid_audio", "The audio is not valid."),
        ("invalid_audio_data", "The audio data is not valid."),
        ("invalid_audio_format", "The audio format is not supported."),
        ("missing_audio_sample_rate", "The audio's sample rate is missing."),
        ("tool_collision", "Two tools have the same name."),
    ];
}

fn message_of(code: &str) -> &'static str {
    StreamFailure::CODES.iter().find(|(known, _)| *known == code).map_or("A simulated failure.", |(_, message)| message)
}

fn usage_limit(seconds: u32, plan: &str, now: i64) -> ScriptedAnswer {
    let error = json!({
        "type": "usage_limit_reached",
        "message": "The usage limit has been reached",
        "plan_type": plan,
        "resets_at": now + i64::from(seconds),
        "eligible_promo": null,
        "resets_in_seconds": seconds,
    });
    json_answer(StatusCode::TOO_MANY_REQUESTS, &json!({ "error": error }))
        .header(HeaderName::from_static("x-codex-rate-limit-reached-type"), "rate_limit_reached")
}

fn detail(status: StatusCode, text: &str) -> ScriptedAnswer {
    json_answer(status, &json!({ "detail": text }))
}

fn error(status: StatusCode, code: &str, message: &str) -> ScriptedAnswer {
    let kind = if status.is_server_error() { "server_error" } else { "invalid_request_error" };
    ScriptedAnswer::error(status, kind, Some(code), message)
}

fn json_answer(status: StatusCode, body: &Value) -> ScriptedAnswer {
    ScriptedAnswer::json(status, body)
}

const BAD_GATEWAY: &str = "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1>\
    </center><hr><center>cloudflare (simulated)</center></body></html>";
const GATEWAY_TIMEOUT: &str = "<html><head><title>504 Gateway Time-out</title></head><body><center>\
    <h1>504 Gateway Time-out</h1></center><hr><center>cloudflare (simulated)</center></body></html>";
