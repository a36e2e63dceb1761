//! The nesting depth of a JSON text.
//!
//! * Forwarded JSON is never parsed as a tree here, so its depth costs this program nothing; but its next reader may
//!   walk it recursively.
//! * The check is one pass over the bytes, skips strings, and allocates nothing.

use memchr::memchr2;

/// Returns whether no value in `json`, which must be valid JSON, is nested in more than `limit` others.
pub fn is_nested_within(json: &[u8], limit: usize) -> bool {
    let mut depth = 0_usize;
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => rest = after_string(after),
            _ => {}
        }
    }
    true
}

/// Returns the bytes after the string whose inside `rest` begins with.
fn after_string(mut rest: &[u8]) -> &[u8] {
    while let Some(position) = memchr2(b'"', b'\\', rest) {
        let is_end = rest.get(position) == Some(&b'"');
        let skipped = if is_end { position + 1 } else { position + 2 };
        rest = rest.get(skipped..).unwrap_or_default();
        if is_end {
            return rest;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{}],"b":[[1]]}"#, 3),
            (r#"["[[[[","\"[[[[","\\",[]]"#, 2),
            (r#"{"a\\":{"b":"}"}}"#, 2),
        ] {
            assert!(is_nested_within(json.as_bytes(), depth), "{json}");
            assert!(depth == 0 || !is_nested_within(json.as_bytes(), depth - 1), "{json}");
        }
    }
}
