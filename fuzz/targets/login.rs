//! Any login document is an error with a place, or survives being written and read; claims and token answers are read from
//! anything without harm; a refresh touches nothing but its own fields.

#![no_main]

use std::collections::HashMap;

use codex_proxy::credentials::document::AuthDocument;
use codex_proxy::oauth::TokenSet;
use codex_proxy::oauth::claims::Claims;
use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Claims::decode(text);
    // The payload of a token made of the input, which random bytes would hardly ever be.
    let _ = Claims::decode(&format!("e30.{}.x", base64(input)));
    let _ = TokenSet::parse(input);
    let Ok(document) = AuthDocument::parse(text) else { return };
    let _ = document.login();
    let written = document.to_text();
    let mut read = AuthDocument::parse(&written).expect("what is written can be read");
    assert_eq!(*read.to_text(), *written, "writing and reading change nothing");
    let answer = br#"{"access_token":"a","refresh_token":"r","expires_in":3600}"#;
    read.apply_refresh(&TokenSet::parse(answer).expect("an answer"), 1_786_000_000);
    let login = read.login();
    assert!(login.is_err() || login.is_ok_and(|login| login.refresh_token.is_some_and(|token| token.expose() == "r")));
    let after = read.to_text();
    // Half a surrogate pair in a name is kept as it is written, and no Rust string can hold it.
    let (Some(before), Some(after)) = (fields(text), fields(&after)) else { return };
    for (name, value) in before {
        let own = ["tokens", "last_refresh", "expiresAt"].contains(&name.as_str()) || name.starts_with("expires");
        let kept = after.get(&name).is_some_and(|kept| kept.get() == value.get());
        assert!(own || kept, "{name} has changed");
    }
});

/// The members as they are written: a number may be larger than any type of Rust's.
fn fields(text: &str) -> Option<HashMap<String, &RawValue>> {
    serde_json::from_str(text).ok()
}

/// base64url without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let number = group.iter().fold(0_u32, |number, &byte| number << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for place in 0..=group.len() {
            text.push(char::from(LETTERS[(number >> (18 - 6 * place) & 63) as usize]));
        }
    }
    text
}
