//! What is written and taken out again leaves the file as it was, whatever it holds.

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Changes of every rule, at places that the generated texts have, may have, and never have.
fn changes() -> Vec<Change> {
    vec![
        Change::new(&["model"], "codex-proxy/m", Rule::Preset),
        Change::new(
            &["provider", "codex-proxy"],
            json!({ "url": "http://u", "models": { "m": { "limit": 1 } } }),
            Rule::Own,
        ),
        Change::new(&["provider", "codex-proxy", "key"], "any", Rule::Key),
        Change::new(&["env", "A"], "new", Rule::Replace),
        Change::new(&["env", "B"], "new too", Rule::Replace),
    ]
}

fn never(_: &Value) -> bool {
    false
}

/// Without the comparison with the whole original, which would hide what the removal itself does.
fn taken_out(format: Format, text: &str, original: Option<&str>) -> String {
    match format {
        Format::Toml => {
            let original = original.map(|text| TomlText::parse(text).expect("valid"));
            take_out_of(TomlText::parse(text).expect("valid"), &changes(), original.as_ref()).expect("taken out")
        }
        Format::Json | Format::Jsonc | Format::Yaml => {
            let original = original.map(|text| JsonText::parse(text, true).expect("valid"));
            take_out_of(JsonText::parse(text, true).expect("valid"), &changes(), original.as_ref()).expect("taken out")
        }
    }
}

fn pick(from: &'static [&'static str]) -> impl Strategy<Value = String> {
    proptest::sample::select(from).prop_map(str::to_owned)
}

fn space() -> impl Strategy<Value = String> {
    pick(&[
        "",
        "",
        " ",
        "\n",
        "\n  ",
        "\n\t",
        " // c \n",
        "// \"x\": 1,\n  ",
        " /* } */ ",
        "\r\n    ",
        "\n\n// above\n",
    ])
}

/// An object or another value as text. Objects hold at least one member: nothing tells how an empty one was written.
fn value(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    let leaf =
        pick(&["1.10", "-0", "1e5", "12345678901234567890", "\"a \\u00e9 // no comment {\"", "null", "true", "[]"]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let list = (inner.clone(), space(), any::<bool>())
            .prop_map(|(value, space, comma)| format!("[{space}{value}{}]", if comma { "," } else { "" }));
        prop_oneof![list, object(inner, keys)]
    })
}

fn object(
    inner: impl Strategy<Value = String> + 'static,
    keys: &'static [&'static str],
) -> impl Strategy<Value = String> {
    let member = (space(), pick(keys), space(), inner, space())
        .prop_map(|(before, key, colon, value, after)| format!("{before}\"{key}\":{colon}{value}{after}"));
    (proptest::collection::vec(member, 1..4), any::<bool>(), space())
        .prop_map(|(members, comma, end)| format!("{{{}{}{end}}}", members.join(","), if comma { "," } else { "" }))
}

fn document(keys: &'static [&'static str]) -> impl Strategy<Value = String> {
    (space(), object(value(keys), keys), space()).prop_map(|(before, object, after)| format!("{before}{object}{after}"))
}

/// Keys of the changes among others, repeated ones too.
const OURS: &[&str] = &["a", "model", "provider", "codex-proxy", "key", "env", "A", "\\u0061", "é"];
/// Keys above those of the changes, never these themselves.
const OTHERS: &[&str] = &["a", "provider", "env", "z", "é", "z"];

fn lines() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("# a comment = 1".to_owned()),
        Just(String::new()),
        Just("key = 1.10 # why".to_owned()),
        Just("key= '''\nlong\n'''".to_owned()),
        Just("key.dotted = [ 1,\n  2, # two\n]".to_owned()),
        Just("[table]".to_owned()),
        Just("[ table.sub ]  # sub".to_owned()),
        Just("[[list]]".to_owned()),
        Just("[model_providers.other]".to_owned()),
    ];
    proptest::collection::vec(line, 0..8).prop_map(|lines| {
        let numbered = lines.iter().enumerate().map(|(index, line)| {
            line.replace("key", &format!("key{index}"))
                .replace("table", &format!("table{index}"))
                .replace("other", &format!("other{index}"))
        });
        numbered.map(|line| line + "\n").collect()
    })
}

proptest! {
    #[test]
    fn json_is_restored_from_what_it_was(text in document(OURS)) {
        let Ok((merged, _)) = merge(Format::Jsonc, &text, &changes()) else { return Ok(()) };
        let again = merge(Format::Jsonc, &merged, &changes()).expect("merged again").0;
        prop_assert_eq!(&again, &merged, "a second time changes nothing");
        prop_assert_eq!(taken_out(Format::Jsonc, &merged, Some(&text)), text);
    }

    #[test]
    fn json_is_restored_without_knowing_what_it_was(text in document(OTHERS)) {
        let Ok((merged, _)) = merge(Format::Jsonc, &text, &changes()) else { return Ok(()) };
        prop_assert_eq!(value_in(&merged, &["env", "B"]), Some("new too".into()));
        prop_assert_eq!(value_in(&merged, &["provider", "codex-proxy", "key"]), Some("any".into()));
        prop_assert!(holds(Format::Jsonc, &merged, &changes(), never));
        prop_assert_eq!(taken_out(Format::Jsonc, &merged, None), text);
    }

    #[test]
    fn toml_is_restored(text in lines(), has_carriage_returns in any::<bool>()) {
        let text = if has_carriage_returns { text.replace('\n', "\r\n") } else { text };
        prop_assume!(TomlText::parse(&text).is_ok());
        let (merged, _) = merge(Format::Toml, &text, &changes()).expect("merged");
        prop_assert_eq!(&merge(Format::Toml, &merged, &changes()).expect("merged again").0, &merged);
        prop_assert_eq!(taken_out(Format::Toml, &merged, Some(&text)), text.clone());
        prop_assert_eq!(taken_out(Format::Toml, &merged, None), text);
    }

    #[test]
    fn nothing_is_lost_of_any_text(text in "(\\PC|\n){0,80}") {
        for format in [Format::Json, Format::Jsonc, Format::Toml, Format::Yaml] {
            if let Ok((merged, _)) = merge(format, &text, &changes()) {
                prop_assert_eq!(take_out(format, &merged, &changes(), Some(&text)).expect("taken out"), text.clone());
            }
        }
    }
}

fn merged(text: &str, changes: &[Change]) -> String {
    merge(Format::Jsonc, text, changes).expect("merged").0
}

#[test]
fn a_new_member_stands_like_its_neighbours() {
    let change = [Change::new(&["env", "NEW"], "1", Rule::Replace)];
    for (before, after) in [
        ("", "{\n  \"env\": { \"NEW\": \"1\" }\n}\n"),
        ("{}", "{\n  \"env\": { \"NEW\": \"1\" }\n}"),
        ("{\"a\": 1}", "{\"a\": 1, \"env\": { \"NEW\": \"1\" }}"),
        (
            "{\n    // first\n    \"a\": 1.10, // why\n}\n",
            "{\n    // first\n    \"a\": 1.10, // why\n    \"env\": { \"NEW\": \"1\" },\n}\n",
        ),
        (
            "{\n\t\"env\": {\n\t\t\"A\": \"0\" // last\n\t}\n}\n",
            "{\n\t\"env\": {\n\t\t\"A\": \"0\", // last\n\t\t\"NEW\": \"1\"\n\t}\n}\n",
        ),
        ("{\r\n  \"a\": 1\r\n}\r\n", "{\r\n  \"a\": 1,\r\n  \"env\": { \"NEW\": \"1\" }\r\n}\r\n"),
        ("{\"env\": {\"NEW\": 0}, \"env\": {\"NEW\": 1}}", "{\"env\": {\"NEW\": 0}, \"env\": {\"NEW\": \"1\"}}"),
        ("{\n  \"env\": {}\n}", "{\n  \"env\": {\n    \"NEW\": \"1\"\n  }\n}"),
    ] {
        assert_eq!(merged(before, &change), after);
    }
}

#[test]
fn what_is_long_stands_on_several_lines() {
    let long = json!({ "list": [{ "a": "x".repeat(100), "b": {} }, []], "short": { "c": [1, 2] } });
    let after = merged("{\r\n\t\"a\": 1\r\n}", &[Change::new(&["n"], long, Rule::Own)]);
    let lines: Vec<_> = after.split("\r\n").collect();
    assert_eq!(
        lines[2..5],
        ["\t\"n\": {", "\t\t\"list\": [", &format!("\t\t\t{{ \"a\": \"{}\", \"b\": {{}} }},", "x".repeat(100))]
    );
    assert_eq!(lines[5..], ["\t\t\t[]", "\t\t],", "\t\t\"short\": { \"c\": [1, 2] }", "\t}", "}"]);
}

#[test]
fn what_the_user_wrote_stays_within_what_is_ours() {
    let text = "{\n  \"provider\": {\n    \"codex-proxy\": {\n      // mine\n      \"timeout\": 1.0,\n      \"key\": \"secret\"\n    }\n  }\n}\n";
    let (after, told) = merge(Format::Jsonc, text, &changes()).expect("merged");
    assert!(
        after.contains("// mine\n      \"timeout\": 1.0,\n      \"key\": \"secret\",\n      \"url\": \"http://u\""),
        "{after}"
    );
    assert!(told.contains(&Difference::Kept("provider.codex-proxy.key".into(), "***".into())), "{told:?}");
    let (_, told) = merge(Format::Jsonc, r#"{"model": "mine", "env": {"A": "old"}}"#, &changes()).expect("merged");
    assert!(told.contains(&Difference::Kept("model".into(), "mine".into())), "{told:?}");
    assert!(told.contains(&Difference::Changed("env.A".into(), "old".into(), "new".into())), "{told:?}");
}

#[test]
fn a_preset_is_taken_out_if_it_is_ours() {
    let out = |text: &str| take_out(Format::Jsonc, text, &changes(), None).expect("taken out");
    assert_eq!(out(r#"{"a": 1, "model": "codex-proxy/other"}"#), r#"{"a": 1}"#);
    assert_eq!(out(r#"{"a": 1, "model": "mine"}"#), r#"{"a": 1, "model": "mine"}"#);
    // A comment below one that was taken out must not swallow what follows it.
    assert_eq!(out("{ // c\n  \"model\": \"codex-proxy/x\", \"a\": 1 }"), "{ // c\n \"a\": 1 }");
}

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    for (format, text, part) in [
        (Format::Json, "{\n  // a comment\n}", "line 2"),
        (Format::Json, "{\"a\": 1,}", "line 1"),
        (Format::Jsonc, "{\n  \"a\": 1\n  \"b\": 2\n}", "line 2"),
        (Format::Jsonc, "{'a': 1}", "line 1"),
        (Format::Jsonc, "[]", "holds no JSON object"),
        (Format::Jsonc, "{\"env\": 1}", "has a value at env that is no object"),
        (Format::Toml, "a = 1\nb =\n", "line 2"),
        (Format::Toml, "env = 1\n", "has a value at env that is no table"),
        (Format::Toml, "a = 1\r\nb = 2\n", "mixes line ends"),
    ] {
        let problem = merge(format, text, &changes()).expect_err("wrong");
        assert!(problem.contains(part), "{text:?}: {problem}");
    }
}

fn yaml(key: &str, value: &str, rule: Rule) -> Change {
    Change::new(&[key], value, rule)
}

#[test]
fn yaml_gets_a_block_above_it_only_where_that_is_safe() {
    let changes = [yaml("openai-api-base", "http://u", Rule::Replace), yaml("model", "m", Rule::Preset)];
    let list = [Change::new(&[], json!([{ "model_id": "m", "aliases": ["a"] }]), Rule::Own)];
    let add = |text: &str, changes: &[Change]| merge(Format::Yaml, text, changes).map(|(text, _)| text);
    let after = add("# mine\r\ndark-mode: true\r\nmodel: x\r\n", &changes).expect("merged");
    assert!(after.contains("openai-api-base: \"http://u\"\r\n# codex-proxy setup: end\r\n# mine\r\n"), "{after}");
    assert!(!after.contains("model: \"m\""), "{after}");
    let told = merge(Format::Yaml, &after, &changes).expect("merged").1;
    assert_eq!(told, [Difference::Kept("model".into(), "x".into())]);
    let after = add("- model_id: other\n", &list).expect("merged");
    assert!(after.contains("\n- model_id: \"m\"\n  aliases: [\"a\"]\n# codex"), "{after}");
    assert_eq!(add(&after, &list).expect("merged"), after);
    assert_eq!(take_out(Format::Yaml, &after, &list, None).expect("taken out"), "- model_id: other\n");
    for unsafe_one in [
        "--- \na: 1\n",
        "%YAML 1.2\n",
        "{a: 1}\n",
        "- a\n",
        "\"quoted\": 1\n",
        "  a: 1\n",
        "a: 1\n...\n",
        "a\n",
        "\ta: 1\n",
    ] {
        add(unsafe_one, &changes).expect_err(unsafe_one);
    }
    let own = add("a: 1\nopenai_api_base: x\n", &changes).expect_err("its own");
    assert!(own.contains("sets openai-api-base itself in line 2"), "{own}");
    let torn = "# codex-proxy setup: begin (renewed by --write, taken out by --remove)\nmodel: m\n";
    assert!(take_out(Format::Yaml, torn, &changes, None).expect_err("torn").contains("without"));
}
