//! The processes that are compared, and what the system says of them.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process and its children; killed with its owner.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
    _home: Option<tempfile::TempDir>,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

impl Process {
    /// The backend: this program again.
    pub(crate) fn mock() -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("mock").stdin(Stdio::null()).stdout(Stdio::piped());
        let (child, line) = first_line(command);
        Self { child, address: line.parse().expect("an address"), _home: None }
    }

    /// The proxy in front of `mock`.
    pub(crate) fn proxy(mock: &Self) -> Self {
        Self::proxy_with(&format!("http://{}/codex", mock.address), |command| {
            command.env("ACCESS_TOKEN", "token").env("ACCOUNT_ID", "account");
        })
    }

    /// The proxy in front of the backend at `url`, with what `more` adds to its command.
    pub(crate) fn proxy_with(url: &str, more: impl FnOnce(&mut Command)) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_codex-proxy"));
        command.args(["--port", "0", "--log-level", "warn", "--max-concurrent", "20000"]);
        command.args(["--upstream-url", url]);
        command.env_clear().env("HOME", home.path()).env("CREDS_STORE", "env");
        more(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let (child, line) = first_line(command);
        let address = line.strip_prefix("listening on http://").expect("where it listens").parse();
        Self { child, address: address.expect("an address"), _home: Some(home) }
    }

    /// nginx in front of `mock`, as one would set it up for streams; `None` where it is not installed.
    pub(crate) fn nginx(mock: &Self) -> Option<Self> {
        let home = tempfile::tempdir().expect("a directory");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let configuration = CONFIGURATION
            .replace("HOME", home.path().to_str().expect("a plain path"))
            .replace("PORT", &port.to_string())
            .replace("MOCK", &mock.address.to_string());
        let file = home.path().join("nginx.conf");
        std::fs::write(&file, configuration).expect("written");
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"].into_iter().find(|path| Path::new(path).exists())?;
        let mut command = Command::new(program);
        command.args(["-e", "stderr", "-g", "daemon off;", "-c"]).arg(&file).stdin(Stdio::null());
        let child = command.spawn().expect("it starts");
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(Self { child, address, _home: Some(home) })
    }

    fn pids(&self) -> Vec<u32> {
        let own = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        children.split_whitespace().filter_map(|pid| pid.parse().ok()).chain([own]).collect()
    }

    /// Nanoseconds of processor time so far.
    pub(crate) fn cpu(&self) -> u64 {
        let of_task = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            text.split_whitespace().next().and_then(|time| time.parse::<u64>().ok()).unwrap_or_default()
        };
        let of_process =
            |pid| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(of_task);
        self.pids().into_iter().flat_map(of_process).sum()
    }

    /// Context switches so far.
    pub(crate) fn switches(&self) -> u64 {
        let of_task = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let lines = text.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
            lines.filter_map(|line| line.split_whitespace().last()?.parse::<u64>().ok()).sum::<u64>()
        };
        let of_process =
            |pid| std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().map(of_task);
        self.pids().into_iter().flat_map(of_process).sum()
    }

    /// MB in memory: `VmRSS` now, `VmHWM` at most.
    pub(crate) fn memory(&self, field: &str) -> f64 {
        let of_process = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
            line.trim_matches([':', '\t', ' ']).trim_end_matches(" kB").trim().parse::<f64>().unwrap_or_default()
        };
        self.pids().into_iter().map(of_process).sum::<f64>() / 1024.0
    }
}

fn first_line(mut command: Command) -> (Child, String) {
    let mut child = command.spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a first line");
    (child, line.trim().to_owned())
}

const CONFIGURATION: &str = "
worker_processes auto;
worker_rlimit_nofile 20000;
pid HOME/pid;
error_log stderr crit;
events { worker_connections 20000; }
http {
  access_log off;
  client_body_temp_path HOME/body;
  proxy_temp_path HOME/proxy;
  fastcgi_temp_path HOME/fastcgi;
  uwsgi_temp_path HOME/uwsgi;
  scgi_temp_path HOME/scgi;
  keepalive_requests 1000000;
  upstream mock { server MOCK; keepalive 256; keepalive_requests 1000000; }
  server {
    listen 127.0.0.1:PORT backlog=4096;
    tcp_nodelay on;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_buffering off;
      proxy_read_timeout 300s;
    }
  }
}
";
