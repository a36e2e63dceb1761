//! The proxy beside nginx as a plain reverse proxy, in front of the same backend, taking turns.
//!
//! * `just bench` measures what a first delta, a short request, a paced event and a burst cost, with and without the
//!   instructions that the backend repeats: seven rounds, each of both; what counts is the median of the rounds' ratios.
//! * `just bench compare open STREAMS` opens so many streams at once, counts every event, and watches the memory.
//! * `just bench compare image` sends images of 5, 10 and 20 MB.
//! * `just bench input` sends requests of 1, 5, 20 and 60 MB in many shapes and fails where a byte costs more than 50 ns;
//!   `just bench input "chat/completions calls" 20` sends one shape of one size.
//! * `just bench sockets` sends a growing conversation over a modelled line, over HTTP and over a WebSocket.
//! * `just bench translation` times the translation alone; with CASE READ EVENTS it runs one case once, for a profiler.
//! * All processes are on one machine and share its processors: the ratios mean something, the times do not.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    missing_docs,
    reason = "a measuring program runs on a laptop, speaks to a person and may panic"
)]

mod client;
mod input;
mod mock;
mod process;
mod shapes;
mod sockets;
mod translation;

use std::time::{Duration, Instant};

use client::Client;
use process::Process;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match words.as_slice() {
        ["mock"] => runtime.block_on(mock::serve()),
        ["open", streams] => runtime.block_on(open(streams.parse().expect("a number of streams"))),
        ["image"] => runtime.block_on(images()),
        ["input", rest @ ..] => {
            let size = rest.get(1).map(|size| size.parse().expect("a number of megabytes"));
            let is_cheap = runtime.block_on(input::report(rest.first().unwrap_or(&""), size));
            std::process::exit(i32::from(!is_cheap));
        }
        ["sockets"] => runtime.block_on(sockets::report()),
        ["translation"] => translation::report(),
        ["translation", case, read, events] => {
            translation::run_once(case, read, events.parse().expect("a number of events"));
        }
        _ => runtime.block_on(compare()),
    }
}

/// Figures of one side in one round.
#[derive(Debug, Clone, Copy)]
struct Figures([f64; 12]);

const NAMES: [&str; 12] = [
    "time to the first delta, µs",
    "the same, 12 kB echoed, µs",
    "the same, 24 kB echoed, µs",
    "processor a request, 16 at once, µs",
    "context switches a request, 16 at once",
    "requests a second, 16 at once",
    "processor a request, 24 kB echoed, µs",
    "context switches a request, 24 kB echoed",
    "requests a second, 24 kB echoed",
    "processor a paced event, µs",
    "delay of a paced event, µs",
    "processor a burst event, µs",
];

/// The bytes of instructions that the backend repeats, for the first three figures.
const ECHOES: [usize; 3] = [0, 12_000, 24_000];

async fn compare() {
    let mock = Process::mock();
    let proxy = Process::proxy(&mock);
    let nginx = Process::nginx(&mock);
    if nginx.is_none() {
        println!("nginx is not installed: the figures of the proxy alone");
    }
    let mut rounds: Vec<(Figures, Option<Figures>, [f64; 3])> = Vec::new();
    for round in 0..=ROUNDS {
        let direct = first_deltas(&mock).await;
        let ours = measure(&proxy).await;
        let theirs = match &nginx {
            Some(nginx) => Some(measure(nginx).await),
            None => None,
        };
        println!("round {round}: direct {direct:.1?}, proxy {:.2?}, nginx {:.2?}", ours.0, theirs.map(|it| it.0));
        // The first warms up.
        if round > 0 {
            rounds.push((ours, theirs, direct));
        }
    }
    for (index, echo) in ECHOES.iter().enumerate() {
        let added = spread(rounds.iter().map(|(ours, _, direct)| ours.0[index] - direct[index]));
        println!("added to the first delta, {echo} bytes echoed: {added} µs");
        let ratio = |(ours, theirs, direct): &(Figures, Option<Figures>, [f64; 3])| {
            Some((ours.0[index] - direct[index]) / (theirs.as_ref()?.0[index] - direct[index]))
        };
        println!("    against nginx: {}", spread(rounds.iter().filter_map(ratio)));
    }
    for (index, name) in NAMES.iter().enumerate().skip(ECHOES.len()) {
        println!("{name}: {}", spread(rounds.iter().map(|round| round.0.0[index])));
        let ratios = rounds.iter().filter_map(|(ours, theirs, _)| Some(ours.0[index] / theirs.as_ref()?.0[index]));
        println!("    against nginx: {}", spread(ratios));
    }
}

async fn measure(process: &Process) -> Figures {
    let [plain, some, much] = first_deltas(process).await;
    let [cpu, switches, rate] = short_requests(process, 0).await;
    let [cpu_echoed, switches_echoed, rate_echoed] = short_requests(process, 24_000).await;
    let (paced, delay) = streams(process, PACED_STREAMS, &format!("{PACED_EVENTS}:20000")).await;
    let (burst, _) = streams(process, 4, "50000:0").await;
    Figures([plain, some, much, cpu, switches, rate, cpu_echoed, switches_echoed, rate_echoed, paced, delay, burst])
}

/// The median times to the first delta in µs for each of [`ECHOES`], one request at a time.
async fn first_deltas(process: &Process) -> [f64; 3] {
    let mut client = Client::connect(process.address).await;
    let mut medians = [0.0; 3];
    for (echo, result) in ECHOES.iter().zip(&mut medians) {
        let mut times = Vec::new();
        for _ in 0..300 {
            times.push(client.ask(&format!("1:1:{echo}")).await.first as f64 / 1000.0);
        }
        *result = median(times);
    }
    medians
}

/// Processor time an event and its median delay, in µs, of so many streams at once.
async fn streams(process: &Process, count: usize, plan: &str) -> (f64, f64) {
    let begun = process.cpu();
    let streams: Vec<_> = (0..count)
        .map(|_| {
            let (address, plan) = (process.address, plan.to_owned());
            tokio::spawn(async move { Client::connect(address).await.ask(&plan).await })
        })
        .collect();
    let (mut events, mut delays) = (0, Vec::new());
    for stream in streams {
        let answer = stream.await.expect("a stream ends in good order");
        events += answer.events;
        delays.extend(answer.delays.into_iter().map(|delay| delay as f64 / 1000.0));
    }
    let expected = count * plan.split(':').next().and_then(|count| count.parse::<usize>().ok()).expect("a count");
    assert_eq!(events, expected, "events were lost");
    ((process.cpu() - begun) as f64 / 1000.0 / events as f64, median(delays))
}

/// Processor time in µs and context switches a request, and requests a second, sixteen at a time.
async fn short_requests(process: &Process, echo: usize) -> [f64; 3] {
    let (begun, cpu, switches) = (Instant::now(), process.cpu(), process.switches());
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let address = process.address;
            tokio::spawn(async move {
                let mut client = Client::connect(address).await;
                let mut count = 0;
                while begun.elapsed() < SHORT_REQUESTS {
                    assert_eq!(client.ask(&format!("1:0:{echo}")).await.events, 1);
                    count += 1;
                }
                count
            })
        })
        .collect();
    let mut count = 0;
    for client in clients {
        count += client.await.expect("a client ends in good order");
    }
    let each = |total: u64| total as f64 / f64::from(count);
    [
        each(process.cpu() - cpu) / 1000.0,
        each(process.switches() - switches),
        f64::from(count) / begun.elapsed().as_secs_f64(),
    ]
}

/// So many streams at once, each of forty events a second apart.
async fn open(count: usize) {
    let mock = Process::mock();
    let proxy = Process::proxy(&mock);
    Client::connect(proxy.address).await.ask("1:1").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let idle = proxy.memory("VmRSS");
    let clients: Vec<_> = (0..count)
        .map(|_| {
            let address = proxy.address;
            tokio::spawn(
                async move { Client::connect(address).await.ask(&format!("{OPEN_EVENTS}:1000000")).await.events },
            )
        })
        .collect();
    tokio::time::sleep(Duration::from_secs(OPEN_EVENTS as u64 * 3 / 4)).await;
    let open = proxy.memory("VmRSS");
    let mut events = 0;
    for client in clients {
        events += client.await.expect("a client ends in good order");
    }
    let lost = count * OPEN_EVENTS - events;
    let peak = proxy.memory("VmHWM");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let after = proxy.memory("VmRSS");
    let each = (open - idle) * 1024.0 / count as f64;
    println!(
        "{count} streams: {lost} of {} events lost; idle {idle:.1} MB, open {open:.1} MB ({each:.1} kB a stream), most \
         {peak:.1} MB, a minute later {after:.1} MB",
        count * OPEN_EVENTS
    );
}

/// Images of growing size, each through a process of its own.
async fn images() {
    let mock = Process::mock();
    for megabytes in [5, 10, 20] {
        let proxy = Process::proxy(&mock);
        let mut client = Client::connect(proxy.address).await;
        client.ask("1:1").await;
        let (idle, cpu, begun) = (proxy.memory("VmRSS"), proxy.cpu(), Instant::now());
        client.ask(&format!("image:{}", megabytes * 1_000_000)).await;
        let grown = (proxy.memory("VmHWM") - idle) * 1.048_576;
        let (took, cpu) = (begun.elapsed().as_millis(), (proxy.cpu() - cpu) / 1_000_000);
        println!(
            "an image of {megabytes} MB: {took} ms, {cpu} ms of processor, {grown:.1} MB more at most ({:.2} times its size)",
            grown / f64::from(megabytes)
        );
    }
}

/// Median, least and most.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    match (values.first(), values.last()) {
        (Some(least), Some(most)) => format!("{:.2} ({least:.2} to {most:.2})", values[values.len() / 2]),
        _ => "not measured".to_owned(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const ROUNDS: usize = 7;
const PACED_STREAMS: usize = 100;
const PACED_EVENTS: usize = 150;
const SHORT_REQUESTS: Duration = Duration::from_secs(2);
const OPEN_EVENTS: usize = 40;
