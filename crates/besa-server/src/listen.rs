//! Sockets: accepting within limits, TLS, HTTP/1.1, and an orderly end.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use besa_intel::Store;

use crate::auth::network;
use crate::service::{Node, Peer, router};
use crate::{Clock, Limits, Options, ServeError, tls};

/// For a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// Longest head, in bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Slowest pace of a reader beyond the time that it has anyway, in bytes per second.
const WRITE_PACE_MIN: u64 = 32 << 10;
/// How often what is not kept for ever is cut.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// For requests under way when the server is told to stop.
const DRAIN_TIME: Duration = Duration::from_secs(15);
/// Threads for work that blocks.
const BLOCKING_THREADS: usize = 24;

/// A server that is running. Dropping it stops it too.
pub struct Running {
    address: SocketAddr,
    scheme: &'static str,
    stop: watch::Sender<bool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its discovery URL.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.address, besa_exchange::taxii::server::DISCOVERY)
    }

    /// Takes no more connections, ends what is under way, and returns.
    pub fn stop(mut self) {
        self.end();
    }

    /// Waits until it was told to stop and has.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }

    fn end(&mut self) {
        self.stop.send(true).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn start(store: Arc<dyn Store>, options: Options) -> Result<Running, ServeError> {
    let mut certificate = None;
    let acceptor = match &options.tls {
        None => None,
        Some(identity) => {
            let shown = Arc::new(tls::Shown::new(identity)?);
            let config = tls::server_config(Arc::clone(&shown), options.client_authorities.as_deref())?;
            certificate = Some(shown);
            Some(TlsAcceptor::from(Arc::new(config)))
        }
    };
    let node = Arc::new(Node::new(Arc::clone(&store), &options)?);
    let system = |error: io::Error| ServeError::System(error.to_string());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .worker_threads(std::thread::available_parallelism().map_or(2, usize::from).min(8))
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .map_err(system)?;
    let listener = runtime
        .block_on(TcpListener::bind(options.listen))
        .map_err(|error| ServeError::Listen(options.listen, error))?;
    let address = listener.local_addr().map_err(system)?;
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let (stop, stopped) = watch::channel(false);
    let (keep, every, clock) = (options.keep, options.certificate_check, options.clock);
    let accepting =
        Accepting { listener, acceptor, node, options, stop: stop.clone(), stopped, open: Arc::default() };
    let thread = std::thread::Builder::new()
        .name("server".to_owned())
        .spawn(move || {
            runtime.spawn(tidy(store, keep, clock));
            if let Some(certificate) = certificate {
                runtime.spawn(renew(certificate, every));
            }
            runtime.block_on(accepting.run());
            runtime.shutdown_timeout(Duration::from_secs(1));
        })
        .map_err(system)?;
    Ok(Running { address, scheme, stop, thread: Some(thread) })
}

/// Cuts what is old, now and then.
async fn tidy(store: Arc<dyn Store>, keep: besa_intel::Keep, clock: Clock) {
    loop {
        let store = Arc::clone(&store);
        match tokio::task::spawn_blocking(move || store.tidy(&keep, clock())).await {
            Ok(Ok(done)) if done.audit + done.statuses > 0 => {
                tracing::info!(audit = done.audit, statuses = done.statuses, "old entries were cut");
            }
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::error!(%error, "old entries cannot be cut"),
            Err(error) => tracing::error!(%error, "cutting old entries panicked"),
        }
        sleep(TIDY_EVERY).await;
    }
}

/// Looks whether the certificate's files were replaced, at intervals and at SIGHUP. A pair that
/// cannot be used is logged and the one in use stays.
async fn renew(certificate: Arc<tls::Shown>, every: Duration) {
    #[cfg(unix)]
    let mut hangup = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok();
    loop {
        #[cfg(unix)]
        match hangup.as_mut() {
            Some(hangup) => {
                timeout(every, hangup.recv()).await.ok();
            }
            None => sleep(every).await,
        }
        #[cfg(not(unix))]
        sleep(every).await;
        let certificate = Arc::clone(&certificate);
        match tokio::task::spawn_blocking(move || certificate.renew()).await {
            Ok(Ok(true)) => tracing::info!("the new certificate is in use"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "the new certificate cannot be used; the old one stays");
            }
            Err(error) => tracing::error!(%error, "reading the certificate panicked"),
        }
    }
}

struct Accepting {
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    node: Arc<Node>,
    options: Options,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
    open: Arc<Open>,
}

impl Accepting {
    async fn run(mut self) {
        let router = router(Arc::clone(&self.node));
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = told(&mut self.stopped) => break,
                () = signalled(self.options.stop_at_signals) => {
                    // Connections under way hear of it too.
                    self.stop.send(true).ok();
                    break;
                }
            };
            match accepted {
                Ok((stream, from)) => self.spawn(stream, from, router.clone()),
                // Out of file descriptors, most likely: others must close theirs first.
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(self.listener);
        let end = Instant::now() + DRAIN_TIME;
        while self.open.count() > 0 && Instant::now() < end {
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn spawn(&self, stream: TcpStream, from: SocketAddr, router: Router) {
        let limits = &self.options.limits;
        let address = network(from.ip());
        let place = Open::take(&self.open, address, limits.connections, limits.connections_per_address);
        let Some(place) = place else {
            self.node.metrics.refused_by_limit.fetch_add(1, Relaxed);
            return;
        };
        let (node, limits) = (Arc::clone(&self.node), *limits);
        let acceptor = self.acceptor.clone();
        let stopped = self.stopped.clone();
        tokio::spawn(async move {
            node.metrics.connections.fetch_add(1, Relaxed);
            connection(stream, from, acceptor, router, stopped, limits).await;
            node.metrics.connections.fetch_sub(1, Relaxed);
            drop(place);
        });
    }
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    router: Router,
    stopped: watch::Receiver<bool>,
    limits: Limits,
) {
    stream.set_nodelay(true).ok();
    let stream = Patient::new(stream, limits.write_time);
    let head_time = limits.head_time;
    let address = from.ip().to_canonical();
    let Some(acceptor) = acceptor else {
        return serve(stream, Peer { address, certificate: None }, router, stopped, head_time).await;
    };
    match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates();
            let certificate = shown.and_then(|chain| chain.first()).map(tls::digest);
            serve(stream, Peer { address, certificate }, router, stopped, head_time).await;
        }
        Ok(Err(error)) => tracing::debug!(peer = %address, %error, "no TLS"),
        Err(_) => tracing::debug!(peer = %address, "the TLS handshake took too long"),
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    router: Router,
    mut stopped: watch::Receiver<bool>,
    head_time: Duration,
) {
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer.clone());
        router.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_time)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = told(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            timeout(DRAIN_TIME, connection).await.ok();
        }
    }
}

/// Returns when the server is told to stop, or its handle is gone.
async fn told(stopped: &mut watch::Receiver<bool>) {
    stopped.wait_for(|stopped| *stopped).await.ok();
}

/// Returns at SIGINT or SIGTERM if these are waited for, else never.
async fn signalled(wanted: bool) {
    #[cfg(unix)]
    if wanted {
        use tokio::signal::unix::{SignalKind, signal};
        if let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    #[cfg(not(unix))]
    if wanted && tokio::signal::ctrl_c().await.is_ok() {
        return;
    }
    std::future::pending::<()>().await;
}

/// Open connections, in all and by network.
#[derive(Default)]
struct Open(Mutex<(usize, HashMap<IpAddr, usize>)>);

struct Place(Arc<Open>, IpAddr);

impl Open {
    fn take(open: &Arc<Self>, address: IpAddr, most: usize, most_of_one: usize) -> Option<Place> {
        let mut counts = open.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_one = counts.1.get(&address).copied().unwrap_or(0);
        if counts.0 >= most || of_one >= most_of_one {
            return None;
        }
        counts.0 += 1;
        counts.1.insert(address, of_one + 1);
        Some(Place(Arc::clone(open), address))
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 -= 1;
        if let Some(of_one) = counts.1.get_mut(&self.1) {
            *of_one -= 1;
            if *of_one == 0 {
                counts.1.remove(&self.1);
            }
        }
    }
}

/// A stream whose writes fail when the other side makes us wait too long in all: it has the time it
/// starts with, and earns more by what it takes. A reader that takes an octet now and then to keep an
/// answer in memory is let go.
struct Patient {
    stream: TcpStream,
    /// Since when a write waits, and until when it may.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// What is left to wait.
    left: Duration,
    /// The most that can be left.
    most: Duration,
}

impl Patient {
    fn new(stream: TcpStream, most: Duration) -> Self {
        Self { stream, waiting: None, left: most, most }
    }

    fn judge(&mut self, poll: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(written) = &poll {
            if let Some((since, _)) = self.waiting.take() {
                self.left = self.left.saturating_sub(since.elapsed());
            }
            let bytes = written.as_ref().map_or(0, |bytes| *bytes as u64);
            let earned = Duration::from_micros(bytes.saturating_mul(1_000_000) / WRITE_PACE_MIN);
            self.left = (self.left + earned).min(self.most);
            return poll;
        }
        let left = self.left;
        let (_, waiting) = self.waiting.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + left)))
        });
        match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(poll, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.judge(poll, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
