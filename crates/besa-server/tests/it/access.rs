//! Passwords, tokens, certificates, TLS, limits, health.

use std::time::Duration;

use besa_intel::Time;
use besa_intel::account::{Scope, fresh_token};
use besa_server::{Limits, Options, ServeError, now, tls};

use crate::support::{Node, TAXII, basic, campaign, envelope, wait_until};

const OBJECTS: &str = "/api/collections/feed/objects/";

#[test]
fn tokens_have_scope_and_end() {
    let node = Node::start();
    let soon = Time::from_unix(now().unix_seconds() + 3_600, 0);
    let past = Time::from_unix(1, 0);
    let inbox = Some(node.inbox.key);
    let body = envelope(&[campaign(1, "2021-01-01T00:00:00.000Z")]);
    for (scope, only, expires, get, post) in [
        (Scope::ReadWrite, None, Some(soon), 200, 202),
        (Scope::Read, None, None, 200, 403),
        (Scope::Write, None, None, 403, 202),
        (Scope::ReadWrite, inbox, None, 404, 404),
        (Scope::ReadWrite, None, Some(past), 401, 401),
    ] {
        let token = fresh_token().unwrap();
        node.store.add_token(&token.record("writer", "test", scope, only, expires, now())).unwrap();
        let bearer = format!("Bearer {}", token.text);
        let headers = [("authorization", bearer.as_str()), ("content-type", TAXII)];
        assert_eq!(node.send("GET", "", OBJECTS, &headers, None).status, get, "{scope:?}");
        assert_eq!(node.send("POST", "", OBJECTS, &headers, Some(&body)).status, post, "{scope:?}");
        node.store.remove_token(&token.id).unwrap();
        assert_eq!(node.send("GET", "", OBJECTS, &headers, None).status, 401);
    }
    for bad in ["Bearer x", "Bearer besa_0_0", "Basic !!!", "Basic", "Digest x", ""] {
        assert_eq!(node.send("GET", "", OBJECTS, &[("authorization", bad)], None).status, 401, "{bad}");
    }
}

#[test]
fn a_changed_account_counts_at_once() {
    let node = Node::start();
    assert_eq!(node.get("writer", OBJECTS).status, 200);
    let mut user =
        node.store.directory().unwrap().users.into_iter().find(|user| user.name == "writer").unwrap();
    user.disabled = true;
    node.store.update_user(&user).unwrap();
    assert_eq!(node.get("writer", OBJECTS).status, 401);
    user.disabled = false;
    user.password = Some(besa_intel::account::hash_password("another password").unwrap());
    node.store.update_user(&user).unwrap();
    assert_eq!(node.get("writer", OBJECTS).status, 401);
}

/// Failing in someone's name locks out neither the cached user nor anyone with a token.
#[test]
fn failures_lock_no_one_out() {
    let limits = Limits { failures_per_minute: 10, ..Limits::default() };
    let node = Node::start_with(Options { limits, ..Options::loopback(0) });
    assert_eq!(node.get("writer", OBJECTS).status, 200);
    let wrong = basic("writer", "wrong password");
    let statuses: Vec<u16> =
        (0..5).map(|_| node.send("GET", "", OBJECTS, &[("authorization", &wrong)], None).status).collect();
    assert_eq!(statuses, [401, 401, 429, 429, 429]);
    assert_eq!(node.get("writer", OBJECTS).status, 200);
    assert_eq!(node.get("reader", OBJECTS).status, 200, "another name from the same address");
}

#[test]
fn tls_and_client_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let identity = tls::Identity::own(&folder.path().join("tls"), &["localhost".to_owned()]).unwrap();
    let again = tls::Identity::own(&folder.path().join("tls"), &[]).unwrap();
    assert_eq!(identity.certificates, again.certificates, "made once");
    // An authority that signs a client's certificate.
    let mut params = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let client = rcgen::CertificateParams::new(vec!["peer".to_owned()])
        .unwrap()
        .signed_by(&client_key, &issuer)
        .unwrap();
    let options = Options {
        tls: Some(identity.clone()),
        client_authorities: Some(authority.pem().into_bytes()),
        ..Options::loopback(0)
    };
    let node = Node::start_with(options);
    let mut user =
        node.store.directory().unwrap().users.into_iter().find(|user| user.name == "writer").unwrap();
    user.certificate = Some(tls::fingerprint(client.pem().as_bytes()).unwrap());
    node.store.update_user(&user).unwrap();
    let status = |with_certificate: bool, user: &str| {
        use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
        let trusted = Certificate::from_pem(&identity.certificates).unwrap();
        let shown = with_certificate.then(|| {
            let chain = [Certificate::from_pem(client.pem().as_bytes()).unwrap()];
            ClientCert::new_with_certs(
                &chain,
                PrivateKey::from_pem(client_key.serialize_pem().as_bytes()).unwrap(),
            )
        });
        let tls =
            TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[trusted])).client_cert(shown).build();
        let agent: ureq::Agent =
            ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into();
        let url = format!("https://localhost:{}/taxii2/", node.running.address().port());
        let mut request = agent.get(url).header("accept", TAXII);
        if !user.is_empty() {
            request = request.header("authorization", basic(user, crate::support::PASSWORD));
        }
        request.call().unwrap().status().as_u16()
    };
    assert_eq!(status(false, "writer"), 200);
    assert_eq!(status(false, ""), 401);
    assert_eq!(status(true, ""), 200);
}

/// A renewed certificate is used without a restart; one that is no pair with its key is not.
#[test]
fn certificates_are_renewed_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    let identity = tls::Identity::own(folder.path(), &["localhost".to_owned()]).unwrap();
    let options = Options {
        tls: Some(identity.clone()),
        certificate_check: Duration::from_millis(50),
        ..Options::loopback(0)
    };
    let node = Node::start_with(options);
    let trusted_by = |pem: &[u8]| {
        use ureq::tls::{Certificate, RootCerts, TlsConfig};
        let root = Certificate::from_pem(pem).unwrap();
        let tls = TlsConfig::builder().root_certs(RootCerts::new_with_certs(&[root])).build();
        let agent: ureq::Agent = ureq::Agent::config_builder().tls_config(tls).build().into();
        agent.get(format!("https://localhost:{}/health", node.running.address().port())).call().is_ok()
    };
    assert!(trusted_by(&identity.certificates));
    let renewed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    // Half of a renewal: the old pair stays.
    std::fs::write(&certificate, renewed.cert.pem()).unwrap();
    // Long enough to be looked at on most machines; on others the test asks less.
    std::thread::sleep(Duration::from_millis(200));
    assert!(trusted_by(&identity.certificates));
    std::fs::write(&key, renewed.signing_key.serialize_pem()).unwrap();
    wait_until("the new certificate is shown", || trusted_by(renewed.cert.pem().as_bytes()));
    assert!(!trusted_by(&identity.certificates));
}

#[test]
fn plain_http_beyond_this_machine_must_be_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(besa_intel::open_sqlite(&folder.path().join("x")).unwrap());
    let open = Options { listen: "0.0.0.0:0".parse().unwrap(), ..Options::loopback(0) };
    assert!(matches!(besa_server::start(store, open), Err(ServeError::Plain(_))));
}

#[test]
fn health_metrics_and_an_orderly_end() {
    let node = Node::start();
    assert_eq!((node.get("", "/health").status, node.get("", "/ready").status), (200, 200));
    node.get("writer", OBJECTS);
    let metrics = node.get("", "/metrics");
    assert!(metrics.body.contains("besa_http_responses_total{class=\"2xx\"} 1"), "{}", metrics.body);
    assert!(metrics.body.contains("besa_logins_checked_total 1"));
    let address = node.running.address();
    // It comes back at all; how soon is the machine's.
    node.running.stop();
    assert!(std::net::TcpStream::connect(address).is_err());
}
