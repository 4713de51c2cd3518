//! Tests.

use std::os::fd::AsFd;

use super::*;

fn pair() -> (Channel, std::os::unix::net::UnixStream) {
    let (ours, theirs) = Channel::pair().unwrap();
    (ours, theirs.into())
}

#[tokio::test]
async fn frames_stay_apart() {
    let (ours, theirs) = pair();
    let mut frame = Vec::new();
    for text in ["one", "three", "a"] {
        send_now(&tokio_stream(&theirs), text.as_bytes(), &[]).unwrap();
    }
    for text in ["one", "three", "a"] {
        assert!(ours.receive(&mut frame).await.unwrap());
        assert_eq!(frame, text.as_bytes());
    }
    drop(theirs);
    assert!(!ours.receive(&mut frame).await.unwrap());
}

fn tokio_stream(stream: &std::os::unix::net::UnixStream) -> UnixStream {
    let stream = stream.try_clone().unwrap();
    stream.set_nonblocking(true).unwrap();
    UnixStream::from_std(stream).unwrap()
}

#[tokio::test]
async fn frames_that_are_too_long_are_errors() {
    let (ours, theirs) = pair();
    let other = tokio_stream(&theirs);
    send_now(&other, &vec![1; MAX_FRAME + 1], &[]).unwrap();
    let mut frame = Vec::new();
    assert_eq!(ours.receive(&mut frame).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[tokio::test]
async fn descriptors_that_others_send_are_closed() {
    let (ours, theirs) = pair();
    let other = tokio_stream(&theirs);
    let file = tempfile::tempfile().unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let mut frame = Vec::new();
    for _ in 0..50 {
        send_now(&other, b"x", &[file.as_fd()]).unwrap();
        assert!(ours.receive(&mut frame).await.unwrap());
    }
    // Other tests open and close theirs meanwhile.
    assert!(open() < before + 40);
}

#[tokio::test]
async fn full_sockets_do_not_block() {
    let (ours, theirs) = pair();
    ours.writable().await.unwrap();
    let mut sent = 0;
    let full = loop {
        match ours.try_send(&[7; 1024], &[]) {
            Ok(()) => sent += 1,
            Err(err) => break err,
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
    assert!(sent > 10);
    drop(theirs);
    ours.writable().await.unwrap();
    // Reset or broken: never `WouldBlock`, for which one would wait.
    assert_ne!(ours.try_send(b"x", &[]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}
