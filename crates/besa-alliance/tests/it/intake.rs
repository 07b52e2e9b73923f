//! Poison, as a table: what comes, and by which check it is held.

use besa_alliance::intake::{Arrivals, Assets, Check, Decision, Intake, Limits, Verdict, Word, fingerprint};
use besa_stix::time::Instant;
use serde_json::{Value, json};

const ASSETS: &str = r#"{"networks": ["91.198.10.0/24"], "domains": ["e-albania.al"],
    "email_domains": ["mail.gov.al"], "hosts": ["dc01.tirana.gov.al"], "public_suffixes": ["com.al"]}"#;

fn object(pattern: &str, language: &str, until: Option<&str>) -> Value {
    let mut object = json!({"type": "indicator", "spec_version": "2.1",
        "id": "indicator--595f18a0-ee16-426b-9da9-c31e3f5d7c4a", "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z", "pattern": pattern, "pattern_type": language,
        "valid_from": "2026-01-01T00:00:00Z"});
    if let Some(until) = until {
        object["valid_until"] = until.into();
    }
    object
}

fn verdict(object: &Value, decisions: &[Decision], arrivals: Arrivals) -> Verdict {
    let assets = Assets::read(ASSETS.as_bytes()).unwrap();
    let checker = |language: &str, text: &str| {
        (language == "sigma").then(|| if text == "bad" { vec!["no rule".to_owned()] } else { Vec::new() })
    };
    let now = Instant::parse("2026-06-01T00:00:00Z").unwrap();
    let intake =
        Intake { assets: &assets, limits: Limits::default(), now, checker: Some(&checker), decisions };
    intake.check(&object.to_string(), arrivals)
}

fn checks(verdict: &Verdict) -> Vec<Check> {
    match verdict {
        Verdict::Accept => Vec::new(),
        Verdict::Quarantine(reasons) | Verdict::Refuse(reasons) => {
            reasons.iter().map(|reason| reason.check).collect()
        }
    }
}

#[test]
fn patterns() {
    let many = vec!["[file:size = 1]"; 20].join(" AND ");
    for (pattern, expected) in [
        ("[ipv4-addr:value = '45.77.1.2']", vec![]),
        ("[ipv4-addr:value = '8.8.8.8']", vec![Check::AllowList]),
        ("[ipv4-addr:value = '91.198.10.7']", vec![Check::OwnAsset]),
        ("[ipv4-addr:value ISSUBSET '45.0.0.0/8']", vec![Check::Unspecific]),
        ("[ipv4-addr:value ISSUBSET '91.0.0.0/8']", vec![Check::Unspecific, Check::OwnAsset]),
        ("[ipv4-addr:value = '10.1.2.3']", vec![Check::ReservedNetwork]),
        ("[ipv6-addr:value = '::ffff:8.8.8.8']", vec![Check::AllowList]),
        ("[network-traffic:dst_ref.value = '8.8.8.8']", vec![Check::AllowList]),
        ("[network-traffic:dst_ref.value = 'e-albania.al']", vec![Check::OwnAsset]),
        ("[process:image_ref.name = 'cmd.exe']", vec![Check::Unspecific]),
        ("[email-message:from_ref.value = 'a@mail.gov.al']", vec![Check::OwnAsset]),
        ("[domain-name:value = 'evil.example']", vec![]),
        ("[domain-name:value = 'E-Albania.al.']", vec![Check::OwnAsset]),
        ("[domain-name:value = 'www.e-albania.al']", vec![Check::OwnAsset]),
        ("[domain-name:value = 'gov.al']", vec![Check::OwnAsset]),
        ("[domain-name:value = 'note-albania.al']", vec![]),
        ("[domain-name:value = 'com.al']", vec![Check::Unspecific]),
        ("[domain-name:value = 'com']", vec![Check::AllowList]),
        ("[domain-name:value = 'www.google.com']", vec![Check::AllowList]),
        ("[domain-name:value = 'a1b2.appspot.google.com']", vec![]),
        ("[domain-name:value LIKE '%.e-albania.al']", vec![Check::OwnAsset]),
        ("[domain-name:value LIKE '%']", vec![Check::Unspecific]),
        ("[domain-name:value != 'evil.example']", vec![Check::Unspecific]),
        ("[url:value = 'https://google.com/']", vec![Check::AllowList]),
        ("[url:value = 'https://google.com/url?q=evil']", vec![]),
        ("[url:value = 'http://u@91.198.10.9:81/x']", vec![Check::OwnAsset]),
        ("[email-addr:value = 'boss@mail.gov.al']", vec![Check::OwnAsset]),
        ("[file:name = 'cl.exe']", vec![Check::Unspecific]),
        ("[file:name = 'GoXml.exe']", vec![]),
        ("[file:hashes.MD5 = 'd41d8cd98f00b204e9800998ecf8427e']", vec![Check::AllowList]),
        ("[file:name MATCHES '.*']", vec![Check::Unspecific]),
        ("[file:size = 1] REPEATS 100000 TIMES", vec![Check::Costly]),
        (many.as_str(), vec![Check::Costly]),
    ] {
        let found = verdict(&object(pattern, "stix", None), &[], Arrivals::default());
        assert_eq!(checks(&found), expected, "{pattern}: {found:?}");
        assert!(!matches!(found, Verdict::Refuse(_)), "{pattern}");
    }
}

#[test]
fn exercises_play_in_networks_that_are_set_aside() {
    let object = object("[ipv4-addr:value = '203.0.113.7']", "stix", None).to_string();
    let check = |assets: &str| {
        let assets = Assets::read(assets.as_bytes()).unwrap();
        let now = Instant::parse("2026-06-01T00:00:00Z").unwrap();
        let intake =
            Intake { assets: &assets, limits: Limits::default(), now, checker: None, decisions: &[] };
        checks(&intake.check(&object, Arrivals::default()))
    };
    assert_eq!(check("{}"), [Check::ReservedNetwork]);
    assert_eq!(check(r#"{"exercise_networks": ["203.0.113.0/24"]}"#), []);
    assert_eq!(check(r#"{"exercise_networks": ["203.0.113.8/32"]}"#), [Check::ReservedNetwork]);
}

#[test]
fn other_languages_validity_and_floods() {
    let few = Arrivals::default();
    let flood = Arrivals { in_release: 100_001, ..few };
    let window = Arrivals { in_window: 500_001, ..few };
    let good = "[domain-name:value = 'evil.example']";
    for (object, arrivals, expected) in [
        (object("good", "sigma", None), few, vec![]),
        (object("bad", "sigma", None), few, vec![Check::NotJudged]),
        (object("rule x {}", "yara", None), few, vec![Check::NotJudged]),
        (object(good, "stix", Some("2026-05-01T00:00:00Z")), few, vec![Check::Validity]),
        (object(good, "stix", Some("2099-05-01T00:00:00Z")), few, vec![Check::Validity]),
        (object(good, "stix", Some("2027-05-01T00:00:00Z")), few, vec![]),
        (object(good, "stix", None), flood, vec![Check::Flood]),
        (object(good, "stix", None), window, vec![Check::Flood]),
        (object("[", "stix", None), few, vec![Check::Invalid]),
    ] {
        assert_eq!(checks(&verdict(&object, &[], arrivals)), expected, "{object}");
    }
    let address = json!({"type": "ipv4-addr", "id": "ipv4-addr--595f18a0-ee16-426b-9da9-c31e3f5d7c4a",
        "value": "8.8.8.8"});
    assert_eq!(checks(&verdict(&address, &[], few)), [Check::AllowList]);
}

#[test]
fn an_analysts_word_stands() {
    let poison = object("[ipv4-addr:value = '8.8.8.8']", "stix", None);
    let decision = |word, object: &Value| Decision {
        object: object["id"].as_str().unwrap().to_owned(),
        sha256: fingerprint(object).unwrap(),
        word,
        analyst: "ana".to_owned(),
        at: "2026-05-01T00:00:00.000Z".to_owned(),
        why: "seen".to_owned(),
    };
    let few = Arrivals::default();
    let release = decision(Word::Release, &poison);
    assert_eq!(verdict(&poison, std::slice::from_ref(&release), few), Verdict::Accept);
    // The word was about that text: a new version is looked at again.
    let mut other = poison.clone();
    other["pattern"] = "[ipv4-addr:value = '8.8.4.4']".into();
    assert_eq!(checks(&verdict(&other, std::slice::from_ref(&release), few)), [Check::AllowList]);
    let found = verdict(&other, &[decision(Word::Deny, &poison), release], few);
    assert!(matches!(found, Verdict::Refuse(_)), "{found:?}");
}
