//! MQTT in the binary frames of a WebSocket (RFC 6455, MQTT 5 §6).
//!
//! Frames are only a way to carry bytes: packets and frames begin and end where they like.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::machine::TryParse;
use tokio_tungstenite::tungstenite::handshake::server::{Request, create_response, write_response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::handshake::HandshakeError;

/// Bytes of the request that asks for the WebSocket. A longer one is refused (431).
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Bytes of an outgoing frame; more goes into several. Bounds what a connection keeps as buffer.
const FRAME_OUT_BYTES_MAX: usize = 16 * 1024;

/// Bytes read at once; what an idle connection keeps.
const READ_BYTES: usize = 4 * 1024;

/// MQTT 5 §6: the client offers this name, and the server chooses it.
const SUBPROTOCOL: &str = "mqtt";
const SUBPROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";

/// Answers the request for a WebSocket. What cannot be one is told so in HTTP.
///
/// `frame_bytes_max`: of an incoming frame, or of all fragments of a message together.
pub(super) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    frame_bytes_max: usize,
) -> Result<WebSocket<S>, HandshakeError> {
    let mut head = Vec::with_capacity(1024);
    let (request, early) = loop {
        match Request::try_parse(&head) {
            Ok(Some((length, request))) => break (request, head.split_off(length)),
            Ok(None) if head.len() < HEAD_BYTES_MAX => {}
            Ok(None) => return refuse(stream, "431 Request Header Fields Too Large", None).await,
            Err(error) => return refuse(stream, "400 Bad Request", Some(error)).await,
        }
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let mut response = match create_response(&request) {
        Ok(response) => response,
        Err(error) => return refuse(stream, "400 Bad Request", Some(error)).await,
    };
    if !offers_mqtt(&request) {
        return refuse(stream, "400 Bad Request", None).await;
    }
    response.headers_mut().insert(SUBPROTOCOL_HEADER, HeaderValue::from_static(SUBPROTOCOL));
    let mut answer = Vec::new();
    write_response(&mut answer, &response).map_err(to_io)?;
    stream.write_all(&answer).await?;
    stream.flush().await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(frame_bytes_max))
        .max_frame_size(Some(frame_bytes_max));
    let frames =
        WebSocketStream::from_partially_read(stream, early, Role::Server, Some(config)).await;
    Ok(WebSocket { frames, inbox: Bytes::new(), closed: false })
}

fn offers_mqtt(request: &Request) -> bool {
    let offered = request.headers().get_all(SUBPROTOCOL_HEADER).iter();
    offered
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL)
}

async fn refuse<S: AsyncWrite + Unpin, T>(
    mut stream: S,
    status: &str,
    error: Option<Error>,
) -> Result<T, HandshakeError> {
    let why = error.map_or_else(
        || format!("the request needs a header `{SUBPROTOCOL_HEADER}: {SUBPROTOCOL}`"),
        |error| error.to_string(),
    );
    let body = format!(
        "{why}\nThis is MQTT over WebSocket: connect with an MQTT client (WebSocket version 13, \
         subprotocol {SUBPROTOCOL}).\n"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\
         Sec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let code = status.get(..3).and_then(|code| code.parse().ok()).unwrap_or_default();
    Err(HandshakeError::WebSocket(code, why))
}

/// The bytes in the frames.
pub(super) struct WebSocket<S> {
    frames: WebSocketStream<S>,
    /// Of a frame that came and is not read to its end.
    inbox: Bytes,
    /// The closing frame is sent.
    closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Says why the connection ends, if the socket takes it at once, and gives the error.
    fn fail(&mut self, context: &mut Context<'_>, code: CloseCode, error: Error) -> io::Error {
        let reason = Message::Close(Some(CloseFrame { code, reason: "".into() }));
        let mut frames = Pin::new(&mut self.frames);
        let sent = frames.as_mut().start_send(reason).is_ok()
            && matches!(frames.as_mut().poll_flush(context), Poll::Ready(Ok(())));
        tracing::trace!(sent, "the reason for the end");
        self.closed = true;
        to_io(error)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.inbox.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.frames).poll_next(context)) else {
                return Poll::Ready(Ok(()));
            };
            let (code, error) = match frame {
                Ok(Message::Binary(bytes)) => {
                    this.inbox = bytes;
                    continue;
                }
                // Pings and closing frames are answered by what reads them.
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_)) => {
                    continue;
                }
                // MQTT 5 §6: whatever is not binary ends the connection.
                Ok(Message::Text(_)) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, "a text frame");
                    (CloseCode::Unsupported, Error::Io(error))
                }
                // The connection is lost: the same as the end of a plain one.
                Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                    return Poll::Ready(Ok(()));
                }
                Err(Error::Io(error)) => return Poll::Ready(Err(error)),
                Err(error @ Error::Capacity(_)) => (CloseCode::Size, error),
                Err(error @ Error::Utf8(_)) => (CloseCode::Invalid, error),
                Err(error) => (CloseCode::Protocol, error),
            };
            return Poll::Ready(Err(this.fail(context, code, error)));
        }
        let length = this.inbox.len().min(buffer.remaining());
        buffer.put_slice(&this.inbox.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut frames = Pin::new(&mut self.get_mut().frames);
        // Not before the frame before this one is with the socket: one is buffered at most.
        ready!(frames.as_mut().poll_ready(context)).map_err(to_io)?;
        let length = bytes.len().min(FRAME_OUT_BYTES_MAX);
        let frame = Bytes::copy_from_slice(&bytes[..length]);
        frames.start_send(Message::Binary(frame)).map_err(to_io)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().frames).poll_flush(context).map_err(to_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.closed {
            // An error says that the client was first; the socket is to be shut in any case.
            let closed = ready!(Pin::new(&mut this.frames).poll_close(context));
            tracing::trace!(told = closed.is_ok(), "closing");
            this.closed = true;
        }
        Pin::new(this.frames.get_mut()).poll_shutdown(context)
    }
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        // What broker::connection counts as the client's fault.
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
