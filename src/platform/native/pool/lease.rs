//! A call's hold on a connection.

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use crate::platform::native::connection::{Http1, Http2, Payload, Unanswered};
use crate::platform::native::pool::Server;

/// A call's share of a connection, until it is dropped.
#[derive(Debug)]
pub(in crate::platform::native) struct Lease {
    server: Arc<Server>,
    carrier: Carrier,
    was_used: bool,
}

#[derive(Debug)]
pub(super) enum Carrier {
    /// `Some` until the lease ends.
    Http1(Option<Http1>),
    Http2(Arc<Http2>),
}

impl Lease {
    pub(super) fn new(server: &Arc<Server>, carrier: Carrier, was_used: bool) -> Self {
        Self { server: server.clone(), carrier, was_used }
    }

    /// Returns whether earlier calls used the connection: it may have closed meanwhile.
    pub(in crate::platform::native) const fn was_used(&self) -> bool {
        self.was_used
    }

    /// Returns whether the server can say that it did not begin a request.
    pub(in crate::platform::native) const fn can_refuse(&self) -> bool {
        matches!(self.carrier, Carrier::Http2(_))
    }

    /// Sends `request`, whose URI has a scheme and an authority.
    pub(in crate::platform::native) async fn send(
        &mut self,
        request: Request<Payload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match &mut self.carrier {
            Carrier::Http1(Some(connection)) => connection.send(request, &self.server.host).await,
            Carrier::Http1(None) => unreachable!("a lease has its connection until it is dropped"),
            Carrier::Http2(connection) => connection.send(request).await,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match &mut self.carrier {
            Carrier::Http2(connection) => self.server.end_call(connection),
            Carrier::Http1(connection) => {
                if let Some(connection) = connection.take() {
                    self.server.take_back(connection);
                }
            }
        }
    }
}
