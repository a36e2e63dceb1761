//! A WebSocket to a server: an upgrade of a connection of its own, made as any other (names, proxies, TLS).
//!
//! * The connection speaks HTTP/1.1 alone, and nothing is compressed.
//! * A proxy that is sent requests itself is not asked for an upgrade: many do not pass one on.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::{Sink, Stream};
use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use hyper_util::client::legacy::connect::Connection as _;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use tower::Service as _;

use crate::platform::native::client::HttpClient;
use crate::platform::native::failure::transport_error;
use crate::platform::native::target::target;
use crate::platform::native::{TransportError, TransportErrorKind};

/// A connection of any kind, behind a pointer: the code of WebSockets is large, and would be compiled for each kind.
pub type Wire<'a> = Box<dyn Duplex + 'a>;

/// What is read from and written to.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<C: AsyncRead + AsyncWrite + Send + Unpin> Duplex for C {}

/// An open WebSocket, as the client of it.
pub struct ClientSocket(WebSocketStream<Wire<'static>>);

/// The reason that there is no WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// The server answered with another status than 101.
    #[error("the answer to the upgrade is {0}")]
    Refused(StatusCode),
    /// There is no connection, or what came is no answer to an upgrade.
    #[error(transparent)]
    Failed(#[from] TransportError),
}

impl HttpClient {
    /// Opens a WebSocket at the `http` or `https` address of `request`, with its headers. Messages of more than `largest`
    /// bytes are errors. Returns the headers of the server's answer, too.
    pub async fn upgrade(
        &self,
        request: Request<()>,
        largest: usize,
    ) -> Result<(ClientSocket, HeaderMap), UpgradeError> {
        let (mut head, ()) = request.into_parts();
        let uri = target(head.uri)?;
        let host = uri.host().unwrap_or_default().to_owned();
        let connected = self.socket_connector().call(uri.clone()).await;
        let connection = connected.map_err(|error| transport_error(&*error, &host, TransportErrorKind::Connect))?;
        if connection.connected().is_proxied() {
            return Err(unusable("the proxy takes requests, and no WebSocket").into());
        }
        head.uri = socket_uri(uri)?;
        let authority = head.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let host_header = HeaderValue::try_from(authority).map_err(|error| unusable(&error.to_string()))?;
        let key = HeaderValue::try_from(generate_key()).map_err(|error| unusable(&error.to_string()))?;
        for (name, value) in [
            (HOST, host_header),
            (CONNECTION, HeaderValue::from_static("Upgrade")),
            (UPGRADE, HeaderValue::from_static("websocket")),
            (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            (SEC_WEBSOCKET_KEY, key),
        ] {
            head.headers.insert(name, value);
        }
        let config = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(WRITE);
        let config = config.max_message_size(Some(largest)).max_frame_size(Some(largest));
        let request = Request::from_parts(head, ());
        let wire: Wire<'static> = Box::new(TokioIo::new(connection));
        match client_async_with_config(request, wire, Some(config)).await {
            Ok((socket, response)) => Ok((ClientSocket(socket), response.into_parts().0.headers)),
            Err(Error::Http(response)) => Err(UpgradeError::Refused(response.status())),
            Err(error) => Err(transport_error(&error, &host, TransportErrorKind::Interrupted).into()),
        }
    }
}

/// Returns `uri` with the scheme of WebSockets.
fn socket_uri(uri: Uri) -> Result<Uri, TransportError> {
    let scheme = if uri.scheme() == Some(&Scheme::HTTPS) { "wss" } else { "ws" };
    let mut parts = uri.into_parts();
    parts.scheme = scheme.parse().ok();
    Uri::from_parts(parts).map_err(|error| unusable(&error.to_string()))
}

fn unusable(message: &str) -> TransportError {
    TransportError { kind: TransportErrorKind::Request, message: message.to_owned() }
}

impl std::fmt::Debug for ClientSocket {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a WebSocket")
    }
}

impl Stream for ClientSocket {
    type Item = Result<Message, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

impl Sink<Message> for ClientSocket {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.0).poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
        Pin::new(&mut self.0).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.0).poll_close(context)
    }
}

/// The size of one read.
const READ: usize = 16 << 10;

/// The bytes that are gathered before a write.
const WRITE: usize = 64 << 10;
