//! The edge's side: `fetch`, the host's timers, and background work.
//!
//! * A request must never wait for another request's connection or timer: the host cuts such a request off. Nothing
//!   here is shared between requests.
//! * Futures over the host's objects are not `Send`. There is one thread, so they are wrapped as such and stay on it.
//! * A call dropped before its response has a head is aborted; dropping the body cancels the rest.
//! * The clock advances only at awaits: time measured over plain computation is zero.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::future::{AbortHandle, abortable};
use futures_util::task::AtomicWaker;
use http_body_util::BodyDataStream;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
pub use web_time::Instant;
use worker::js_sys::{Promise, Uint8Array, global};
use worker::send::SendFuture;
use worker::wasm_bindgen::prelude::wasm_bindgen;
use worker::web_sys::{self, WorkerGlobalScope};
use worker::{AbortController, Delay, Headers, wasm_bindgen, wasm_bindgen_futures};

use crate::platform::{ByteStream, OnSent, TransportError, TransportErrorKind};

/// The host's `fetch`. Redirects are never followed (they would carry the login to another host).
#[derive(Debug, Clone)]
pub struct HttpClient {}

impl HttpClient {
    /// Creates a client; the host has its own connect timeout.
    pub fn new(_connect_timeout: Duration) -> Result<Self, TransportError> {
        Ok(Self {})
    }

    /// Sends one request and returns the response as soon as its head has arrived.
    pub async fn send(&self, request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
        SendFuture::new(fetch(request)).await
    }
}

async fn fetch(request: http::Request<Bytes>) -> Result<http::Response<ByteStream>, TransportError> {
    if let Some(on_sent) = request.extensions().get::<OnSent>() {
        on_sent.call();
    }
    let unusable = |error: JsValue| TransportError { kind: TransportErrorKind::Request, message: words(&error) };
    let mut abort = AbortOnDrop(Some(AbortController::default()));
    let init = request_init(&request).map_err(unusable)?;
    init.set_signal(abort.0.as_ref().map(AbortController::signal).as_deref());
    let request = web_sys::Request::new_with_str_and_init(&request.uri().to_string(), &init).map_err(unusable)?;
    let scope: WorkerGlobalScope = global().unchecked_into();
    let answer = JsFuture::from(scope.fetch_with_request(&request)).await;
    let answer = answer.and_then(JsCast::dyn_into::<web_sys::Response>).map_err(|error| unanswered(&error))?;
    abort.0 = None;
    let answer = worker::response_from_wasm(answer).map_err(|error| interrupted(&error))?;
    Ok(answer.map(|body| -> ByteStream { Box::pin(BodyDataStream::new(body).map_err(|error| interrupted(&error))) }))
}

/// A body given as bytes is sent with its length; one given as a stream would be sent in chunks.
fn request_init(request: &http::Request<Bytes>) -> Result<web_sys::RequestInit, JsValue> {
    let headers = Headers::new();
    for (name, value) in request.headers() {
        headers.append(name.as_str(), &String::from_utf8_lossy(value.as_bytes())).map_err(JsValue::from)?;
    }
    let init = web_sys::RequestInit::new();
    init.set_method(request.method().as_str());
    init.set_headers(headers.as_ref());
    init.set_redirect(web_sys::RequestRedirect::Manual);
    if !request.body().is_empty() {
        init.set_body(&Uint8Array::from(request.body().as_ref()));
    }
    Ok(init)
}

/// Aborts a call when dropped.
struct AbortOnDrop(Option<AbortController>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        if let Some(controller) = self.0.take() {
            controller.abort();
        }
    }
}

/// A deadline that can be moved. The last poller is woken: a body may be polled by another task for every read.
#[derive(Debug)]
pub struct Timer {
    deadline: Instant,
    alarm: Option<Alarm>,
}

impl Timer {
    /// Creates a timer that fires once, `delay` from now.
    pub fn after(delay: Duration) -> Self {
        Self { deadline: Instant::now() + delay, alarm: None }
    }

    /// Moves the deadline to `deadline`. An earlier alarm stays, and is set again when it fires.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if self.alarm.as_ref().is_some_and(|alarm| alarm.due > deadline) {
            self.alarm = None;
        }
    }

    /// Ready once the deadline has passed.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = Instant::now();
            if now >= self.deadline {
                self.alarm = None;
                return Poll::Ready(());
            }
            let deadline = self.deadline;
            let alarm = self.alarm.get_or_insert_with(|| Alarm::set(now, deadline));
            alarm.bell.waker.register(context.waker());
            if !alarm.bell.has_rung.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.alarm = None;
        }
    }
}

/// A timer of the host.
#[derive(Debug)]
struct Alarm {
    due: Instant,
    bell: Arc<Bell>,
    clock: AbortHandle,
}

#[derive(Debug, Default)]
struct Bell {
    has_rung: AtomicBool,
    waker: AtomicWaker,
}

impl Alarm {
    fn set(now: Instant, due: Instant) -> Self {
        let bell = Arc::<Bell>::default();
        let rung = bell.clone();
        let (clock, handle) = abortable(async move {
            // The host counts whole milliseconds.
            Delay::from(due.saturating_duration_since(now) + Duration::from_millis(1)).await;
            rung.has_rung.store(true, Ordering::Relaxed);
            rung.waker.wake();
        });
        spawn_local(async move {
            let _ = clock.await;
        });
        Self { due, bell, clock: handle }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.clock.abort();
    }
}

/// Waits for `delay`.
pub async fn sleep(delay: Duration) {
    SendFuture::new(Delay::from(delay)).await;
}

/// Runs `work` and returns its result. An isolate has one thread; other isolates serve other requests.
pub async fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

/// Runs `future` in the background until it completes. The host keeps the request's event open for at most half a
/// minute after the answer.
pub fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    let promise = future_to_promise(std::panic::AssertUnwindSafe(async move {
        future.await;
        Ok(JsValue::UNDEFINED)
    }));
    if let Err(error) = wait_until(&promise) {
        tracing::debug!("background work may be interrupted: {}", words(&error));
    }
}

#[wasm_bindgen(module = "cloudflare:workers", wasm_bindgen = ::worker::wasm_bindgen, js_sys = ::worker::js_sys)]
extern "C" {
    #[wasm_bindgen(js_name = waitUntil, catch)]
    fn wait_until(promise: &Promise) -> Result<(), JsValue>;
}

/// The host reports the reason for a missing response only as text.
fn unanswered(error: &JsValue) -> TransportError {
    let message = words(error);
    let mentions = |parts: &[&str]| parts.iter().any(|part| message.to_ascii_lowercase().contains(part));
    // Messages about a certificate's names also contain `DNS`.
    let kind = if mentions(&["tls", "ssl", "certificate"]) {
        TransportErrorKind::Tls
    } else if mentions(&["dns", "name resolution"]) {
        TransportErrorKind::Dns
    } else if mentions(&["refused", "connect"]) {
        TransportErrorKind::Connect
    } else {
        TransportErrorKind::Interrupted
    };
    TransportError { kind, message }
}

fn interrupted(error: &dyn std::fmt::Display) -> TransportError {
    TransportError { kind: TransportErrorKind::Interrupted, message: error.to_string() }
}

fn words(error: &JsValue) -> String {
    let message = error.dyn_ref::<worker::js_sys::Error>().map(|error| String::from(error.message()));
    message.or_else(|| error.as_string()).unwrap_or_else(|| "the host gave no reason".to_owned())
}
