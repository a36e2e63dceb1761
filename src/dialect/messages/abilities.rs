//! What a model can do, in the form of the API's list: every known key, each with whether it is supported here.

use serde::Serialize;

use crate::models::effort::Effort;
use crate::models::entry::Entry;

/// The `capabilities` of a model.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Abilities {
    batch: Support,
    citations: Support,
    code_execution: Support,
    context_management: ContextManagement,
    effort: Efforts,
    image_input: Support,
    pdf_input: Support,
    server_tools: ServerTools,
    structured_outputs: Support,
    thinking: ThinkingSupport,
}

/// `{"supported": …}`.
#[derive(Debug, Clone, Copy, Serialize)]
struct Support {
    supported: bool,
}

#[derive(Debug, Clone, Serialize)]
struct ContextManagement {
    clear_thinking_20251015: Support,
    clear_tool_uses_20250919: Support,
    compact_20260112: Support,
    supported: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Efforts {
    low: Support,
    medium: Support,
    high: Support,
    xhigh: Support,
    max: Support,
    supported: bool,
}

#[derive(Debug, Clone, Serialize)]
struct ServerTools {
    code_execution: Support,
    supported: bool,
    web_search: Support,
}

#[derive(Debug, Clone, Serialize)]
struct ThinkingSupport {
    supported: bool,
    types: ThinkingTypes,
}

#[derive(Debug, Clone, Serialize)]
struct ThinkingTypes {
    adaptive: Support,
    between_tools: Support,
    disabled: Support,
    enabled: Support,
}

const YES: Support = Support { supported: true };
const NO: Support = Support { supported: false };

impl Abilities {
    /// Returns what the model of `entry` can do through this program. If its efforts are unknown, each may be one.
    pub(super) fn of(entry: &Entry) -> Self {
        let efforts = &entry.supported_reasoning_efforts;
        let effort = |effort: Effort| Support { supported: efforts.is_empty() || efforts.contains(&effort) };
        let vision = Support { supported: entry.capabilities.vision };
        Self {
            batch: NO,
            citations: YES,
            code_execution: NO,
            context_management: ContextManagement {
                clear_thinking_20251015: YES,
                clear_tool_uses_20250919: NO,
                compact_20260112: NO,
                supported: true,
            },
            effort: Efforts {
                low: effort(Effort::Low),
                medium: effort(Effort::Medium),
                high: effort(Effort::High),
                xhigh: effort(Effort::Xhigh),
                max: effort(Effort::Max),
                supported: true,
            },
            image_input: vision,
            pdf_input: vision,
            server_tools: ServerTools { code_execution: NO, supported: true, web_search: YES },
            structured_outputs: Support { supported: entry.capabilities.structured_outputs },
            thinking: ThinkingSupport {
                supported: true,
                types: ThinkingTypes { adaptive: YES, between_tools: YES, disabled: YES, enabled: YES },
            },
        }
    }
}
