//! The reverse of [`ToolNames`]: restores the client's own names of tools in an answer's events, before a machine reads
//! them.
//!
//! * Only events that contain a replaced name are rewritten, and of those only the part that contains it: an item, the
//!   finished arguments of a call, and the final object with its items and tools.
//! * Everything else passes unchanged. A request without such names never comes here.

use serde_json::value::RawValue;

use crate::backend::event::Name;
use crate::backend::event::sse::Frame;
use crate::backend::request::names::ToolNames;
use crate::json::{ArrayWriter, Object, ObjectWriter, Text};

/// Gives `each` the frame with the client's names, and returns its result.
pub(super) fn renamed<T>(frame: &Frame<'_>, names: &ToolNames, each: impl FnOnce(&Frame<'_>) -> T) -> T {
    if !names.are_in(&frame.data) {
        return each(frame);
    }
    let (Some(event), Ok(object)) = (Name::parse(&frame.data), serde_json::from_slice::<Object<'_>>(&frame.data))
    else {
        return each(frame);
    };
    let mut data = Vec::with_capacity(frame.data.len());
    let mut writer = ObjectWriter::begin(&mut data);
    for (key, value) in object.iter() {
        match key {
            "item" => write_named(value, names, writer.key(key)),
            "response" => write_response(value, names, writer.key(key)),
            _ => write_field(key, value, names, &mut writer),
        }
    }
    writer.end();
    // A line break inside JSON is white space, and would end the `data` line.
    data.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    let mut raw = Vec::with_capacity(data.len() + event.kind.len() + 20);
    if frame.raw.starts_with(b"event:") {
        raw.extend_from_slice(b"event: ");
        raw.extend_from_slice(event.kind.as_bytes());
        raw.push(b'\n');
    }
    raw.extend_from_slice(b"data: ");
    raw.extend_from_slice(&data);
    raw.extend_from_slice(b"\n\n");
    each(&Frame { raw: &raw, data: data.into() })
}

fn write_response(raw: &RawValue, names: &ToolNames, out: &mut Vec<u8>) {
    let Ok(response) = serde_json::from_str::<Object<'_>>(raw.get()) else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    let mut object = ObjectWriter::begin(out);
    for (key, value) in response.iter() {
        match key {
            "output" | "tools" => write_list(value, names, object.key(key)),
            "tool_choice" => write_named(value, names, object.key(key)),
            _ => {
                object.raw(key, value);
            }
        }
    }
    object.end();
}

fn write_list(raw: &RawValue, names: &ToolNames, out: &mut Vec<u8>) {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    let mut array = ArrayWriter::begin(out);
    for element in elements {
        write_named(element, names, array.element());
    }
    array.end();
}

/// Writes an item, a tool or a choice.
fn write_named(raw: &RawValue, names: &ToolNames, out: &mut Vec<u8>) {
    let Some(named) = serde_json::from_str::<Object<'_>>(raw.get()).ok().filter(|_| names.are_in(raw.get().as_bytes()))
    else {
        out.extend_from_slice(raw.get().as_bytes());
        return;
    };
    let mut object = ObjectWriter::begin(out);
    for (key, value) in named.iter() {
        match key {
            "tools" => write_list(value, names, object.key(key)),
            _ => write_field(key, value, names, &mut object),
        }
    }
    object.end();
}

fn write_field(key: &str, value: &RawValue, names: &ToolNames, object: &mut ObjectWriter<'_>) {
    let own = Text::of(value).filter(|_| key == "name").and_then(|name| names.own(name.escaped()));
    match own {
        Some(own) => object.string(key, own),
        None => object.raw(key, value),
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::request::names::write_name;

    #[test]
    fn names_come_back_and_the_rest_stays() {
        let own = Text::from_escaped("a.b");
        let names = ToolNames::of(&|each: &mut dyn FnMut(Text<'static>)| each(own)).unwrap();
        let mut sent = Vec::new();
        let mut writer = ObjectWriter::begin(&mut sent);
        write_name(own, Some(&names), &mut writer);
        writer.end();
        let sent: serde_json::Value = serde_json::from_slice(&sent).unwrap();
        let sent = sent["name"].as_str().unwrap();

        let named = |name: &str| format!(r#"{{"name":"{name}"}}"#);
        let event = |name: &str| {
            let one = named(name);
            let item = format!(r#"{{"n":1.0,"name":"{name}","arguments":"{sent}"}}"#);
            let lists =
                format!(r#""output":[{one},{{"name" : "c"}}],"tools":[{{"tools":[{one}]}}],"tool_choice":{one}"#);
            format!(r#"{{"type":"x","name":"{name}","item":{item},"response":{{{lists},"text":"name"}}}}"#)
        };
        let (data, expected) = (event(sent), event("a.b"));
        let raw = format!("event: x\ndata: {data}\n\n");
        let frame = Frame { raw: raw.as_bytes(), data: data.as_bytes().into() };
        let (raw, data) = renamed(&frame, &names, |frame| (frame.raw.to_vec(), frame.data.to_vec()));
        assert_eq!(String::from_utf8(data).unwrap(), expected);
        assert_eq!(String::from_utf8(raw).unwrap(), format!("event: x\ndata: {expected}\n\n"));
    }

    #[test]
    fn a_frame_without_such_a_name_is_the_same_frame() {
        let names = ToolNames::of(&|each: &mut dyn FnMut(Text<'static>)| each(Text::from_escaped("a.b"))).unwrap();
        let frame = Frame { raw: b"data: {\"name\" : \"c\"}\r\n\r\n", data: b"{\"name\" : \"c\"}".as_slice().into() };
        assert_eq!(renamed(&frame, &names, |frame| frame.raw.as_ptr()), frame.raw.as_ptr());
    }
}
