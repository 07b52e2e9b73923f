//! Any text as each thing that a member may send or a key file; what is read says itself again.
#![no_main]

use besa_alliance::charter::{Charter, KeyStatement};
use besa_alliance::entry::{Entry, released_object};
use besa_alliance::exact::object_digest;
use besa_alliance::keys::{SecretKey, public_key_of_file};
use besa_alliance::proof::Proof;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = object_digest(text) {
        assert_eq!(object_digest(&format!(" {text}\n")).unwrap(), digest);
    }
    if let Ok(entry) = Entry::parse(text) {
        assert_eq!(Entry::parse(&entry.text()).unwrap().digest, entry.digest);
    }
    if let Ok(charter) = Charter::parse(text) {
        assert_eq!(Charter::parse(&charter.text()).unwrap().digest, charter.digest);
    }
    let _ = (Charter::parse_draft(text), KeyStatement::parse_draft(text));
    let _ = (KeyStatement::parse(text), Proof::parse(text), released_object(text));
    let _ = (public_key_of_file(text), SecretKey::from_node_file(text));
});
