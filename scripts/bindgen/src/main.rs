//! `bindgen INPUT.wasm DIRECTORY`: writes `index.js` and `index_bg.wasm`, a module for a host that gives WebAssembly
//! modules to those who import them.

use std::path::PathBuf;

use anyhow::Context as _;
use wasm_bindgen_cli_support::Bindgen;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let input = arguments.next().context("the first argument names the module")?;
    let directory = arguments.next().context("the second argument names the directory to write to")?;
    Bindgen::new()
        .input_path(input)
        .out_name("index")
        .web(true)?
        .typescript(false)
        .reset_state_function(true)
        .generate(directory)
}
