//! Items that are named, placed and finished in every way.

use serde_json::{Value, json};

use super::*;
use crate::backend::event::delta::Delta;

fn key<'a>(id: Option<&'a str>, place: Option<u64>) -> Key<'a> {
    Key { id, place }
}

fn delta(id: &'static str, text: &'static str, number: u64) -> Delta<'static> {
    Delta {
        kind: DeltaKind::Text,
        item_id: Some(id),
        output_index: None,
        content_index: Some(0),
        summary_index: None,
        sequence_number: Some(number),
        text: Text::from_escaped(text),
    }
}

/// Returns the positions of the items in `output`, after items of these ids, kinds and places.
fn positions(items: &[(&'static str, ItemKind)], output: &Value) -> Vec<usize> {
    let mut all = Items::default();
    for (place, (id, kind)) in (0..).zip(items) {
        let position = all.find_or_add(key(Some(id), Some(place)));
        all.item_mut(position).kind = *kind;
        all.item_mut(position).done = true;
    }
    let raw: Vec<Box<RawValue>> = serde_json::from_str(&output.to_string()).unwrap();
    let views: Vec<ItemView<'_>> = raw.iter().map(|raw| ItemView::read(raw)).collect();
    all.positions_of(&views)
}

#[test]
fn finished_items_are_known_by_id_by_place_or_by_their_order() {
    let items = [("\"r\"", ItemKind::Reasoning), ("\"a\"", ItemKind::Message), ("\"b\"", ItemKind::Message)];
    let message = |id: &str| json!({ "id": id, "type": "message" });
    let reasoning = |id: &str| json!({ "id": id, "type": "reasoning" });
    assert_eq!(positions(&items, &json!([message("b"), message("a")])), [2, 1], "by their ids");
    assert_eq!(positions(&items, &json!([reasoning("x"), message("y"), message("z")])), [0, 1, 2], "by their places");
    assert_eq!(positions(&items, &json!([message("y"), message("z")])), [1, 2], "by their order");
    assert_eq!(positions(&items, &json!([message("new"), message("b"), message("a")])), [3, 2, 1], "another one");
    assert_eq!(positions(&items, &json!([{ "type": "web_search_call" }, 5])), [3, 4], "what nobody knows");
}

#[test]
fn an_item_is_found_by_id_and_by_place_until_it_has_ended() {
    let mut items = Items::default();
    let first = items.find_or_add(key(Some("\"a\""), Some(0)));
    assert_eq!(items.find(key(Some("\"other\""), Some(0))), Some(first), "ids may change");
    items.item_mut(first).done = true;
    assert_eq!(items.find(key(Some("\"other\""), Some(0))), None, "it has ended, so this is another");
    assert_eq!(items.find(key(Some("\"a\""), Some(7))), Some(first));
    let second = items.find_or_add(key(Some("\"other\""), Some(0)));
    assert_ne!(first, second);
    assert_eq!(items.find(key(None, Some(0))), Some(second));
}

#[test]
fn what_names_nothing_is_the_item_under_way() {
    let mut items = Items::default();
    let first = items.find_or_add(key(None, None));
    assert_eq!(items.find(key(None, None)), Some(first));
    items.item_mut(first).done = true;
    assert_ne!(items.find_or_add(key(None, None)), first);
}

#[test]
fn deltas_behind_a_gap_are_kept_back_until_the_finished_text() {
    let mut items = Items::default();
    for number in 0..3 {
        assert!(items.sequence.event(Some(number), 9));
    }
    let position = items.find_or_add(key(Some("\"m\""), None));
    let at = items.part(position, DeltaKind::Text, 0);
    items.announce(at);
    assert_eq!(items.delta(&delta("\"m\"", "a", 3)), Some(at));
    items.part_at(at).sent.add(Text::from_escaped("a"));
    assert_eq!(items.delta(&delta("\"m\"", "c", 5)), None, "the fourth is missing");
    assert_eq!(items.delta(&delta("\"m\"", "d", 6)), None);
    assert!(!items.are_confirmed(|_| true));
    assert_eq!(items.finish(at, Text::from_escaped("abcd"), Finisher::Part), Verdict::Rest("bcd".into()));
    items.part_at(at).sent.add(Text::from_escaped("bcd"));
    assert!(items.are_confirmed(|_| true) && items.sequence.lost_for_good() == 0);
    assert_eq!(items.delta(&delta("\"m\"", "b", 4)), None, "late, and told already");
    // A part announced after the gap is not in doubt.
    let other = items.part(position, DeltaKind::Text, 1);
    items.announce(other);
    assert_eq!(items.delta(&Delta { content_index: Some(1), ..delta("\"m\"", "x", 7) }), Some(other));
}

#[test]
fn finished_forms_bear_each_other_out() {
    let mut items = Items::default();
    let position = items.find_or_add(key(Some("\"m\""), Some(0)));
    let at = items.part(position, DeltaKind::Text, 0);
    let text = Text::from_escaped;
    items.part_at(at).sent.add(text("ab"));
    assert_eq!(items.finish(at, text("xb"), Finisher::Part), Verdict::Contradicted);
    assert_eq!(items.finish(at, text("ab"), Finisher::Item), Verdict::Whole);
    assert_eq!(items.finish(at, text("ab"), Finisher::Item), Verdict::Whole);
    assert_eq!(items.finish(at, text("abc"), Finisher::Item), Verdict::Hopeless);
}

#[test]
fn a_hole_or_two_lost_events_may_be_an_item() {
    let lacks = |places: &[u64], numbers: &[u64]| {
        let mut items = Items::default();
        for place in places {
            items.find_or_add(key(None, Some(*place)));
        }
        for number in numbers {
            items.sequence.event(Some(*number), 9);
        }
        items.lack_an_item()
    };
    assert!(!lacks(&[0, 1], &[0, 1, 2, 3]));
    assert!(!lacks(&[0, 2], &[0, 1, 2, 3]), "nothing was lost");
    assert!(!lacks(&[0, 1], &[0, 1, 2, 4]), "one event is no item");
    assert!(lacks(&[0, 2], &[0, 1, 2, 4]));
    assert!(lacks(&[0, 1], &[0, 1, 2, 5]));
}

#[test]
fn citations_are_known_by_their_numbers_and_by_what_they_say() {
    let raw = |json: &str| -> Box<RawValue> { serde_json::from_str(json).unwrap() };
    let (a, b, same) = (raw(r#"{"u":1,"t":2}"#), raw(r#"{"u":2}"#), raw(r#"{ "t": 2, "u": 1 }"#));
    let mut items = Items::default();
    let position = items.find_or_add(key(None, None));
    let at = items.part(position, DeltaKind::Text, 0);
    assert!(!items.cite(at, Some(1), &b), "the first is missing");
    assert!(items.cite(at, Some(0), &a) && !items.cite(at, Some(0), &same));
    assert_eq!(items.finish_citations(at, &[]), Citations::Sent(0));
    assert_eq!(items.finish_citations(at, &[&same, &b]), Citations::Sent(1));
    assert_eq!(items.finish_citations(at, &[&b]), Citations::Contradicted);
}
