//! What requests of growing size and of every [shape](super::shapes) cost, through the real program and back.
//!
//! * Time is the proxy's processor time, reading and sending included, so that a busy machine and the mock do not count;
//!   "waited" is what a client waits for its answer.
//! * Each request has a process of its own: its peak is that of this request alone.
//! * What grows with the square of its size shows in nanoseconds a byte that grow from column to column.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::process::Process;
use super::shapes::{self, Shape};

/// What one request cost.
struct Cost {
    status: String,
    cpu: Duration,
    waited: Duration,
    /// Bytes beyond those of an idle process.
    peak: f64,
}

/// Measures the shapes whose route and name contain `wanted`, at `megabytes` or at every size; says whether all were cheap.
pub(crate) async fn report(wanted: &str, megabytes: Option<usize>) -> bool {
    let mock = Process::mock();
    let sizes = megabytes.map_or_else(|| SIZES.to_vec(), |size| vec![size]);
    println!(
        "{:42} {:>4} {:>9} {:>9} {:>8} {:>9}  answer",
        "shape", "MB", "cpu ms", "waited ms", "ns/byte", "peak/size"
    );
    let (mut is_cheap, mut known) = (true, false);
    for shape in shapes::all() {
        let name = format!("{} {}", shape.route.trim_start_matches("/v1/"), shape.name);
        if !name.contains(wanted) {
            continue;
        }
        known = true;
        is_cheap &= report_shape(&mock, &shape, &name, &sizes).await;
    }
    assert!(known, "no shape has '{wanted}' in its name");
    is_cheap
}

async fn report_shape(mock: &Process, shape: &Shape, name: &str, sizes: &[usize]) -> bool {
    let mut is_cheap = true;
    for &megabytes in sizes {
        let body = shape.body(megabytes * 1_000_000);
        let cost = cost(mock, shape, &body).await;
        let bytes = body.len() as f64;
        let each = cost.cpu.as_nanos() as f64 / bytes;
        let too_much = if each > MOST_NANOSECONDS { " TOO MUCH" } else { "" };
        is_cheap &= too_much.is_empty();
        println!(
            "{name:42} {megabytes:>4} {:>9.1} {:>9.1} {each:>8.1} {:>9.2}  {}{too_much}",
            cost.cpu.as_secs_f64() * 1000.0,
            cost.waited.as_secs_f64() * 1000.0,
            cost.peak / bytes,
            cost.status
        );
        if cost.waited >= PATIENCE {
            break;
        }
    }
    is_cheap
}

async fn cost(mock: &Process, shape: &Shape, body: &str) -> Cost {
    let proxy = Process::proxy(mock);
    // An item for references to name, and everything that is made once.
    ask(proxy.address, shape.route, FIRST).await;
    let (idle, cpu, begun) = (proxy.memory("VmRSS"), proxy.cpu(), Instant::now());
    let answer = timeout(PATIENCE, ask(proxy.address, shape.route, body)).await;
    let (waited, cpu) = (begun.elapsed(), Duration::from_nanos(proxy.cpu() - cpu));
    let status = answer.unwrap_or_else(|_| "none in time".to_owned());
    Cost { status, cpu, waited, peak: (proxy.memory("VmHWM") - idle) * 1_048_576.0 }
}

/// The status of the answer, and the message of one that is an error.
async fn ask(address: SocketAddr, route: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let head = format!(
        "POST {route} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    // A refusal may come before all is written.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or("broken off").to_owned();
    if status == "200" {
        return status;
    }
    let message = answer.split(r#""message":""#).nth(1).unwrap_or_default();
    format!("{status} {}", message.chars().take(60).collect::<String>())
}

/// The sizes that are measured, in MB.
const SIZES: [usize; 4] = [1, 5, 20, 60];
/// How much a byte may cost: 1 s for 20 MB.
const MOST_NANOSECONDS: f64 = 50.0;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(20);
const FIRST: &str = r#"{"stream":true,"messages":[{"role":"user","content":"plan:item:900000 "}],"input":[{"role":"user","content":"plan:item:900000 "}]}"#;
