//! Connections whose packets are lost: the product's own times, in networks of the test's own.
//!
//! Two network namespaces stand for two machines and a line between them. The proxy's machine changes its address, as one
//! that wakes up in another network, and whatever goes to or comes from the old address is dropped without a word.
//! Making them needs root and iproute2. A machine without them skips this and says so; with `CODEX_PROXY_REQUIRE_NETNS=1`
//! that is a failure.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::assert_whole;
use super::backend::{Act, Backend};
use super::daemon::Daemon;
use super::http1::PlainBackend;

/// Within this a dead connection must have been noticed.
const NOTICED: Duration = Duration::from_secs(20);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 93, 0, 254);

/// Two machines; gone with their owner.
struct Machines {
    proxy: String,
    server: String,
    address: Ipv4Addr,
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in [&self.proxy, &self.server] {
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output().map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)))
}

impl Machines {
    fn new() -> Result<Self, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (id, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let machines = Self {
            proxy: format!("codex-proxy-{id}-{number}-a"),
            server: format!("codex-proxy-{id}-{number}-b"),
            address: Ipv4Addr::new(10, 93, 0, 1),
        };
        let (proxy, server) = (machines.proxy.as_str(), machines.server.as_str());
        ip(&["netns", "add", proxy])?;
        ip(&["netns", "add", server])?;
        ip(&["link", "add", "line", "netns", proxy, "type", "veth", "peer", "name", "line", "netns", server])?;
        ip(&["-n", proxy, "addr", "add", "10.93.0.1/24", "dev", "line"])?;
        ip(&["-n", server, "addr", "add", "10.93.0.254/24", "dev", "line"])?;
        for machine in [proxy, server] {
            ip(&["-n", machine, "link", "set", "lo", "up"])?;
            ip(&["-n", machine, "link", "set", "line", "up"])?;
        }
        Ok(machines)
    }

    /// Gives the proxy's machine its next address, and loses what belongs to the present one.
    fn change_network(&mut self) {
        let old = format!("{}/32", self.address);
        let [a, b, c, d] = self.address.octets();
        self.address = Ipv4Addr::new(a, b, c, d + 1);
        let new = self.address.to_string();
        let change = || {
            ip(&["-n", &self.proxy, "addr", "add", &format!("{new}/24"), "dev", "line"])?;
            ip(&["-n", &self.proxy, "route", "replace", "10.93.0.0/24", "dev", "line", "src", &new])?;
            ip(&["-n", &self.server, "route", "add", "blackhole", &old])
        };
        change().expect("another network");
    }
}

/// Moves this thread, and what it starts from now on, to a machine.
fn enter(machine: &str) {
    let place = File::open(format!("/run/netns/{machine}")).expect("a network namespace");
    move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network)).expect("moved");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// The two backends, on the server's machine.
fn serve(machine: String) -> (Backend, PlainBackend) {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        enter(&machine);
        runtime().block_on(async {
            let name = SERVER.to_string();
            let _ = tell.send((Backend::on(SERVER, &name, None).await, PlainBackend::on(SERVER).await));
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("backends")
}

#[test]
fn a_change_of_network_is_noticed_in_twenty_seconds_by_an_idle_connection() {
    if let Some(networks) = Networks::new() {
        runtime().block_on(networks.change_while_idle());
    }
}

#[test]
fn a_change_of_network_is_noticed_in_twenty_seconds_in_the_middle_of_an_answer() {
    if let Some(networks) = Networks::new() {
        runtime().block_on(networks.change_in_the_middle());
    }
}

/// Two machines, the backends on one of them and a daemon for each on the other, where this thread is too.
struct Networks {
    machines: Machines,
    backend: Backend,
    plain: PlainBackend,
    over_http2: Daemon,
    over_http1: Daemon,
}

impl Networks {
    /// Says so where there can be none.
    fn new() -> Option<Self> {
        let machines = match Machines::new() {
            Ok(machines) => machines,
            Err(problem) => {
                let required = std::env::var_os("CODEX_PROXY_REQUIRE_NETNS").is_some_and(|value| value == "1");
                assert!(!required, "no network of the test's own: {problem}");
                println!("skipped, since there is no network of the test's own: {problem}");
                return None;
            }
        };
        let (backend, plain) = serve(machines.server.clone());
        enter(&machines.proxy);
        let daemon = |url: &str, certificate: &Path| {
            Daemon::start_with(url, &[("SSL_CERT_FILE", certificate.to_str().expect("a path"))])
        };
        let over_http2 = daemon(&backend.url, backend.certificate.path());
        let over_http1 = daemon(&plain.url, plain.certificate.path());
        Some(Self { machines, backend, plain, over_http2, over_http1 })
    }

    fn daemons(&self) -> [(&'static str, &Daemon); 2] {
        [("HTTP/2", &self.over_http2), ("HTTP/1.1", &self.over_http1)]
    }

    async fn assert_both_answer(&self) {
        for (_, daemon) in self.daemons() {
            assert_whole(&daemon.ask(false).await);
        }
    }

    async fn change_while_idle(mut self) {
        self.assert_both_answer().await;
        self.machines.change_network();
        join_all(self.daemons().map(|(protocol, daemon)| async move {
            let asked = Instant::now();
            assert_whole(&daemon.ask(true).await);
            say(protocol, "an idle connection", asked);
        }))
        .await;
    }

    async fn change_in_the_middle(mut self) {
        self.assert_both_answer().await;
        self.backend.next([Act::Hold]);
        self.plain.holds.store(true, Ordering::SeqCst);
        let mut in_the_middle = Vec::new();
        for (protocol, daemon) in self.daemons() {
            let mut answer = daemon.begin_chat(true).await.bytes_stream();
            answer.next().await.expect("some").expect("output");
            in_the_middle.push((protocol, answer));
        }
        self.backend.calls();
        self.backend.next([Act::NoHead]);
        let (machines, backend, over_http2) = (&mut self.machines, &self.backend, &self.over_http2);
        let waiting = async { (over_http2.ask(true).await, Instant::now()) };
        let change = async {
            backend.saw_call().await;
            machines.change_network();
            Instant::now()
        };
        let rest = in_the_middle.into_iter().map(|(protocol, mut answer)| async move {
            let mut text = String::new();
            while let Some(Ok(bytes)) = answer.next().await {
                text.push_str(&String::from_utf8_lossy(&bytes));
            }
            assert!(text.contains("upstream_stream_interrupted"), "{protocol}: {text}");
            (protocol, Instant::now())
        });
        let (changed, (waited, answered), ends) = tokio::join!(change, waiting, join_all(rest));
        assert_whole(&waited);
        let told = |what: &str, at: Instant| {
            let elapsed = at - changed;
            println!("{what}: noticed after {:.1} s", elapsed.as_secs_f64());
            assert!(elapsed < NOTICED, "{what}: {elapsed:?}");
        };
        told("HTTP/2, before the head", answered);
        for (protocol, at) in ends {
            told(&format!("{protocol}, in the middle"), at);
        }
        self.assert_both_answer().await;
    }
}

/// A PING waits behind what is being sent: a slow line, here with a queue of 8 s before it, must not look like a dead one.
#[test]
#[ignore = "takes half a minute, and a kernel that can slow a line down"]
fn a_large_upload_over_a_slow_line_is_not_cut() {
    let machines = Machines::new().expect("networks");
    let (backend, _plain) = serve(machines.server.clone());
    let slow = ["netns", "exec", &machines.proxy, "tc", "qdisc", "add", "dev", "line", "root", "tbf"];
    let how_slow = ["rate", "1mbit", "burst", "16kb", "limit", "1000kb"];
    ip(&[&slow[..], &how_slow].concat()).expect("a slow line");
    enter(&machines.proxy);
    runtime().block_on(async {
        let certificate = backend.certificate.path().to_str().expect("a path");
        let daemon = Daemon::start_with(&backend.url, &[("SSL_CERT_FILE", certificate)]);
        let text = "word ".repeat(800_000);
        let body = serde_json::json!({ "messages": [{ "role": "user", "content": text }], "stream": true });
        let asked = Instant::now();
        assert_whole(&daemon.post("/v1/chat/completions", &body).await);
        println!("4 MB at 1 Mbit/s: answered after {:.1} s", asked.elapsed().as_secs_f64());
        assert_eq!(backend.calls().len(), 1, "at the first try");
    });
}

fn say(protocol: &str, what: &str, since: Instant) {
    let elapsed = since.elapsed();
    println!("{protocol}, {what}: answered after {:.1} s", elapsed.as_secs_f64());
    assert!(elapsed < NOTICED, "{protocol}, {what}: {elapsed:?}");
}
