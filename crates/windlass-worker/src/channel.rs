//! A socket that carries frames and file descriptors: one frame, one message.
//!
//! `SOCK_SEQPACKET` keeps frames apart and their descriptors with them. We read without room for
//! descriptors, so the kernel closes any that a worker sends.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, Shutdown, SockFlag, SockType, recv, sendmsg, shutdown, socketpair,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

use crate::protocol::MAX_FRAME;

/// Our end of a socket.
#[derive(Debug)]
pub(crate) struct Channel {
    /// No stream, in spite of its type: it is here for its readiness, and every message goes through
    /// [`receive_now`] and [`send_now`].
    socket: UnixStream,
}

impl Channel {
    /// Makes a socket and returns our end and the other side's, which blocks.
    pub(crate) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?;
        let ours = std::os::unix::net::UnixStream::from(ours);
        ours.set_nonblocking(true)?;
        Ok((Self { socket: UnixStream::from_std(ours)? }, theirs))
    }

    /// Waits for a frame and puts it into `frame`; `false` is the end. Cancel safe.
    pub(crate) async fn receive(&self, frame: &mut Vec<u8>) -> io::Result<bool> {
        self.socket.async_io(Interest::READABLE, || receive_now(&self.socket, frame)).await
    }

    /// Takes a frame that is there already; `None` where there is none, at the end and after an error.
    pub(crate) fn receive_pending(&self, frame: &mut Vec<u8>) -> Option<()> {
        matches!(receive_now(&self.socket, frame), Ok(true)).then_some(())
    }

    /// Sends a frame, or fails with `WouldBlock`.
    pub(crate) fn try_send(&self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.socket.try_io(Interest::WRITABLE, || send_now(&self.socket, frame, descriptors))
    }

    /// Sends a frame once there is room for it.
    pub(crate) async fn send(&self, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.socket.async_io(Interest::WRITABLE, || send_now(&self.socket, frame, descriptors)).await
    }

    /// Waits until there is room for a frame.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        self.socket.writable().await
    }

    /// Ends the conversation: the other side reads the end.
    pub(crate) fn close(&self) {
        let _ = shutdown(self.socket.as_raw_fd(), Shutdown::Both);
    }
}

fn receive_now(socket: &UnixStream, frame: &mut Vec<u8>) -> io::Result<bool> {
    frame.resize(MAX_FRAME, 0);
    // With MSG_TRUNC the answer is the frame's real length, also where it is longer than our memory.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let length = retry(|| recv(socket.as_raw_fd(), frame, flags))?;
    if length > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame has {length} bytes")));
    }
    frame.truncate(length);
    Ok(length > 0)
}

fn send_now(socket: &UnixStream, frame: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let raw: Vec<i32> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let part = [io::IoSlice::new(frame)];
    // A message goes out whole or not at all.
    retry(|| sendmsg::<()>(socket.as_raw_fd(), &part, rights, flags, None))?;
    Ok(())
}

fn retry<T>(mut operation: impl FnMut() -> nix::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(Errno::EINTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests;
