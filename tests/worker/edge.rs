//! A running workerd with the built Worker in it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

/// Ends with its owner.
pub(crate) struct Edge {
    /// Where it listens, without a slash at the end.
    pub(crate) url: String,
    child: Child,
    pipes: Mutex<Option<(ChildStdin, BufReader<ChildStdout>)>>,
}

impl Edge {
    /// One isolate a place, with these variables. `None` where it cannot run; then a line says why.
    pub(crate) fn start(places: &[&str], bindings: &Value) -> Option<Self> {
        if let Some(missing) = missing() {
            assert!(std::env::var_os(REQUIRED).is_none(), "{REQUIRED} is set, but {missing}");
            #[expect(clippy::print_stdout, reason = "for whoever wonders why it took no time")]
            {
                println!("skipped: {missing}; `just test-worker` sees to it");
            }
            return None;
        }
        let options = options(places, bindings);
        let mut child = Command::new("node")
            .arg(fixture().join("miniflare.mjs"))
            .arg(options.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let ready = line(&mut output);
        let url = ready["url"].as_str().unwrap().trim_end_matches('/').to_owned();
        let input = child.stdin.take().unwrap();
        Some(Self { url, child, pipes: Mutex::new(Some((input, output))) })
    }

    /// What KV holds: `{ value, metadata }`.
    pub(crate) fn kv(&self) -> Value {
        self.command(&json!({ "get": KV_KEY }))
    }

    /// The login document in KV; `null` where there is none.
    pub(crate) fn document(&self) -> Value {
        self.kv()["value"].as_str().map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
    }

    /// Puts into KV what [`Edge::kv`] gave.
    pub(crate) fn put(&self, entry: &Value) {
        self.command(&json!({ "put": KV_KEY, "value": entry["value"], "metadata": entry["metadata"] }));
    }

    fn command(&self, command: &Value) -> Value {
        let mut pipes = self.pipes.lock().unwrap();
        let (input, output) = pipes.as_mut().unwrap();
        writeln!(input, "{command}").unwrap();
        line(output)
    }
}

impl Drop for Edge {
    /// The end of its input ends it, and the workerd below it. Killing it at once would leave that behind.
    fn drop(&mut self) {
        drop(self.pipes.get_mut().map(Option::take));
        for _ in 0..500 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
    }
}

fn line(output: &mut BufReader<ChildStdout>) -> Value {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("the fixture ended: {error}: {line}"))
}

/// What keeps the Worker from running.
fn missing() -> Option<&'static str> {
    let built = modified(&built().join("index_bg.wasm"));
    if built.is_none() {
        Some("the Worker is not built")
    } else if newest(&root().join("src")) > built {
        Some("the Worker is older than its source")
    } else if !fixture().join("node_modules/miniflare").exists() {
        Some("the packages of tests/worker/fixture are not installed")
    } else if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        Some("there is no node")
    } else {
        None
    }
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// When the youngest file below `directory` was written.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.filter_map(|path| if path.is_dir() { newest(&path) } else { modified(&path) }).max()
}

/// The Worker as `wrangler.toml` describes it.
fn options(places: &[&str], bindings: &Value) -> Value {
    let text = std::fs::read_to_string(root().join("wrangler.toml")).unwrap();
    let wrangler: Value = toml_edit::de::from_str(&text).unwrap();
    assert_eq!(wrangler["main"].as_str(), Some("build/worker/shim.mjs"));
    let keeper = &wrangler["durable_objects"]["bindings"][0];
    assert_eq!(keeper["class_name"], wrangler["migrations"][0]["new_sqlite_classes"][0]);
    json!({
        "directory": built(),
        "compatibilityDate": wrangler["compatibility_date"],
        "compatibilityFlags": wrangler["compatibility_flags"],
        "kv": wrangler["kv_namespaces"][0]["binding"],
        "keeper": { "binding": keeper["name"], "className": keeper["class_name"] },
        "bindings": bindings,
        "places": places,
    })
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn built() -> PathBuf {
    root().join("build/worker")
}

fn fixture() -> PathBuf {
    root().join("tests/worker/fixture")
}

const REQUIRED: &str = "CODEX_PROXY_REQUIRE_WORKER";
const KV_KEY: &str = "auth.json";
