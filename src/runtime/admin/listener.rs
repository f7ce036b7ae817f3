//! A bounded number of connections, none of which may be silent for long.
//!
//! Without both bounds a handful of forgotten clients could keep a supervisor from asking whether the
//! node is alive.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use elara_core::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_SILENCE};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

const SILENCE: Duration = Duration::from_nanos(ADMIN_SILENCE.as_nanos());

/// Accepts while fewer than [`ADMIN_CONNECTIONS_MAX`] connections are open.
pub(super) struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Bounded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX)) }
    }
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("it is never closed");
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        (Connection { stream, quiet: Box::pin(sleep(SILENCE)), _place: place }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream, its place, and how long it may still be silent.
pub(super) struct Connection {
    stream: TcpStream,
    quiet: Pin<Box<Sleep>>,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// What came of waiting for the other side: something, or too much silence.
    fn heed<T>(
        &mut self,
        context: &mut Context<'_>,
        came: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if came.is_ready() {
            self.quiet.as_mut().reset(Instant::now() + SILENCE);
            return came;
        }
        ready!(self.quiet.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let came = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.heed(context, came)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let went = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.heed(context, went)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::time;

    use super::*;

    async fn listen() -> (Bounded, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        (Bounded::new(listener), addr)
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_a_place() {
        let (mut bounded, addr) = listen().await;
        let mut served = Vec::new();
        let mut clients = Vec::new();
        for _ in 0..ADMIN_CONNECTIONS_MAX {
            clients.push(TcpStream::connect(addr).await.unwrap());
            served.push(bounded.accept().await.0);
        }
        clients.push(TcpStream::connect(addr).await.unwrap());
        assert_eq!(bounded.places.available_permits(), 0);
        served.pop();
        let (_, from) = bounded.accept().await;
        assert_eq!(from, clients.last().unwrap().local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_silent_client_is_let_go() {
        let (mut bounded, addr) = listen().await;
        let _silent = TcpStream::connect(addr).await.unwrap();
        let (mut connection, _) = bounded.accept().await;
        time::pause(); // From here on time passes at once when all wait.
        let error = connection.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
