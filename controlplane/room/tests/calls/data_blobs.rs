//! Data blobs: who may leave what, and who gets it.

use ringway_room::calls::*;

use crate::house::House;

fn generic(text: &str) -> DataBlobKey {
    DataBlobKey::Generic(text.to_owned())
}

fn schema(name: &str, encoding: Option<DataEncoding>) -> DataBlobKey {
    DataBlobKey::Schema(DataSchema { name: name.to_owned(), encoding })
}

fn custom(name: &str) -> Option<DataEncoding> {
    Some(DataEncoding::Custom(name.to_owned()))
}

fn open() -> Config {
    let mut config = Config { data_blobs: true, ..Config::default() };
    config.limits.blobs_bytes = 1_000;
    config
}

/// The one answer to a request.
fn ask(house: &mut House, from: ParticipantSid, request: Request) -> Notice {
    house.hush();
    house.ask(from, request);
    let mut heard = house.heard(from);
    assert_eq!(heard.len(), 1, "{heard:?}");
    heard.remove(0)
}

fn store(
    house: &mut House,
    from: ParticipantSid,
    key: Option<DataBlobKey>,
    bytes: usize,
) -> Option<RequestReason> {
    let stored =
        Request::StoreDataBlob { request_id: 7, key: key.clone(), contents: vec![1; bytes] };
    match ask(house, from, stored) {
        Notice::DataBlobStored { request_id: 7, key: kept } => {
            assert_eq!(Some(kept), key);
            None
        }
        Notice::RequestResponse { request_id: 7, reason, asked: Asked::DataBlob, .. } => {
            Some(reason)
        }
        other => panic!("{other:?}"),
    }
}

fn get(
    house: &mut House,
    from: ParticipantSid,
    owner: &str,
    key: Option<DataBlobKey>,
) -> Result<usize, RequestReason> {
    let wanted = Request::GetDataBlob { request_id: 8, owner: owner.to_owned(), key: key.clone() };
    match ask(house, from, wanted) {
        Notice::DataBlob { request_id: 8, blob } => {
            assert_eq!(Some(&blob.key), key.as_ref());
            Ok(blob.contents.len())
        }
        Notice::RequestResponse { request_id: 8, reason, asked: Asked::DataBlob, .. } => {
            Err(reason)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_is_kept_unless_the_operator_allows_it() {
    let mut house = House::new(Config::default());
    let ann = house.enter("ann");
    assert_eq!(store(&mut house, ann, Some(generic("a")), 1), Some(RequestReason::NotAllowed));
    assert_eq!(get(&mut house, ann, "ann", Some(generic("a"))), Err(RequestReason::NotFound));
}

#[test]
fn what_is_not_valid_is_refused_with_its_reason() {
    let mut house = House::new(open());
    let ann = house.enter("ann");
    let mut check = |key: Option<DataBlobKey>, bytes: usize, expect: Option<RequestReason>| {
        assert_eq!(store(&mut house, ann, key.clone(), bytes), expect, "{key:?}");
    };
    let invalid = Some(RequestReason::InvalidRequest);
    check(None, 1, invalid);
    check(Some(generic("")), 1, invalid);
    check(Some(generic(&"k".repeat(257))), 1, invalid);
    check(Some(generic("k")), 0, invalid);
    check(Some(schema("s", custom(""))), 1, invalid);
    check(Some(schema("s", custom(&"e".repeat(33)))), 1, invalid);
    check(Some(generic("k")), 1_000, Some(RequestReason::LimitExceeded));
    check(Some(generic("k")), 499, None);
    check(Some(generic("l")), 500, Some(RequestReason::LimitExceeded));
    // The old one counts until the new one is there.
    check(Some(generic("k")), 500, Some(RequestReason::LimitExceeded));
    check(Some(generic("k")), 499, None);
    check(Some(generic("l")), 499, None);
    check(Some(schema("s", custom("e"))), 1, Some(RequestReason::LimitExceeded));
}

#[test]
fn others_get_it_for_as_long_as_its_owner_stays() {
    let mut house = House::new(open());
    let (ann, ben) = (house.enter("ann"), house.enter("ben"));
    let keys = [generic("k"), generic("l"), schema("k", None), schema("k", custom("e"))];
    for (bytes, key) in (1..).zip(&keys) {
        assert_eq!(store(&mut house, ann, Some(key.clone()), bytes), None);
    }
    for (bytes, key) in (1..).zip(&keys) {
        assert_eq!(get(&mut house, ben, "ann", Some(key.clone())), Ok(bytes));
    }
    assert_eq!(get(&mut house, ann, "ann", Some(generic("l"))), Ok(2));
    let not_found = Err(RequestReason::NotFound);
    assert_eq!(get(&mut house, ben, "ann", Some(generic("m"))), not_found);
    assert_eq!(get(&mut house, ben, "ben", Some(generic("k"))), not_found);
    assert_eq!(get(&mut house, ben, "eve", Some(generic("k"))), not_found);
    assert_eq!(get(&mut house, ben, "ann", None), Err(RequestReason::InvalidRequest));
    house.ask(ann, Request::Leave { reason: DisconnectReason::ClientInitiated });
    assert_eq!(get(&mut house, ben, "ann", Some(generic("k"))), not_found);
    house.enter("ann");
    assert_eq!(get(&mut house, ben, "ann", Some(generic("k"))), not_found, "somebody new");
}
