use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};

use super::*;

fn asked(name: &str) -> CertificateParams {
    let mut asked = CertificateParams::new([name.to_owned()]).unwrap();
    asked.distinguished_name.push(DnType::CommonName, name);
    asked
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut asked = asked(name);
    asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(asked, KeyPair::generate().unwrap()).unwrap()
}

fn calling_itself(is_ca: IsCa) -> CertificateParams {
    let mut asked = asked("bob.example");
    asked.is_ca = is_ca;
    asked
}

fn by_itself(asked: &CertificateParams) -> rcgen::Certificate {
    asked.self_signed(&KeyPair::generate().unwrap()).unwrap()
}

/// What a client with this `ca_file` says to a server called `name` that shows `shown`.
fn judged(ca_file: &str, shown: &rcgen::Certificate, name: &'static str) -> Result<(), Error> {
    let trust = Trust::of_text(ca_file).unwrap();
    let verifier = FriendVerifier::new(&trust, Arc::new(ring::default_provider()));
    let name = ServerName::try_from(name).unwrap();
    verifier.verify_server_cert(shown.der(), &[], &name, &[], UnixTime::now()).map(drop)
}

#[test]
fn what_the_authority_of_a_friend_signed_is_taken() {
    let ours = authority("friends");
    let leaf = asked("bob.example").signed_by(&KeyPair::generate().unwrap(), &ours).unwrap();
    assert_eq!(judged(&ours.pem(), &leaf, "bob.example"), Ok(()));
    let another = authority("friends");
    assert!(
        matches!(judged(&another.pem(), &leaf, "bob.example"), Err(Error::InvalidCertificate(_))),
        "the same name is not the same authority"
    );
    let both = format!("{}{}", another.pem(), ours.pem());
    assert_eq!(judged(&both, &leaf, "bob.example"), Ok(()), "one of several is enough");
}

#[test]
fn a_certificate_that_stands_for_itself_is_taken_when_it_is_listed() {
    for (is_ca, because) in [
        (IsCa::NoCa, "says nothing about signing others"),
        (IsCa::ExplicitNoCa, "may not sign others"),
        (IsCa::Ca(BasicConstraints::Unconstrained), "calls itself an authority, as openssl makes them"),
    ] {
        let shown = by_itself(&calling_itself(is_ca));
        assert_eq!(judged(&shown.pem(), &shown, "bob.example"), Ok(()), "{because}");
        let other = by_itself(&calling_itself(is_ca));
        assert!(judged(&other.pem(), &shown, "bob.example").is_err(), "{because}, and is not listed");
    }
}

#[test]
fn a_listed_certificate_that_may_not_sign_vouches_for_no_other() {
    let mut may_not = calling_itself(IsCa::Ca(BasicConstraints::Unconstrained));
    may_not.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    for (listed, because) in [
        (calling_itself(IsCa::NoCa), "is a server's"),
        (calling_itself(IsCa::ExplicitNoCa), "says that it is none"),
        (may_not, "has a key for something else"),
    ] {
        let issuer = CertifiedIssuer::self_signed(listed, KeyPair::generate().unwrap()).unwrap();
        let forged = asked("bob.example").signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
        let error = judged(&issuer.pem(), &forged, "bob.example").unwrap_err();
        let expected = Error::InvalidCertificate(CertificateError::UnknownIssuer);
        assert_eq!(error, expected, "the listed one {because}");
    }
}

#[test]
fn an_authority_vouches_only_while_its_dates_hold() {
    let ours = |from: i32, to: i32| {
        let mut asked = calling_itself(IsCa::Ca(BasicConstraints::Unconstrained));
        (asked.not_before, asked.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        CertifiedIssuer::self_signed(asked, KeyPair::generate().unwrap()).unwrap()
    };
    let of = |issuer: &CertifiedIssuer<'static, KeyPair>| {
        asked("bob.example").signed_by(&KeyPair::generate().unwrap(), issuer).unwrap()
    };
    let (old, early, good) = (ours(2020, 2021), ours(3000, 3001), ours(2020, 3001));
    let error = judged(&old.pem(), &of(&old), "bob.example").unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error}");
    let error = judged(&early.pem(), &of(&early), "bob.example").unwrap_err();
    let not_yet = matches!(error, Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }));
    assert!(not_yet, "{error}");
    let all = format!("{}{}{}", old.pem(), early.pem(), good.pem());
    assert_eq!(judged(&all, &of(&good), "bob.example"), Ok(()), "the others take nothing away");
    assert!(judged(&all, &of(&old), "bob.example").is_err());
}

#[test]
fn where_nobody_is_trusted_nobody_is_taken() {
    let (listed, provider) = (Vec::new(), Arc::new(ring::default_provider()));
    let verifier = FriendVerifier { listed, authorities: Vec::new(), public: None, provider };
    let (shown, name) = (by_itself(&asked("bob.example")), ServerName::try_from("bob.example").unwrap());
    let error = verifier.verify_server_cert(shown.der(), &[], &name, &[], UnixTime::now()).unwrap_err();
    assert_eq!(error, Error::InvalidCertificate(CertificateError::UnknownIssuer));
}

#[test]
fn name_and_dates_are_checked_whoever_vouches() {
    let shown = by_itself(&asked("bob.example"));
    let error = judged(&shown.pem(), &shown, "carol.example").unwrap_err().to_string();
    assert!(error.contains("not valid for name \"carol.example\""), "{error}");
    let mut old = asked("bob.example");
    (old.not_before, old.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let old = by_itself(&old);
    let error = judged(&old.pem(), &old, "bob.example").unwrap_err();
    assert!(matches!(error, Error::InvalidCertificate(CertificateError::ExpiredContext { .. })), "{error}");
    let mut early = asked("bob.example");
    (early.not_before, early.not_after) = (date_time_ymd(3000, 1, 1), date_time_ymd(3001, 1, 1));
    let early = by_itself(&early);
    let error = judged(&early.pem(), &early, "bob.example").unwrap_err();
    let expected = matches!(error, Error::InvalidCertificate(CertificateError::NotValidYetContext { .. }));
    assert!(expected, "{error}");
}

#[test]
fn a_file_that_cannot_be_used_is_refused_with_the_reason() {
    let flaw = |text: &str| Trust::of_text(text).unwrap_err().to_string();
    assert_eq!(flaw("hello"), "the text holds no certificate");
    let none = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let good = by_itself(&asked("bob.example")).pem();
    assert_eq!(flaw(&format!("{good}{none}")), "certificate 2 in the text cannot be read");
    let missing = Trust::read(Path::new("/nowhere/bob.pem")).unwrap_err();
    assert!(missing.to_string().contains("/nowhere/bob.pem cannot be read"), "{missing}");
    assert_eq!(Trust::of_text(&good).unwrap().certificates().count(), 1);
    let long = Duration::from_secs(86_400);
    let now = std::time::SystemTime::now();
    let standing = Trust::of_text(&good).unwrap().certificates().next().unwrap().standing(now);
    assert!(matches!(standing, Standing::Holds(left) if left > long));
}
