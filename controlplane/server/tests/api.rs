//! The real router, driver, store and link against a data plane without packets.

mod stand_in;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, StatusCode, header};
use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
use ringway_server::app::{App, Shared, router};
use ringway_server::auth::Keys;
use ringway_server::config::{Config, Limits, MetricsAccess};
use ringway_server::driver::DriverTask;
use ringway_server::link;
use ringway_server::openapi::DOCUMENT;
use ringway_server::page::Page;
use ringway_server::requests::Requests;
use ringway_server::rtc;
use ringway_server::store::{Store, StoreError};
use ringway_settings::Secret;
use serde_json::{Value, json};
use stand_in::StandIn;
use tower::ServiceExt;

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const LIMITS: Limits =
    Limits { max_forwards: 4, max_destinations_per_forward: 400, body_bytes: 65_536 };
/// Longer than anything waited for here takes, on a machine that is doing other things.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    router: Router,
    token: String,
    task: tokio::task::JoinHandle<()>,
}

fn token(grants: Value) -> String {
    let claims = json!({"iss": "devkey", "exp": get_current_timestamp() + 600, "video": grants});
    encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

impl Server {
    /// A server whose page is for development.
    async fn start(dir: &Path) -> Self {
        Self::start_as(dir, true).await
    }

    /// Opens the store in `dir` and links to the data plane at `dir`'s socket.
    async fn start_as(dir: &Path, development: bool) -> Self {
        let store = wait(|| match Store::open(&dir.join("data")) {
            Err(StoreError::Locked { .. }) => None,
            opened => Some(opened.unwrap()),
        })
        .await;
        let keys = BTreeMap::from([("devkey".to_owned(), Secret::from(SECRET))]);
        let config = Config { keys: keys.clone(), ..Config::default() };
        let (calls, rtc) = rtc::start(&config).unwrap();
        let (events, plane) = link::start(socket(dir), calls);
        let limits = LIMITS.into();
        let (task, driver) = DriverTask::new(limits, store, events, plane.clone()).unwrap();
        let task = tokio::spawn(async { task.run().await.unwrap() });
        let app = App::new(Shared {
            keys: Keys::new(&keys),
            driver,
            plane,
            requests: Requests::default(),
            metrics: MetricsAccess::default(),
            limits: LIMITS,
            page: Page::new(development),
            development,
        });
        Self { router: router(app, rtc), token: token(json!({"ingressAdmin": true})), task }
    }

    /// Ends as a crash would: nothing is said to anyone.
    async fn crash(self) {
        drop(self.router);
        self.task.await.unwrap();
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 10_000_000).await.unwrap();
        (head.status, head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    async fn call(&self, line: &str, body: Value) -> (u16, Value) {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        let body = if body.is_null() { Body::empty() } else { body.to_string().into() };
        let (status, _, text) = self.send(request.body(body).unwrap()).await;
        (status.as_u16(), serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.call(&format!("GET {path}"), Value::Null).await
    }

    /// Waits until `GET path` satisfies `wanted`.
    async fn until(&self, path: &str, wanted: impl Fn(u16, &Value) -> bool) -> Value {
        let start = tokio::time::Instant::now();
        loop {
            let (status, value) = self.get(path).await;
            if wanted(status, &value) {
                return value;
            }
            assert!(start.elapsed() < PATIENCE, "{path} stays {status} {value}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn joined(&self) {
        self.until("/", |status, _| status == 200).await;
    }

    /// Sends and compares status, `error.code` and `error.field`.
    async fn check(&self, line: &str, body: Value, status: u16, code: &str, field: &str) {
        let (got, answer) = self.call(line, body.clone()).await;
        let error = &answer["error"];
        let told = (error["code"].as_str().unwrap_or(""), error["field"].as_str().unwrap_or(""));
        assert_eq!((got, told), (status, (code, field)), "{line} {body}: {answer}");
        if status >= 400 {
            assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
        }
    }
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("plane.sock")
}

async fn wait<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let start = tokio::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn pair(shards: u16) -> (tempfile::TempDir, StandIn, Server) {
    let dir = tempfile::tempdir().unwrap();
    let plane = StandIn::start(&socket(dir.path()), shards);
    let server = Server::start(dir.path()).await;
    server.joined().await;
    (dir, plane, server)
}

fn ports(plane: &StandIn) -> BTreeSet<u16> {
    plane.world.lock().unwrap().forwards.values().map(|there| there.bound.rtp.port()).collect()
}

#[tokio::test]
async fn the_life_of_a_forward() {
    let (_dir, plane, server) = pair(2).await;
    let body = json!({"name": "studio", "input": {"port": 5004},
        "destinations": [{"address": "127.0.0.1", "port": 6000}]});
    let (status, made) = server.call("POST /v1/forwards", body).await;
    assert_eq!((status, &made["state"]), (201, &json!("active")), "{made}");
    let path = format!("/v1/forwards/{}", made["id"].as_str().unwrap());
    let (_, got) = server.get(&path).await;
    assert_eq!((&got["input"]["port"], &got["stats"]["packets"]), (&json!(5004), &json!(10)));
    assert_eq!(got["stats"]["fraction_lost"], json!(0.25));
    assert_eq!(got["stats"]["last_packet_at"], json!("2023-11-14T22:13:20.000Z"));
    let reported = &got["destinations"][0]["stats"]["reported"];
    assert_eq!(reported["round_trip_us"], json!(410), "{got}");

    let patch = json!({"name": "stage", "input": {"source": "192.0.2.7", "ssrc": 9}});
    let (status, patched) = server.call(&format!("PATCH {path}"), patch).await;
    assert_eq!((status, &patched["input"]["latch_silence_ms"]), (200, &Value::Null), "{patched}");
    let policy = plane.world.lock().unwrap().forwards.values().next().unwrap().spec.policy;
    assert_eq!(policy.ssrc, Some(9));

    let add = format!("POST {path}/destinations");
    let one = json!({"address": "::ffff:127.0.0.1", "port": 7000, "rtcp": "mux"});
    let (status, added) = server.call(&add, one).await;
    assert_eq!((status, &added["address"]), (201, &json!("127.0.0.1")), "{added}");
    let many: Vec<Value> =
        (0..300).map(|n| json!({"address": "127.0.0.1", "port": 8000 + 2 * n})).collect();
    let (status, added) = server.call(&add, json!({"destinations": many})).await;
    assert_eq!((status, added["destinations"].as_array().unwrap().len()), (201, 300));
    let shards: BTreeSet<u64> = added["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|destination| destination["shard"].as_u64().unwrap())
        .collect();
    assert_eq!(shards, BTreeSet::from([0, 1]), "a large forward spreads");

    let id = added["destinations"][7]["id"].as_str().unwrap();
    let one = format!("{path}/destinations/{id}");
    let (status, changed) = server.call(&format!("PATCH {one}"), json!({"port": 9999})).await;
    assert_eq!((status, &changed["port"]), (200, &json!(9999)));
    assert_eq!(server.get(&one).await.1["port"], json!(9999));
    server.check(&format!("DELETE {one}"), Value::Null, 204, "", "").await;
    server.check(&format!("GET {one}"), Value::Null, 404, "destination_not_found", "").await;
    let count = plane.world.lock().unwrap().forwards.values().next().unwrap().destinations.len();
    assert_eq!(count, 301);

    server.check(&format!("DELETE {path}"), Value::Null, 204, "", "").await;
    server.check(&format!("GET {path}"), Value::Null, 404, "forward_not_found", "").await;
    assert!(ports(&plane).is_empty());
}

#[tokio::test]
async fn refusals_name_the_field() {
    let (_dir, plane, server) = pair(1).await;
    plane.world.lock().unwrap().taken.insert(5101);
    let create = "POST /v1/forwards";
    let check = async |body: Value, status, code: &str, field: &str| {
        server.check(create, body, status, code, field).await;
    };
    check(json!({"input": {"prt": 1}}), 400, "unknown_field", "input.prt").await;
    check(json!({"input": {"port": 70000}}), 400, "invalid_field", "input.port").await;
    check(json!({"input": {"port": "x"}}), 400, "invalid_field", "input.port").await;
    check(json!([1]), 400, "malformed_json", "").await;
    check(json!({"input": {"port": 5100}}), 409, "port_in_use", "input.port").await;
    let elsewhere = json!({"input": {"address": "192.0.2.1"}});
    check(elsewhere, 400, "address_not_available", "input.address").await;
    assert!(ports(&plane).is_empty(), "nothing is left of what was refused");

    let body = json!({"id": "FW_abcdefghijkl", "input": {"port": 5200}});
    check(body.clone(), 201, "", "").await;
    check(body.clone(), 200, "", "").await;
    check(json!({"id": "FW_abcdefghijkl"}), 409, "already_exists", "id").await;
    check(json!({"input": {"port": 5201}}), 409, "port_in_use", "input.port").await;
    for _ in 0..3 {
        check(json!({}), 201, "", "").await;
    }
    check(json!({}), 409, "too_many_forwards", "").await;

    let path = "/v1/forwards/FW_abcdefghijkl";
    let patch = format!("PATCH {path}");
    server.check(&patch, json!({"input": {"port": 1}}), 400, "invalid_field", "input.port").await;
    server.check(&patch, json!({"nmae": ""}), 400, "unknown_field", "nmae").await;
    let add = format!("POST {path}/destinations");
    server.check(&add, json!({"address": "::1", "port": 1}), 400, "invalid_field", "address").await;
    let two = json!({"destinations": [{"address": "10.0.0.1", "port": 1}, {"port": 1}]});
    server.check(&add, two, 400, "invalid_field", "destinations[1].address").await;
    let four = json!({"destinations": vec![json!({"address": "10.0.0.1", "port": 1}); 401]});
    server.check(&add, four, 400, "invalid_field", "destinations").await;
    server.check("GET /v1/forwards?limit=0", Value::Null, 400, "invalid_field", "limit").await;
    server.check("GET /v1/forwards/FW_zzz", Value::Null, 404, "forward_not_found", "").await;
    server.check("GET /v1/nothing", Value::Null, 404, "not_found", "").await;
    server.check("PUT /v1/forwards", Value::Null, 405, "method_not_allowed", "").await;
    let big = json!({"name": "x".repeat(70_000)});
    server.check(create, big, 413, "body_too_large", "").await;
    let auth = format!("Bearer {}", server.token);
    let request = Request::post("/v1/forwards").header(header::AUTHORIZATION, auth);
    let (status, ..) = server.send(request.body(Body::from("{}")).unwrap()).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn pages_follow_each_other() {
    let (_dir, _plane, server) = pair(1).await;
    for _ in 0..4 {
        server.check("POST /v1/forwards", json!({}), 201, "", "").await;
    }
    let (mut after, mut seen) = (String::new(), BTreeSet::new());
    loop {
        let (_, page) = server.get(&format!("/v1/forwards?limit=3{after}")).await;
        for forward in page["forwards"].as_array().unwrap() {
            assert!(seen.insert(forward["id"].to_string()));
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test]
async fn every_operation_of_the_document_needs_a_token_and_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path()).await;
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let mut seen = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let path = path.replace("{id}", "FW_abcdefghijkl").replace("{destination}", "FD_x");
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let open = operation["security"].is_array();
            let call = async |token: Option<String>| {
                let mut request = Request::builder().method(method.as_str()).uri(&path);
                if let Some(token) = token {
                    request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
                }
                server.send(request.body(Body::empty()).unwrap()).await
            };
            let (status, headers, text) = call(None).await;
            let challenged = headers.contains_key(header::WWW_AUTHENTICATE);
            assert_eq!(status == 401 && challenged, !open, "{method} {path}: {status} {text}");
            if !open {
                let forbidden = call(Some(token(json!({"roomAdmin": true})))).await;
                assert_eq!(forbidden.0, 403, "{method} {path}");
                assert_eq!(call(Some("a.b.c".into())).await.0, 401, "{method} {path}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 12);
}

#[tokio::test]
async fn without_a_data_plane_nothing_is_promised_but_all_is_shown() {
    let (dir, plane, server) = pair(1).await;
    let create = "POST /v1/forwards";
    for id in ["FW_aaaaaaaaaaaa", "FW_bbbbbbbbbbbb"] {
        server.check(create, json!({"id": id}), 201, "", "").await;
    }
    let before = ports(&plane);
    plane.kill();
    server.until("/", |status, _| status == 406).await;
    server.check(create, json!({}), 503, "data_plane_away", "").await;
    server.until("/v1/forwards/FW_aaaaaaaaaaaa", |_, v| v["state"] == "pending").await;
    let rename = json!({"name": "renamed"});
    server.check("PATCH /v1/forwards/FW_aaaaaaaaaaaa", rename, 200, "", "").await;
    let pin = json!({"input": {"ssrc": 1}});
    let patch = "PATCH /v1/forwards/FW_aaaaaaaaaaaa";
    server.check(patch, pin, 503, "data_plane_away", "").await;
    let (status, metrics) = server.get("/metrics").await;
    assert_eq!(status, 200);
    assert!(metrics.as_str().unwrap().contains("\nringway_data_plane_up 0\n"));

    // It comes back with another number of shards, and one port has been taken meanwhile.
    let plane = StandIn::start(&socket(dir.path()), 3);
    server.until("/v1/forwards/FW_aaaaaaaaaaaa", |_, v| v["state"] == "active").await;
    server.until("/v1/forwards/FW_bbbbbbbbbbbb", |_, v| v["state"] == "active").await;
    assert_eq!(ports(&plane), before, "the ports chosen once are kept");
    server.check("DELETE /v1/forwards/FW_bbbbbbbbbbbb", Value::Null, 204, "", "").await;
    assert_eq!(ports(&plane).len(), 1);
}

#[tokio::test]
async fn a_port_taken_meanwhile_makes_a_forward_fail_until_it_is_free() {
    let (dir, plane, server) = pair(1).await;
    let body = json!({"id": "FW_aaaaaaaaaaaa", "input": {"port": 5300}});
    server.check("POST /v1/forwards", body, 201, "", "").await;
    plane.kill();
    let plane = StandIn::start(&socket(dir.path()), 1);
    plane.world.lock().unwrap().taken.insert(5300);
    let path = "/v1/forwards/FW_aaaaaaaaaaaa";
    let failed = server.until(path, |_, v| v["state"] == "failed" || v["state"] == "active").await;
    if failed["state"] == "failed" {
        assert!(failed["error"].as_str().unwrap().contains("5300"), "{failed}");
    }
    plane.world.lock().unwrap().taken.clear();
    server.until(path, |_, v| v["state"] == "active").await;
    assert_eq!(ports(&plane), BTreeSet::from([5300]));
}

#[tokio::test]
async fn a_control_plane_that_crashed_comes_back_to_what_it_promised() {
    let (dir, plane, server) = pair(2).await;
    let body = json!({"id": "FW_aaaaaaaaaaaa",
        "destinations": [{"address": "10.0.0.1", "port": 1}, {"address": "10.0.0.1", "port": 3}]});
    server.check("POST /v1/forwards", body, 201, "", "").await;
    server.check("POST /v1/forwards", json!({"id": "FW_bbbbbbbbbbbb"}), 201, "", "").await;
    let kept = ports(&plane);
    server.crash().await;
    // What a crash between "done" and "stored" leaves: a forward, and a destination, that nobody
    // knows.
    {
        let mut world = plane.world.lock().unwrap();
        let mut orphan = world.forwards.values().next().unwrap().clone();
        orphan.spec.key = 77;
        orphan.bound.rtp.set_port(39_000);
        world.forwards.insert(77, orphan);
        let there = world.forwards.values_mut().find(|f| !f.destinations.is_empty()).unwrap();
        let (mut spec, slot) = there.destinations.values().next().unwrap().clone();
        spec.key = 78;
        there.destinations.insert(78, (spec, slot));
    }
    let server = Server::start(dir.path()).await;
    server.until("/v1/forwards/FW_aaaaaaaaaaaa", |_, v| v["state"] == "active").await;
    server.until("/v1/forwards/FW_bbbbbbbbbbbb", |_, v| v["state"] == "active").await;
    wait(|| {
        let world = plane.world.lock().unwrap();
        let destinations: usize = world.forwards.values().map(|f| f.destinations.len()).sum();
        (world.forwards.len() == 2 && destinations == 2).then_some(())
    })
    .await;
    assert_eq!(ports(&plane), kept);
}

#[tokio::test]
async fn a_hanging_shard_is_noticed() {
    let (_dir, plane, server) = pair(1).await;
    plane.hang.store(true, Ordering::Relaxed);
    server.until("/", |status, _| status == 406).await;
    plane.hang.store(false, Ordering::Relaxed);
    server.joined().await;
    server.check("POST /v1/forwards", json!({}), 201, "", "").await;
}

#[tokio::test]
async fn metrics_tell_what_the_pages_hold() {
    let (_dir, _plane, server) = pair(2).await;
    server.check("POST /v1/forwards", json!({}), 201, "", "").await;
    let (_, text) = server.get("/metrics").await;
    let text = text.as_str().unwrap();
    for line in [
        "ringway_data_plane_up 1",
        "ringway_forward_states{state=\"active\"} 1",
        "ringway_packets_received_total{shard=\"1\"} 100",
        "ringway_packets_dropped_total{shard=\"0\",reason=\"short\"} 3",
        "ringway_shard_info{shard=\"0\",core=\"1\",engine=\"plain\"} 1",
        "ringway_forward_latency_seconds_bucket{shard=\"0\",le=\"0.00001\"} 0",
        "ringway_forward_latency_seconds_bucket{shard=\"0\",le=\"0.00005\"} 99",
        "ringway_forward_latency_seconds_bucket{shard=\"0\",le=\"+Inf\"} 100",
        "ringway_forward_latency_seconds_count{shard=\"0\"} 100",
        "ringway_http_requests_total{route=\"/v1/forwards\",method=\"POST\",status=\"201\"} 1",
    ] {
        assert!(text.lines().any(|there| there == line), "{line} is not in\n{text}");
    }
    let heads: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE")).collect();
    assert_eq!(heads.len(), heads.iter().collect::<BTreeSet<_>>().len(), "a family twice");
    if let Some(path) = std::env::var_os("RINGWAY_METRICS_SAMPLE") {
        std::fs::write(path, text).unwrap();
    }
}

#[tokio::test]
async fn browsers_get_a_page_and_programs_a_word() {
    let dir = tempfile::tempdir().unwrap();
    let stand_in = StandIn::start(&socket(dir.path()), 1);
    let server = Server::start(dir.path()).await;
    server.joined().await;
    let get = async |accept: &str| {
        let request = Request::get("/").header(header::ACCEPT, accept);
        let (status, headers, text) = server.send(request.body(Body::empty()).unwrap()).await;
        (status.as_u16(), headers[header::CONTENT_TYPE].to_str().unwrap().to_owned(), text)
    };
    let (plain, html) = ("text/plain; charset=utf-8", "text/html; charset=utf-8");
    let (status, kind, text) = get("*/*").await;
    assert_eq!((status, kind.as_str(), text.as_str()), (200, plain, "OK\n"));
    let (status, kind, text) = get("text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((status, kind.as_str()), (200, html));
    assert!(text.contains("<title>Ringway</title>"), "{text}");
    stand_in.kill();
    server.until("/", |status, _| status == 406).await;
    let (status, kind, _) = get("text/html").await;
    assert_eq!((status, kind.as_str()), (406, html));
}

/// The port of a data plane that was killed is not free at once.
#[tokio::test]
async fn it_is_not_well_before_its_ports_are_open() {
    let dir = tempfile::tempdir().unwrap();
    let stand_in = StandIn::start(&socket(dir.path()), 1);
    let media = 7882;
    stand_in.world.lock().unwrap().taken.insert(media);
    let server = Server::start(dir.path()).await;
    let opening = json!("The data plane opens its ports.\n");
    server.until("/", |status, text| (status, text) == (406, &opening)).await;
    server.check("POST /v1/forwards", json!({}), 201, "", "").await;
    stand_in.world.lock().unwrap().taken.remove(&media);
    server.joined().await;
}

/// Pages of any origin use calls, WHIP, WHEP and the API; not the tokens of the own page.
#[tokio::test]
async fn pages_of_other_origins() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_as(dir.path(), true).await;
    let send = async |line: &str, asks_first: bool| {
        let (method, path) = line.split_once(' ').unwrap();
        let request = Request::builder().method(method).uri(path);
        let mut request = request.header(header::ORIGIN, "https://page.example");
        if asks_first {
            request = request.header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST");
        }
        let (status, headers, _) = server.send(request.body(Body::empty()).unwrap()).await;
        let value = |name: HeaderName| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        (
            status.as_u16(),
            value(header::ACCESS_CONTROL_ALLOW_ORIGIN),
            value(header::ACCESS_CONTROL_ALLOW_HEADERS)
                + &value(header::ACCESS_CONTROL_EXPOSE_HEADERS),
        )
    };
    for (line, asks_first, expect, named) in [
        ("POST /", false, 405, "Location"),
        ("GET /rtc/validate", false, 401, "Location"),
        ("POST /whip/v1", false, 415, "ETag"),
        ("OPTIONS /whip/v1", false, 200, "Link"),
        ("OPTIONS /whip/v1", true, 204, "Authorization"),
        ("OPTIONS /rtc/v1/validate", true, 204, "Authorization"),
        ("GET /nowhere", false, 404, "Location"),
    ] {
        let (status, origin, names) = send(line, asks_first).await;
        assert_eq!((status, origin.as_str()), (expect, "https://page.example"), "{line}");
        assert!(names.contains(named), "{line}: {names}");
    }
    assert_eq!(send("OPTIONS /dev/token", true).await.1, "");
    assert_eq!(send("POST /dev/token", false).await.1, "");
    let request = Request::get("/").body(Body::empty()).unwrap();
    let (_, headers, _) = server.send(request).await;
    assert!(!headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN), "nobody asked for it");
}

#[tokio::test]
async fn the_page_gets_tokens_in_development_only() {
    let dir = tempfile::tempdir().unwrap();
    let wish = json!({"room": "r", "identity": "anna", "direction": "publish"}).to_string();
    let ask = async |server: &Server, host: &str, kind: &str, body: &str| {
        let request = Request::post("/dev/token").header(header::HOST, host);
        let request = request.header(header::CONTENT_TYPE, kind);
        let (status, _, text) = server.send(request.body(body.to_owned().into()).unwrap()).await;
        (status.as_u16(), text)
    };
    let (own, kind) = ("127.0.0.1:7880", "application/json");
    {
        let server = Server::start_as(&dir.path().join("production"), false).await;
        assert_eq!(ask(&server, own, kind, &wish).await.0, 404);
    }
    let server = Server::start_as(&dir.path().join("development"), true).await;
    let (status, text) = ask(&server, own, kind, &wish).await;
    assert_eq!(status, 200, "{text}");
    let token = serde_json::from_str::<Value>(&text).unwrap()["token"].as_str().unwrap().to_owned();
    let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(&token).unwrap();
    assert_eq!((&claims["sub"], &claims["video"]["room"]), (&json!("anna"), &json!("r")));
    let empty = json!({"room": "", "identity": "anna", "direction": "play"}).to_string();
    for (host, kind, body, expect) in [
        ("evil.example:7880", kind, wish.as_str(), 403),
        // What a form of another page could send.
        (own, "text/plain", wish.as_str(), 415),
        (own, kind, empty.as_str(), 400),
        (own, kind, "{}", 400),
    ] {
        assert_eq!(ask(&server, host, kind, body).await.0, expect, "{host} {kind} {body}");
    }
}
