//! Cline: a command of its own writes its settings, which it keeps in memory and rewrites.

use crate::cli::setup::tool::{Shown, Snippet, Tool, no_files};

pub(super) const TOOL: Tool = Tool {
    name: "cline",
    title: "Cline",
    files: no_files,
    shown: Shown::Made(|facts, _| {
        let command = facts.fill("cline auth -p openai-compatible -b <base> -k <key> -m <model>", "bash");
        let panel = format!(
            "API Provider: OpenAI Compatible\nBase URL:     {}\nAPI Key:      {}\nModel ID:     {}\nContext Window Size: {}\n",
            facts.base_url(),
            facts.key_text(),
            facts.main(),
            facts.window()
        );
        vec![
            Snippet::new("In a shell, for its command line", "bash", &command),
            Snippet::new("In its panel in VS Code, under Settings", "text", &panel),
        ]
    }),
    then: |_| "Nothing is written here: Cline rewrites its settings while it runs.".to_owned(),
    start: None,
};
