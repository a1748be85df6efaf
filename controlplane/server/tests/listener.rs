//! Real TCP: a port in use is said in a sentence, and a stop lets the request in progress end.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::routing::get;
use ringway_server::listener::{ListenError, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Notify, watch};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[tokio::test]
async fn a_port_in_use_is_said() {
    let first = bind(&[LOCAL], 0).unwrap();
    let port = first[0].local_addr().unwrap().port();
    let error = bind(&[LOCAL], port).unwrap_err();
    assert!(matches!(error, ListenError::InUse(_)), "{error:?}");
    assert!(error.to_string().contains(&format!("TCP port {port} on 127.0.0.1 is in use")));
    let elsewhere = bind(&["192.0.2.1".parse().unwrap()], 0).unwrap_err();
    assert!(matches!(elsewhere, ListenError::NoAddress(_)), "{elsewhere:?}");
}

#[tokio::test]
async fn both_families_share_a_port() {
    let all = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let listeners = bind(&all, 0).unwrap();
    let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port());
    let ports: Vec<u16> = ports.collect();
    assert!(ports.iter().all(|port| *port == ports[0] && *port != 0), "{ports:?}");
}

#[tokio::test]
async fn a_stop_lets_the_request_in_progress_end() {
    let (begun, finish) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_begun, in_finish) = (Arc::clone(&begun), Arc::clone(&finish));
    let slow = move || {
        let (begun, finish) = (Arc::clone(&in_begun), Arc::clone(&in_finish));
        async move {
            begun.notify_one();
            finish.notified().await;
            "done"
        }
    };
    let listeners = bind(&[LOCAL], 0).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let router = Router::new().route("/", get(slow));
    let serving = tokio::spawn(serve(listeners, router, stopped));
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    begun.notified().await;
    stop.send(true).unwrap();
    finish.notify_one();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("done"), "{answer}");
    serving.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "still listening");
}

#[tokio::test]
async fn requests_may_begin_with_two_slashes() {
    let listeners = bind(&[LOCAL], 0).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let query = |RawQuery(query): RawQuery| async move { query.unwrap_or_default() };
    let router = Router::new().route("/rtc", get(query));
    let serving = tokio::spawn(serve(listeners, router, stopped));
    for (target, expect) in [("/rtc?a=%2F", "a=%2F"), ("//rtc?b=//", "b=//"), ("///rtc", "")] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{target}: {answer}");
        // Clients that compare letters must find what they look for.
        assert!(head.contains("\r\nContent-Type: "), "{head}");
        assert_eq!(body, expect, "{target}");
    }
    stop.send(true).unwrap();
    serving.await.unwrap();
}

/// Tokens and join requests stand in the head of a request.
#[tokio::test]
async fn a_head_beyond_its_limit_is_refused() {
    let listeners = bind(&[LOCAL], 0).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let (_stop, stopped) = watch::channel(false);
    let router = Router::new().route("/", get(|| async { "done" }));
    tokio::spawn(serve(listeners, router, stopped));
    for (length, expect) in [(60_000, "HTTP/1.1 200"), (70_000, "HTTP/1.1 431")] {
        let mut client = TcpStream::connect(address).await.unwrap();
        let token = "x".repeat(length);
        let head = format!("GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n");
        // The answer may come, and the connection end, before all is written.
        let _ = client.write_all(head.as_bytes()).await;
        let mut status = [0; 12];
        client.read_exact(&mut status).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&status), expect);
    }
}
