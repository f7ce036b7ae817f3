//! What is refused: every bit of a HELLO and a WELCOME counts, and each cause has its name.

use super::*;

#[test]
fn every_bit_of_a_hello_is_covered() {
    for suite in Suite::ALL {
        let mut scene = Scene::new(suite);
        let mut client = scene.client();
        let bytes = scene.hello(&mut client, at(0));
        for bit in 0..8 * HELLO_LEN {
            let refused = scene.relay.check_hello(&flipped(&bytes, bit)).err();
            assert!(refused.is_some(), "bit {bit}");
        }
        let refused = |bytes: &[u8]| scene.relay.check_hello(bytes).err();
        assert_eq!(refused(&bytes[..511]), Some(HelloRefused::Length));
        assert_eq!(refused(&[&bytes[..], &[0]].concat()), Some(HelloRefused::Length));
        // Whoever knows the join address can make mac1 fit; Noise covers the rest.
        for at in [4, 12, 30, 38, 61, 62, 94, 142, 495] {
            let mut hello = *scene.relay.check_hello(&bytes).unwrap();
            hello.as_mut_bytes()[at] ^= 1;
            hello.mac1 = frames::Doorbell::of(scene.relay.public()).mac1(&hello);
            let read = scene.relay.read(&hello, &mut scene.random).err();
            assert_eq!(read, Some(HelloRefused::Noise), "byte {at}");
        }
        let mut other = Scene::new(suite);
        other.relay = RelayKeys::new(ExchangeKey::generate(&mut other.random));
        assert_eq!(other.relay.check_hello(&bytes).err(), Some(HelloRefused::Mac1));
    }
}

#[test]
fn headers_that_are_no_hellos_are_refused_before_the_mac() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    for (at, value) in
        [(0, 0x12), (0, 0x01), (1, 0x80), (2, 31), (20, 0xF1), (21, 2), (22, 1), (26, 1)]
    {
        let mut broken = bytes.clone();
        broken[at] = value;
        let refused = scene.relay.check_hello(&broken).err();
        assert_eq!(refused, Some(HelloRefused::Header), "byte {at}");
    }
    let mut reserved = bytes.clone();
    reserved[4..8].copy_from_slice(&0x42A4_1221_u32.to_le_bytes());
    assert_eq!(scene.relay.check_hello(&reserved).err(), Some(HelloRefused::Header));
}

#[test]
fn every_bit_of_a_welcome_is_covered() {
    for suite in Suite::ALL {
        let mut scene = Scene::new(suite);
        let mut client = scene.client();
        let mut entry = Entry::new(scene.membership.id);
        let hello = scene.hello(&mut client, at(0));
        let welcome = scene.answer(&mut entry, &hello, at(0)).unwrap();
        for bit in 0..8 * WELCOME_LEN {
            assert!(client.handle_frame(&flipped(&welcome, bit), at(1)).is_err(), "bit {bit}");
        }
        for cut in 0..WELCOME_LEN {
            assert!(client.handle_frame(&welcome[..cut], at(1)).is_err(), "{cut} bytes");
        }
        assert!(matches!(client.handle_frame(&welcome, at(1)), Ok(Heard::Welcome(..))));
        let again = client.handle_frame(&welcome, at(1)).err();
        assert_eq!(again, Some(ClientRefused::NotAwaited));
    }
}

#[test]
fn each_cause_of_refusal_is_named() {
    let mut scene = Scene::new(Suite::AesGcm);
    let now = NOON.seconds();
    let stranger = Identity::generate(&mut scene.random);
    let other_key = ExchangeKey::generate(&mut scene.random);
    let good = scene.membership.clone();
    let refusal = |scene: &mut Scene, membership: Membership| {
        scene.membership = membership;
        let mut client = scene.client();
        let hello = scene.hello(&mut client, at(0));
        let guest = scene.read(&hello).unwrap();
        guest.admit(&scene.admission(None)).err()
    };
    assert_eq!(refusal(&mut scene, good.clone()), None);

    let forged = Token::mint(&stranger, &scene.claims);
    let token = Membership { token: forged, ..good.clone() };
    let expected = HelloRefused::Token(BadToken::Signature);
    assert_eq!(refusal(&mut scene, token), Some(expected));

    let expired = Claims { expires: now - 61, ..scene.claims };
    let token = Membership { token: Token::mint(&scene.issuer, &expired), ..good.clone() };
    let expected = HelloRefused::Token(BadToken::Expired);
    assert_eq!(refusal(&mut scene, token), Some(expected));

    let elsewhere = Membership { session: SessionId(5), ..good.clone() };
    let expected = HelloRefused::Token(BadToken::Session);
    assert_eq!(refusal(&mut scene, elsewhere), Some(expected));

    let borrowed = Membership { id: *stranger.public(), ..good.clone() };
    let expected = HelloRefused::Token(BadToken::Subject);
    assert_eq!(refusal(&mut scene, borrowed), Some(expected));

    let uncertified = Membership { key: other_key, ..good.clone() };
    let expected = HelloRefused::Certificate(BadCertificate::Signature);
    assert_eq!(refusal(&mut scene, uncertified), Some(expected));

    let old = Certificate::sign(&scene.identity, good.key.public(), now - 1);
    let expected = HelloRefused::Certificate(BadCertificate::Expired);
    assert_eq!(refusal(&mut scene, Membership { certificate: old, ..good }), Some(expected));
}

#[test]
fn a_node_label_must_be_the_identitys_own_and_free() {
    let mut scene = Scene::new(Suite::AesGcm);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let mut guest = scene.read(&bytes).unwrap();
    let someone = Entry::new(PublicKey([3; 32]));
    let taken = guest.admit(&scene.admission(Some(&someone))).err();
    assert_eq!(taken, Some(HelloRefused::NodeTaken));
    guest.node = NodeId(4);
    assert_eq!(guest.admit(&scene.admission(None)).err(), Some(HelloRefused::NodeId));
    let banned = Admission { banned: true, ..scene.admission(None) };
    assert_eq!(guest.admit(&banned).err(), Some(HelloRefused::Banned));
}

#[test]
fn a_bearer_token_belongs_to_who_showed_it_first() {
    let mut scene = Scene::new(Suite::AesGcm);
    let bearer = Claims { subject: Subject::Bearer([8; 32]), ..scene.claims };
    scene.membership.token = Token::mint(&scene.issuer, &bearer);
    let mut client = scene.client();
    let bytes = scene.hello(&mut client, at(0));
    let guest = scene.read(&bytes).unwrap();
    let owned_by = |owner| Admission { bearer_owner: Some(owner), ..scene.admission(None) };
    assert_eq!(guest.admit(&scene.admission(None)), Ok(bearer));
    assert_eq!(guest.admit(&owned_by(&scene.membership.id)), Ok(bearer));
    let refused = guest.admit(&owned_by(&PublicKey([1; 32]))).err();
    assert_eq!(refused, Some(HelloRefused::BearerTaken));
}
