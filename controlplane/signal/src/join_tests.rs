//! Rows of what clients ask for when they join.

use std::io::Write;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use livekit_protocol::ConnectionSettings;

use super::*;

fn wrap(compression: i32, join_request: Vec<u8>) -> String {
    BASE64.encode(WrappedJoinRequest { compression, join_request }.encode_to_vec())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn request() -> JoinRequest {
    let settings = ConnectionSettings { auto_subscribe: true, ..ConnectionSettings::default() };
    JoinRequest {
        client_info: Some(ClientInfo { protocol: 17, ..ClientInfo::default() }),
        connection_settings: Some(settings),
        reconnect: true,
        participant_sid: "PA_1".into(),
        ..JoinRequest::default()
    }
}

#[test]
fn wrapped_requests() {
    let plain = request().encode_to_vec();
    let check = |text: &str, expect: Result<JoinRequest, JoinError>| {
        let shown: String = text.chars().take(40).collect();
        assert_eq!(decode_request(text), expect, "{shown}");
    };
    check(&wrap(0, plain.clone()), Ok(request()));
    check(wrap(0, plain.clone()).trim_end_matches('='), Ok(request()));
    check(&wrap(1, gzip(&plain)), Ok(request()));
    check(&wrap(2, plain.clone()), Err(JoinError::Compression));
    check(&wrap(1, plain.clone()), Err(JoinError::NotGzip));
    check(&wrap(1, gzip(&plain)[..20].to_vec()), Err(JoinError::NotGzip));
    check(&wrap(0, vec![0xff]), Err(JoinError::NotJoin));
    check("_w==", Err(JoinError::NotWrapped));
    check("a b", Err(JoinError::NotBase64));
    check(&wrap(1, gzip(&vec![0; 64 << 20])), Err(JoinError::TooLong));
    check(&wrap(0, vec![0; JOIN_BYTES_MAX + 1]), Err(JoinError::TooLong));
    check(&"A".repeat(2 << 20), Err(JoinError::TooLong));
}

#[test]
fn requests_of_v1() {
    let text = wrap(0, request().encode_to_vec());
    let join = Join::from_query([("join_request", text.as_str())], true, false).unwrap();
    assert!(join.single && join.auto_subscribe && !join.adaptive_stream);
    assert_eq!(join.allow_pause, None);
    assert_eq!(join.reconnect, Some(Reconnect { sid: "PA_1".into(), reason: 0 }));
    assert_eq!(Join::from_query([], true, false), Err(JoinError::Missing));
}

#[test]
fn queries_of_v0() {
    let check = |query: &str, expect: &dyn Fn(&Join) -> bool| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let join = Join::from_query(pairs, false, false).unwrap();
        assert!(expect(&join), "{query}: {join:?}");
    };
    check("", &|join| join.auto_subscribe && !join.single && join.reconnect.is_none());
    check("auto_subscribe=0", &|join| !join.auto_subscribe);
    check("auto_subscribe=1&auto_subscribe=0", &|join| join.auto_subscribe);
    check("adaptive_stream=true", &|join| join.adaptive_stream);
    check("adaptive_stream=yes", &|join| !join.adaptive_stream);
    check("subscriber_allow_pause=0", &|join| join.allow_pause == Some(false));
    check("publish=screen", &|join| join.publish.as_deref() == Some("screen"));
    check("sdk=js&protocol=17&version=2.21.0&browser=Chrome", &|join| {
        join.client.sdk == 1 && join.client.protocol == 17 && join.client.browser == "Chrome"
    });
    check("sdk=ios", &|join| join.client.sdk == Sdk::Swift as i32);
    check("protocol=x", &|join| join.client.protocol == 0);
    check("capabilities=CAP_PACKET_TRAILER, CAP_NEW,CAP_COMPRESSION_DEFLATE_RAW", &|join| {
        join.client.capabilities == [1, 2]
    });
    check("reconnect=1&sid=PA_x&reconnect_reason=2", &|join| {
        join.reconnect == Some(Reconnect { sid: "PA_x".into(), reason: 2 })
    });
    check("sid=PA_x", &|join| join.reconnect.is_none());
    check("attributes=eyJhIjoiYiJ9", &|join| join.attributes["a"] == "b");
    check("attributes=!", &|join| join.attributes.is_empty());
    let strict = Join::from_query([("attributes", "!")], false, true);
    assert_eq!(strict, Err(JoinError::Attributes));
}
