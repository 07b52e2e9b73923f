//! Test vectors of the format, and its second implementation in Python that reads them.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use besa_alliance::signed::extension_objects;
use besa_stix::validate::{is_valid, validate};
use serde_json::{Value, json};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn bundle() -> Value {
    let directory = directory();
    let mut objects: Vec<Value> = extension_objects().into();
    objects.push(directory.charter().json());
    let mut author = Author::new(1);
    let texts = [object(1, 1, "caf\u{e9} \u{1f600}"), object(1, 2, "1"), object(77, 3, "a vendor's")];
    for part in [&texts[..2], &texts[2..]] {
        let content = release(&part.iter().map(String::as_str).collect::<Vec<_>>());
        objects.push(author.write(&directory, content).json());
    }
    objects.extend(texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()));
    json!({ "type": "bundle", "id": "bundle--00000000-0000-4000-8000-000000000000", "objects": objects })
}

#[test]
fn vectors_are_those_checked_in_and_good_stix() {
    let bundle = bundle();
    let text = serde_json::to_string_pretty(&bundle).unwrap() + "\n";
    let path = docs().join("release-vectors.json");
    if std::env::var_os("BESA_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "BESA_BLESS=1 writes them anew");
    let problems = validate(&bundle);
    assert!(is_valid(&problems), "{problems:#?}");
    for kind in ["besa-charter", "besa-release"] {
        assert!(!problems.iter().any(|problem| problem.object.starts_with(kind)), "{problems:#?}");
    }
}

/// A Python with the libraries that the verifier needs; none where they cannot be had.
fn python(folder: &Path) -> Option<PathBuf> {
    let ran = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    if !ran(Command::new("python3").args(["-m", "venv"]).arg(folder)) {
        return None;
    }
    let python = folder.join("bin/python3");
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--retries",
        "0",
        "--timeout",
        "15",
        "cryptography",
        "rfc8785",
        "stix2",
    ];
    ran(Command::new(&python).args(pip)).then_some(python)
}

#[test]
fn python_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let Some(python) = python(&folder.path().join("venv")) else {
        eprintln!("skipped: no Python with cryptography, rfc8785 and stix2");
        return;
    };
    let run = |bundle: &str| {
        let file = folder.path().join("bundle.json");
        std::fs::write(&file, bundle).unwrap();
        let output = Command::new(&python).arg(docs().join("verify_release.py")).arg(&file).output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let good = bundle().to_string();
    let (taken, said) = run(&good);
    assert!(taken && said.lines().count() == 3, "{said}");
    for (from, to) in [
        ("\"content\":\"1\"", "\"content\":\"2\""),
        ("\"sequence\":2", "\"sequence\":3"),
        ("\"charter_signatures\":3", "\"charter_signatures\":4"),
        ("\"content\":\"1\"", "\"content\":\"1\",\"content\":\"1\""),
        ("\"ed25519\":\"", "\"ed25519\":\"00"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(!run(&bad).0, "{to}");
    }
    // OASIS' own library reads every object strictly. Its class of bundles takes objects of an
    // extension only when they are registered, so they are read as from a TAXII envelope.
    let parse = "import stix2, sys, json\nfor one in json.load(open(sys.argv[1]))['objects']: stix2.parse(one, allow_custom=False)";
    std::fs::write(folder.path().join("bundle.json"), &good).unwrap();
    let output =
        Command::new(&python).args(["-c", parse]).arg(folder.path().join("bundle.json")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
