//! The resolution of names and efforts, over the whole table.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::models::catalogue::{Generation, TABLE};
use crate::models::effort::Effort::{High, Low, Max, Medium, Minimal, None as Off, Xhigh};

fn live(json: &str) -> LiveCatalogue {
    LiveCatalogue::parse(json.as_bytes()).expect("a catalogue")
}

fn sent(asked: &str, effort: Option<&str>) -> (String, Option<Effort>) {
    let resolution = Models::default().resolve(Some(asked), effort);
    (resolution.model, resolution.effort)
}

#[test]
fn every_effort_on_every_original_model() {
    // The resolutions of none, minimal, low, medium, high, xhigh, max and no effort.
    let minimal_to_high = [Low, Minimal, Low, Medium, High, High, High].map(Some);
    let low_to_high = [Low, Low, Low, Medium, High, High, High].map(Some);
    let low_to_xhigh = [Low, Low, Low, Medium, High, Xhigh, Xhigh].map(Some);
    let medium_to_high = [Medium, Medium, Medium, Medium, High, High, High].map(Some);
    let table = [
        ("gpt-5", minimal_to_high, None),
        ("gpt-5-codex", minimal_to_high, None),
        ("gpt-5.1", low_to_high, Some(Low)),
        ("gpt-5.1-codex", low_to_high, Some(Low)),
        ("gpt-5.1-codex-max", low_to_xhigh, Some(Low)),
        ("gpt-5-codex-mini", medium_to_high, Some(Medium)),
        ("gpt-5.1-codex-mini", medium_to_high, Some(Medium)),
    ];
    for (model, expected, unspecified) in table {
        assert_eq!(sent(model, None), (model.to_owned(), unspecified), "{model}");
        assert_eq!(sent(model, Some("nonsense")), (model.to_owned(), unspecified), "{model}");
        for (level, expected) in Effort::ALL.into_iter().zip(expected) {
            assert_eq!(sent(model, Some(level.as_str())), (model.to_owned(), expected), "{model} {level}");
            let suffixed = format!("{model}-{level}");
            if catalogue::built_in(&suffixed).is_none() {
                assert_eq!(sent(&suffixed, None), (model.to_owned(), expected), "{suffixed}");
            }
        }
        assert_eq!(sent(model, Some("ultra")).1, expected[6], "{model} ultra");
    }
}

#[test]
fn newer_models_take_what_they_list_and_some_none() {
    let to_max = |off, minimal| [off, minimal, Low, Medium, High, Xhigh, Max].map(Some);
    let without_none = to_max(Low, Low);
    let with_none = to_max(Off, Low);
    for (model, expected) in [
        ("gpt-6.1-sol", without_none),
        ("gpt-6-astra", without_none),
        ("gpt-6-sol", without_none),
        ("gpt-6-luna", with_none),
        ("gpt-5.6-sol", with_none),
        ("gpt-6.1-terra", with_none),
        ("gpt-5.6-terra", with_none),
        ("gpt-5.6-luna", with_none),
        ("gpt-daybreak-blue-latest", without_none),
        ("gpt-daybreak-red-latest", without_none),
        ("codex-auto-review", without_none),
    ] {
        assert_eq!(sent(model, None), (model.to_owned(), None));
        for (level, expected) in Effort::ALL.into_iter().zip(expected) {
            assert_eq!(sent(model, Some(level.as_str())).1, expected, "{model} {level}");
        }
        assert_eq!(sent(model, Some("ultra")).1, Some(Max), "{model}");
    }
    assert_eq!(sent("gpt-5.5-max", None).1, Some(Xhigh));
    assert_eq!(sent("gpt-7-unheard-of-minimal", None), ("gpt-7-unheard-of".to_owned(), Some(Minimal)));
    assert_eq!(sent("gpt-reserve", Some("max")).1, Some(Max));
}

#[test]
fn the_live_list_adds_none_only_where_it_is_known_to_be_taken() {
    let models = Models::default();
    let list = |slug: &str| format!(r#"{{"slug":"{slug}","supported_reasoning_levels":["low","max"]}}"#);
    let all = ["gpt-6.1-sol", "gpt-6-astra", "gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra", "gpt-7-nova"].map(list);
    models.set_live(live(&format!(r#"{{"models":[{}]}}"#, all.join(","))));
    let effort = |model: &str| models.resolve(Some(model), Some("none")).effort;
    for model in ["gpt-6.1-sol", "gpt-6-astra", "gpt-6-sol", "gpt-7-nova"] {
        assert_eq!(effort(model), Some(Low), "{model}");
    }
    for model in ["gpt-6-luna", "gpt-6.1-terra"] {
        assert_eq!(effort(model), Some(Off), "{model}");
    }
}

#[test]
fn names_of_the_original_request_and_where_they_lead() {
    let table = [
        ("gpt-5-high", "gpt-5", Some(High)),
        ("gpt-5-medium", "gpt-5", Some(Medium)),
        ("gpt-5-low", "gpt-5", Some(Low)),
        ("gpt-5-minimal", "gpt-5", Some(Minimal)),
        ("gpt-5.1-high", "gpt-5.1", Some(High)),
        ("gpt-5.1-medium", "gpt-5.1", Some(Medium)),
        ("gpt-5.1-low", "gpt-5.1", Some(Low)),
        ("gpt-5.1-codex-max-low", "gpt-5.1-codex-max", Some(Low)),
        ("gpt-5.1-codex-max-high", "gpt-5.1-codex-max", Some(High)),
        ("gpt-5.1-codex-max-xhigh", "gpt-5.1-codex-max", Some(Xhigh)),
        ("gpt-5-codex-mini-medium", "gpt-5-codex-mini", Some(Medium)),
        ("gpt-5-codex-mini-high", "gpt-5-codex-mini", Some(High)),
        ("gpt-5-codex-mini-low", "gpt-5-codex-mini", Some(Medium)),
        ("gpt-5-mini-codex-preview", "gpt-5-codex", None),
        ("gpt-5-mini", "gpt-5", None),
        ("gpt-5.1-anything", "gpt-5.1", Some(Low)),
        ("gpt-5-codex-mini-anything", "gpt-5-codex-mini", Some(Medium)),
    ];
    for (asked, model, effort) in table {
        assert_eq!(sent(asked, None), (model.to_owned(), effort), "{asked}");
    }
}

#[test]
fn a_field_beats_the_suffix_and_an_unknown_word_does_not() {
    assert_eq!(sent("gpt-5-high", Some("low")).1, Some(Low));
    assert_eq!(sent("gpt-5-high", Some("loud")).1, Some(High));
    let resolution = Models::default().resolve(Some("gpt-5"), Some("xhigh"));
    assert_eq!((resolution.asked_effort, resolution.effort), (Some(Xhigh), Some(High)));
}

#[test]
fn the_default_stands_in_for_no_name_and_for_other_families() {
    let plain = Models::default();
    assert_eq!(plain.resolve(None, None).model, "gpt-6.1-sol");
    assert_eq!(plain.resolve(Some("  "), None).model, "gpt-6.1-sol");
    assert!(!plain.resolve(None, None).foreign);
    assert!(plain.resolve(Some("llama-4"), None).foreign);
    assert!(!plain.resolve(Some("gpt-5-mini"), None).foreign);

    let wished = Models::new(vec![("house".to_owned(), "gpt-6-luna-high".to_owned())], Some("House".to_owned()));
    let resolution = wished.resolve(Some("gpt-4o"), None);
    assert_eq!((resolution.model.as_str(), resolution.effort), ("gpt-6-luna", Some(High)));
    assert_eq!(wished.resolve(Some("gpt-4o-low"), None).effort, Some(Low));

    let odd = Models::new(Vec::new(), Some("my-own-model".to_owned()));
    assert_eq!(odd.resolve(None, None).model, "my-own-model");
}

#[test]
fn names_of_anthropics_tiers_mean_models_of_the_list() {
    let models = Models::default();
    models.set_live(live(
        r#"{"models":[{"slug":"nova","priority":1},{"slug":"terra","priority":2},{"slug":"nova-luna","priority":3}]}"#,
    ));
    for (asked, sent) in [
        ("claude-opus-5-5[1m]", "nova"),
        ("nova[1M]", "nova"),
        ("anthropic/nova[1m]", "nova"),
        ("Claude-Sonnet-5-5", "terra"),
        ("claude-haiku-4-5", "nova-luna"),
        ("claude-nova", "nova"),
        ("anthropic/terra", "terra"),
    ] {
        let resolution = models.resolve(Some(asked), None);
        assert_eq!((resolution.model.as_str(), resolution.foreign), (sent, false), "{asked}");
    }
    assert!(models.resolve(Some("claude-next"), None).foreign);
    let aliased = Models::new(vec![("claude-opus-5-5".to_owned(), "gpt-6-luna".to_owned())], None);
    assert_eq!(aliased.resolve(Some("claude-opus-5-5"), None).model, "gpt-6-luna", "the operator's word comes first");
}

#[test]
fn no_default_is_a_retired_model() {
    let models = Models::default();
    models.set_live(live(r#"{"models":[{"slug":"gpt-5.5","priority":1},{"slug":"nova","priority":2}]}"#));
    assert_eq!(models.resolve(None, None).model, "nova");
    models.set_live(live(r#"{"models":[{"slug":"gpt-5.5","priority":1}]}"#));
    assert_eq!(models.resolve(None, None).model, "gpt-6.1-sol");
}

#[test]
fn the_live_catalogue_adds_names_levels_and_a_default() {
    let models = Models::default();
    models.set_live(live(
        r#"{"models":[
          {"slug":"nova","priority":2,"visibility":"list","supported_reasoning_levels":[{"effort":"high"}],
           "service_tiers":[{"id":"priority"}]},
          {"slug":"shadow","priority":1,"visibility":"hide"},
          {"slug":"gpt-6-luna","priority":3,"service_tiers":[],"supported_reasoning_levels":[{"effort":"low"}]}
        ]}"#,
    ));
    let resolution = models.resolve(Some("Nova-low"), None);
    assert_eq!((resolution.model.as_str(), resolution.effort), ("nova", Some(High)));
    assert!(resolution.supports_priority && !resolution.foreign);
    assert!(!models.resolve(Some("gpt-6-luna"), None).supports_priority);
    assert_eq!(models.resolve(Some("gpt-6-luna-xhigh"), None).effort, Some(Low));
    assert_eq!(models.resolve(None, None).model, "nova");
    assert_eq!(models.resolve(Some("gpt-5"), None).model, "gpt-5");

    let ids: Vec<_> = models.list().into_iter().map(|entry| entry.id).collect();
    assert_eq!(ids[..5], ["nova", "nova-high", "gpt-6-luna", "gpt-6-luna-low", "gpt-5"]);
    assert!(!ids.contains(&"shadow".to_owned()) && !ids.contains(&"gpt-6-sol".to_owned()));
    assert!(models.find("shadow").is_some() && models.find("gpt-6-sol-max").is_some());
}

#[test]
fn a_successor_is_named_only_where_the_account_has_it() {
    let models = Models::default();
    for (retired, successor) in [
        (" GPT-5.4 ", "gpt-5.6-terra"),
        ("gpt-5.2", "gpt-5.6-terra"),
        ("gpt-5.4-mini", "gpt-5.6-luna"),
        ("gpt-5.5", "gpt-6-sol"),
        ("gpt-5.3-codex-spark", "gpt-6-luna"),
        ("gpt-5", "gpt-6-sol"),
        ("gpt-5.1-codex-mini", "gpt-6-luna"),
    ] {
        assert_eq!(models.upgrade_of(retired).as_deref(), Some(successor), "{retired}");
    }
    assert_eq!(models.upgrade_of("gpt-6.1-sol"), None);
    assert_eq!(models.upgrade_of("unheard-of"), None);
    models.set_live(live(
        r#"{"models":[{"slug":"nova"},{"slug":"old","upgrade":{"model":"nova"}},{"slug":"odd","upgrade":"gone"},
            {"slug":"gpt-6-sol"},{"slug":"ring","upgrade":"gone"},{"slug":"gpt-7","upgrade":"gpt-7"}]}"#,
    ));
    assert_eq!(models.upgrade_of("old").as_deref(), Some("nova"));
    assert_eq!(models.upgrade_of("odd"), None);
    assert_eq!(models.upgrade_of("gpt-5.4").as_deref(), Some("gpt-6-sol"), "its successor is gone too");
    assert_eq!(models.upgrade_of("gpt-5.4-mini"), None);
}

#[test]
fn every_retired_model_has_a_living_successor() {
    for model in TABLE.iter().filter(|model| model.retired) {
        let successor = Models::default().upgrade_of(&model.id).expect("a successor");
        let successor = catalogue::built_in(&successor).expect("one of the table");
        assert!(!successor.retired, "{}", model.id);
    }
}

#[test]
fn the_list_begins_with_the_original_seven_each_with_its_variants() {
    let entries = Models::default().list();
    let ids: Vec<_> = entries.iter().map(|entry| entry.id.as_str()).collect();
    let originals: Vec<_> =
        TABLE.iter().filter(|model| model.generation == Generation::Original).map(|model| model.id.as_ref()).collect();
    assert_eq!(
        originals,
        [
            "gpt-5",
            "gpt-5-codex",
            "gpt-5.1",
            "gpt-5.1-codex",
            "gpt-5.1-codex-max",
            "gpt-5-codex-mini",
            "gpt-5.1-codex-mini"
        ]
    );
    assert_eq!(ids[..6], ["gpt-5", "gpt-5-minimal", "gpt-5-low", "gpt-5-medium", "gpt-5-high", "gpt-5-codex"]);
    let unique: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    for entry in &entries {
        assert_eq!(Models::default().find(&entry.id).as_ref(), Some(entry), "{}", entry.id);
    }
    assert!(Models::default().find("gpt-5-xhigh").is_none());
    assert!(Models::default().find("gpt-4o").is_none());
}

#[test]
fn an_entry_on_the_wire() {
    let entry = Models::default().find("GPT-5.1-codex-mini-high").expect("a variant");
    assert_eq!(
        serde_json::to_value(entry).expect("JSON"),
        serde_json::json!({
            "id": "gpt-5.1-codex-mini-high", "object": "model", "created": 1_754_524_800, "owned_by": "openai",
            "display_name": "GPT-5.1 Codex Mini (high)", "context_window": 272_000, "max_output_tokens": 128_000,
            "supported_reasoning_efforts": ["medium", "high"], "default_reasoning_effort": "high",
            "capabilities": {"vision": true, "tools": true, "structured_outputs": true, "streaming": true}
        })
    );
}

#[test]
fn the_documented_table_is_the_codes_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/models.md");
    let text = std::fs::read_to_string(&path).expect("docs/models.md");
    let (_, rest) = text.split_once("<!-- table -->\n").expect("the table's beginning");
    let (documented, _) = rest.split_once("<!-- end of table -->").expect("the table's end");
    assert_eq!(documented, table_text(), "replace the table in docs/models.md by the right-hand text");
}

fn table_text() -> String {
    let mut text = "| model | efforts | when none is asked for | context | images | priority tier | listed | retired | successor |\n\
                    |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    let yes = |value: bool| if value { "yes" } else { "no" };
    for model in &TABLE {
        let efforts: Vec<_> = model.efforts.iter().map(|effort| effort.as_str()).collect();
        let efforts = if efforts.is_empty() { "any".to_owned() } else { efforts.join(" ") };
        let _ = writeln!(
            text,
            "| `{}` | {efforts} | {} | {} | {} | {} | {} | {} | {} |",
            model.id,
            model.unspecified.map_or("left to the backend", Effort::as_str),
            model.context_window,
            yes(model.vision),
            yes(model.priority),
            yes(model.visibility == catalogue::Visibility::Listed),
            yes(model.retired),
            model.built_in_upgrade.map_or(String::new(), |successor| format!("`{successor}`")),
        );
    }
    text
}

proptest! {
    #[test]
    fn any_name_and_word_give_an_allowed_effort(
        name in r"(gpt-)?(5|5\.1|6|5\.6-sol|5-codex|5\.1-codex-max|\PC{0,12})(-codex|-mini|-max|-high|-none|/|-)?\PC{0,6}",
        word in proptest::option::of(r"none|minimal|LOW|medium|high|xhigh|max|ultra|\PC{0,8}"),
    ) {
        let resolution = Models::default().resolve(Some(&name), word.as_deref());
        prop_assert!(!resolution.model.is_empty());
        match catalogue::built_in(&resolution.model) {
            Some(model) if model.efforts.is_empty() => {}
            Some(model) => match resolution.effort {
                Some(effort) => prop_assert!(model.efforts.contains(&effort)),
                None => prop_assert_eq!(model.unspecified, None),
            },
            None => prop_assert_eq!(resolution.effort, resolution.asked_effort),
        }
        if catalogue::built_in(&resolution.model).is_some() {
            let again = Models::default().resolve(Some(&resolution.model), resolution.effort.map(Effort::as_str));
            prop_assert_eq!(again.model, resolution.model);
        }
    }
}
