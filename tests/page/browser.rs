//! Chromium, driven over the protocol of its developer tools (<https://chromedevtools.github.io/devtools-protocol/>).
//!
//! * Each browser has a folder and a process group of its own, which end with it.
//! * A tab keeps what its page asked for, logged and threw, for a test to look at.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Duration, Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::common::PATIENCE;

/// A running browser; killed with its owner.
pub(crate) struct Browser {
    child: Child,
    wire: Arc<Mutex<Wire>>,
    _profile: TempDir,
}

/// The connection to the browser.
struct Wire {
    socket: WebSocketStream<TcpStream>,
    serial: u64,
    /// What the browser told without being asked.
    events: Vec<Value>,
}

/// A tab of the browser.
pub(crate) struct Tab {
    wire: Arc<Mutex<Wire>>,
    session: String,
}

impl Browser {
    /// Starts Chromium. `None` where it, or axe-core, is missing; then a line says so.
    pub(crate) async fn start() -> Option<Self> {
        if let Some(missing) = missing() {
            let is_required = std::env::var_os("CODEX_PROXY_REQUIRE_BROWSER").is_some_and(|value| value == "1");
            assert!(!is_required, "{missing}");
            println!("skipped: {missing}");
            return None;
        }
        let profile = tempfile::tempdir().expect("a directory");
        let mut child = Command::new(program().unwrap_or_default())
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("it starts");
        let address = address(&mut child);
        let authority = address.strip_prefix("ws://").and_then(|rest| rest.split('/').next()).expect("an address");
        let connection = TcpStream::connect(authority).await.expect("connected");
        let (socket, _) = client_async(&address, connection).await.expect("a socket");
        let wire = Arc::new(Mutex::new(Wire { socket, serial: 0, events: Vec::new() }));
        Some(Self { child, wire, _profile: profile })
    }

    /// Opens an empty tab that tells what it does.
    pub(crate) async fn tab(&self) -> Tab {
        let mut wire = self.wire.lock().await;
        let target = wire.call(None, "Target.createTarget", json!({ "url": "about:blank" })).await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = wire.call(None, "Target.attachToTarget", attach).await;
        let session = session["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            wire.call(Some(&session), &format!("{domain}.enable"), json!({})).await;
        }
        drop(wire);
        Tab { wire: self.wire.clone(), session }
    }

    /// Lets pages of `origin` use the clipboard, as a browser with a window does for its user.
    pub(crate) async fn grant_clipboard(&self, origin: &str) {
        let permissions = json!(["clipboardReadWrite", "clipboardSanitizedWrite"]);
        let grant = json!({ "origin": origin, "permissions": permissions });
        self.wire.lock().await.call(None, "Browser.grantPermissions", grant).await;
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

impl Wire {
    /// Calls a method and waits for its result, which must be no error.
    async fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.serial += 1;
        let id = self.serial;
        let mut call = json!({ "id": id, "method": method, "params": parameters });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.socket.send(Message::text(call.to_string())).await.expect("sent");
        let answered = async {
            loop {
                let message = self.next().await;
                if message["id"] == id {
                    assert!(message.get("error").is_none(), "{method}: {message}");
                    return message["result"].clone();
                }
                self.events.push(message);
            }
        };
        timeout(PATIENCE, answered).await.unwrap_or_else(|_| panic!("{method} takes too long"))
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = self.socket.next().await.expect("the browser runs").expect("a message");
            if let Message::Text(text) = message {
                return serde_json::from_str(&text).expect("JSON");
            }
        }
    }
}

impl Tab {
    pub(crate) async fn call(&self, method: &str, parameters: Value) -> Value {
        self.wire.lock().await.call(Some(&self.session), method, parameters).await
    }

    /// Goes to `url` and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        let before = self.loads().await;
        self.call("Page.navigate", json!({ "url": url })).await;
        self.loaded_since(before).await;
    }

    /// The pages that were loaded so far.
    pub(crate) async fn loads(&self) -> usize {
        self.events("Page.loadEventFired").await.len()
    }

    /// Waits until more pages were loaded than `before`.
    pub(crate) async fn loaded_since(&self, before: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.loads().await <= before {
            assert!(Instant::now() < deadline, "the page does not load");
            self.read().await;
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Reads what the browser has told meanwhile, as any call does.
    async fn read(&self) {
        self.wire.lock().await.call(None, "Browser.getVersion", json!({})).await;
    }

    /// The value of an expression, awaited.
    pub(crate) async fn eval(&self, expression: &str) -> Value {
        let ask = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let result = self.call("Runtime.evaluate", ask).await;
        assert!(result.get("exceptionDetails").is_none(), "{expression}: {result}");
        result["result"]["value"].clone()
    }

    /// The text that a reader sees.
    pub(crate) async fn text(&self) -> String {
        self.eval("document.body.innerText").await.as_str().expect("text").to_owned()
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.eval(expression).await != true {
            assert!(Instant::now() < deadline, "never: {expression}\n{}", self.text().await);
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Sets the size of the window, and the scheme that its user prefers.
    pub(crate) async fn appear(&self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size).await;
        let feature = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", feature).await;
    }

    /// The events of this tab called `method`, as their parameters.
    pub(crate) async fn events(&self, method: &str) -> Vec<Value> {
        let wire = self.wire.lock().await;
        let own =
            wire.events.iter().filter(|event| event["sessionId"] == self.session.as_str() && event["method"] == method);
        own.map(|event| event["params"].clone()).collect()
    }

    /// What the page complained of: exceptions, errors and warnings of the console, refusals of its own policy.
    pub(crate) async fn complaints(&self) -> Vec<Value> {
        self.read().await;
        let mut complaints = self.events("Runtime.exceptionThrown").await;
        complaints.extend(self.events("Log.entryAdded").await);
        let calls = self.events("Runtime.consoleAPICalled").await;
        complaints.extend(calls.into_iter().filter(|call| call["type"] == "error" || call["type"] == "warning"));
        complaints
    }
}

/// What is missing for these tests.
fn missing() -> Option<String> {
    if program().is_none() {
        return Some("there is no Chromium; on Debian: apt-get install chromium".to_owned());
    }
    (!axe().exists()).then(|| "there is no axe-core; `just test-page` fetches it".to_owned())
}

/// The browser, by its name on Debian, or that of Google's build of it.
fn program() -> Option<&'static str> {
    let runs = |name: &&str| {
        let run = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    };
    ["chromium", "google-chrome"].into_iter().find(runs)
}

/// The script of axe-core.
pub(crate) fn axe() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page/fixture/node_modules/axe-core/axe.min.js"))
}

/// The address that a browser is driven at, which it tells first. A thread reads the rest of what it says.
fn address(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stderr.take().expect("its errors")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("DevTools listening on ").map(str::to_owned));
    std::thread::spawn(move || lines.for_each(drop));
    address.expect("the browser tells its address")
}

/// Root has no sandbox; nothing of these is for the network.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--lang=en-GB",
    "--remote-debugging-port=0",
];
