//! HTTP for those who run the server: is it there, is it ready, what does it count.
//!
//! It must not be able to disturb the chats. It has a thread and a runtime of its own, so that
//! whatever is asked of it takes no turn from connections of clients; connections, headers and
//! time are bounded; every connection is for one request; and what looks at the disk is done one
//! at a time.

mod metric;
mod probe;
mod process;
mod scrape;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{Router, get};
use bluetick_bridge::Bridge;
use bluetick_bridge::bridge::ReadPool;
use bluetick_bridge::writer::Pipeline;
use bluetick_broker::Broker;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};

use crate::{Failure, output};

pub(crate) use probe::ask;

/// Connections at a time. Further ones wait in the system's queue.
const CONNECTIONS_MAX: usize = 32;

/// Bytes of a request's head. A larger one is answered with 431; hyper has no smaller bound.
const HEAD_BYTES_MAX: usize = 8192;

/// Header fields of a request. One more is answered with 431.
const FIELDS_MAX: usize = 64;

/// How long a request's head may take. Then the connection is closed.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection may take in all, the reading of the answer included.
const CONNECTION: Duration = Duration::from_secs(15);

/// How long the disk may take before the answer says that it does not.
const DISK: Duration = Duration::from_secs(5);

/// How long to wait after an error of accepting, such as "too many open files".
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long a look at the disk that is under way may hold up the end.
const LAST_LOOK: Duration = Duration::from_secs(1);

/// Prometheus's text format.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where the figures are from.
pub(crate) struct Sources {
    pub(crate) broker: Broker<Bridge>,
    pub(crate) bridge: Bridge,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) reads: Arc<ReadPool>,
}

/// What requests are answered from.
struct State {
    /// When the server was started, seconds since the Unix epoch.
    started_s: f64,
    /// Set once the listeners of clients are bound.
    sources: OnceLock<Sources>,
    stopping: AtomicBool,
}

/// The server of HTTP, or that there is none.
pub(crate) struct Http {
    state: Arc<State>,
    thread: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Http {
    /// Listens and answers; nothing is ready before [`Http::ready`]. Says on standard output where.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub(crate) fn start(addresses: &[SocketAddr]) -> Result<Self, Failure> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let state = Arc::new(State {
            started_s: started.as_secs_f64(),
            sources: OnceLock::new(),
            stopping: AtomicBool::new(false),
        });
        if addresses.is_empty() {
            return Ok(Self { state, thread: None });
        }
        let mut listeners = Vec::new();
        for address in addresses {
            let listener = TcpListener::bind(address).and_then(|listener| {
                listener.set_nonblocking(true)?;
                Ok(listener)
            });
            let listener = listener
                .map_err(|error| Failure::Other(format!("cannot listen on {address}: {error}")))?;
            let bound = listener.local_addr().map_err(Failure::other)?;
            match output::line(format_args!("listening http {bound}")) {
                Ok(()) | Err(Failure::OutputClosed) => {}
                Err(other) => return Err(other),
            }
            listeners.push(listener);
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .map_err(Failure::other)?;
        let router = router(state.clone());
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            if let Err(error) = runtime.block_on(serve(listeners, router, stopped)) {
                tracing::error!(%error, "http is not served");
            }
            runtime.shutdown_timeout(LAST_LOOK);
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(run);
        Ok(Self { state, thread: Some((stop, thread.map_err(Failure::other)?)) })
    }

    /// Clients are served from now on.
    pub(crate) fn ready(&self, sources: Sources) {
        if self.state.sources.set(sources).is_err() {
            tracing::error!("a server is ready for the second time");
        }
    }

    /// Clients are sent away from now on.
    pub(crate) fn stopping(&self) {
        self.state.stopping.store(true, Ordering::Release);
    }

    /// Ends, and lets go of the store.
    pub(crate) fn stop(self) {
        if let Some((stop, thread)) = self.thread {
            // It waits for the end of the sender.
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the thread of http has panicked");
            }
        }
    }
}

impl State {
    /// Why the server is not ready, if it is not. Blocks on the disk.
    fn unready(&self) -> Option<String> {
        if self.stopping.load(Ordering::Acquire) {
            return Some("shutting down".to_owned());
        }
        let Some(sources) = self.sources.get() else { return Some("starting".to_owned()) };
        let pipeline = &sources.pipeline;
        if let Err(error) = pipeline.store().check() {
            return Some(format!("the store takes no writes: {error}"));
        }
        // It may not have noticed yet that it could go on.
        let failing = pipeline.stats().failing.load(Ordering::Acquire);
        failing.then(|| "the store takes no writes".to_owned())
    }
}

async fn serve(
    listeners: Vec<TcpListener>,
    router: Router,
    stopped: oneshot::Receiver<()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(accept(listener, router.clone(), places.clone()));
    }
    // An error is the end of the sender, which is what is waited for.
    let _ = stopped.await;
    Ok(())
}

async fn accept(listener: tokio::net::TcpListener, router: Router, places: Arc<Semaphore>) {
    // It is never closed.
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, address)) => {
                let answered = answer(stream, router.clone());
                tokio::spawn(async move {
                    if let Err(error) = answered.await {
                        tracing::debug!(%address, %error, "a request was not answered");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                // The listeners of clients say so in the log where an operator has to know.
                tracing::debug!(%error, "cannot accept connections of http");
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn answer(
    stream: TcpStream,
    router: Router,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(FIELDS_MAX)
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    Ok(tokio::time::timeout(CONNECTION, connection).await??)
}

fn router(state: Arc<State>) -> Router {
    let disk = Disk(Arc::new(Semaphore::new(1)));
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"))
        .method_not_allowed_fallback(async || {
            let allow = [(header::ALLOW, "GET, HEAD")];
            (StatusCode::METHOD_NOT_ALLOWED, allow, "GET and HEAD are answered\n")
        })
        .with_state((state, disk))
}

type Shared = extract::State<(Arc<State>, Disk)>;

async fn readyz(extract::State((state, disk)): Shared) -> impl IntoResponse {
    let unready = match disk.look(move || state.unready()).await {
        Some(unready) => unready,
        None => Some(DISK_SILENT.to_owned()),
    };
    match unready {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")),
    }
}

async fn metrics(extract::State((state, disk)): Shared) -> impl IntoResponse {
    match disk.look(move || scrape::text(&state)).await {
        Some(Ok(text)) => Ok(([(header::CONTENT_TYPE, METRICS_TYPE)], text)),
        Some(Err(error)) => Err((StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))),
        None => Err((StatusCode::SERVICE_UNAVAILABLE, format!("{DISK_SILENT}\n"))),
    }
}

const DISK_SILENT: &str = "the disk does not answer";

/// Lets one at a time look at the disk, which may block.
#[derive(Clone)]
struct Disk(Arc<Semaphore>);

impl Disk {
    /// `None`: it has taken too long.
    async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let looked = async {
            let place = self.0.clone().acquire_owned().await.ok()?;
            let looked = tokio::task::spawn_blocking(move || {
                let looked = look();
                drop(place);
                looked
            });
            looked.await.ok()
        };
        tokio::time::timeout(DISK, looked).await.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_not_ready_before_and_after() {
        let http = Http::start(&[]).expect("nothing to listen on");
        assert_eq!(http.state.unready().as_deref(), Some("starting"));
        // Before the store is open, there are the process's own figures.
        let text = scrape::text(&http.state).expect("text");
        assert!(text.contains("bluetick_build_info{") && !text.contains("rocksdb"), "{text}");
        http.stopping();
        assert_eq!(http.state.unready().as_deref(), Some("shutting down"));
        http.stop();
    }
}
