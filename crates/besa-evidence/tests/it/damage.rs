//! Paths, folders and lines that resist.

use std::fs;
use std::ops::ControlFlow;

use besa_evidence::{Item, Limits, walk};
use expect_test::expect;

use crate::containers::{gz, tar, zip};
use crate::support::{summary, summary_with};

#[test]
fn a_line_over_the_limit_is_one_defect() {
    let limits = Limits { record_len_bytes_max: 100, block_len_bytes: 50, ..Limits::default() };
    let input = format!("first\n{}\nthird\n{}", "x".repeat(5_000), "y".repeat(300));
    expect![[r#"
        1 // [-] host=
        3 // [-] host=
        ! t at offset 6: a record of 5001 bytes is over the limit of 100 bytes and was skipped
        ! t at offset 5013: a record of 300 bytes is over the limit of 100 bytes and was skipped
        = t text 5313
    "#]]
    .assert_eq(&summary_with(limits, input.as_bytes()));
}

#[test]
fn folders_are_walked_in_order_and_gaps_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("b/c")).unwrap();
    fs::write(root.join("b/c/2.json"), "{\"a\":2}\n").unwrap();
    fs::write(root.join("b/1.json"), "{\"a\":1}\n").unwrap();
    fs::write(root.join("z.json"), "{\"a\":3}\n").unwrap();
    fs::write(root.join("a.zip"), zip(&[("m.json", b"{\"a\":0}\n")])).unwrap();
    let mut seen = Vec::new();
    let paths = [root.to_path_buf(), root.join("missing")];
    #[cfg(unix)]
    std::os::unix::fs::symlink(root, root.join("b/loop")).unwrap();
    // Root reads every folder, so the gap shows only when the tests run as someone else.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(root.join("closed")).unwrap();
        fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let mut input_bytes = 0;
    let flow = walk(&paths, &Limits::default(), &mut Vec::new, &mut |item| {
        match item {
            Item::Block(block) => {
                seen.push(format!("{} {} {}", block.sequence, block.origin, block.format));
            }
            Item::Defect(defect) => seen.push(defect.to_string()),
            Item::Progress { input_bytes: bytes } => input_bytes = bytes,
            Item::Done(_) => {}
        }
        ControlFlow::Continue(())
    });
    assert!(flow.is_continue());
    let root = root.display().to_string();
    let is_root = fs::read_dir(folder.path().join("closed")).is_ok();
    let closed = "R/closed: folder cannot be read: Permission denied (os error 13)";
    let seen: Vec<String> = seen.iter().map(|line| line.replace(&root, "R")).collect();
    assert_eq!(seen.iter().any(|line| line == closed), !is_root, "{seen:?}");
    let seen: Vec<String> = seen.into_iter().filter(|line| line != closed).collect();
    expect![[r#"
        0 R/a.zip!m.json json
        R/b/loop: no regular file, or a link to a folder: not read
        1 R/b/1.json json
        2 R/b/c/2.json json
        3 R/z.json json
        R/missing: cannot be opened: No such file or directory (os error 2)
    "#]]
    .assert_eq(&(seen.join("\n") + "\n"));
    let on_disk: u64 = ["b/c/2.json", "b/1.json", "z.json"].len() as u64 * 8;
    assert!(input_bytes > on_disk, "{input_bytes}");

    let flow = walk(&paths, &Limits::default(), &mut Vec::new, &mut |_| ControlFlow::Break(()));
    assert!(flow.is_break());
}

/// Any damage to anything: no panic, and sound input before it still gives its events.
#[test]
fn mutations_never_panic() {
    let text =
        b"{\"Records\":[{\"eventName\":\"x\",\"a\":{\"b\":[1,{\"c\":null}]}},{\"a\":\"y\"}]}".as_slice();
    let seeds: Vec<Vec<u8>> = vec![
        text.to_vec(),
        gz("n", text),
        zip(&[("a.json", text), ("b.gz", &gz("", text))]),
        tar(&[(b'0', "a.json", text), (b'L', "l", b"x"), (b'0', "b", text)]),
        text.iter().flat_map(|byte| [*byte, 0]).collect(),
        b"#separator \\x09\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring\n1.5\tC1\n#fields\tuid\nC2\n"
            .to_vec(),
        b"a,b\n1,\"x\ny\"\n2,z\n".to_vec(),
    ];
    let mut state = 1_u64;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % bound.max(1)
    };
    for round in 0..3_000 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=below(3) {
            let at = below(bytes.len());
            match below(3) {
                0 => bytes.truncate(at.max(1)),
                1 => bytes[at] = u8::try_from(below(256)).unwrap(),
                _ => bytes[at] ^= 1 << below(8),
            }
        }
        let _ = besa_evidence::decode_any(&bytes);
    }
    assert_eq!(besa_evidence::decode_any(text), 2);
}

#[test]
fn every_text_format_is_recognised() {
    let check = |input: &str, format: &str| {
        let text = summary(input.as_bytes());
        assert!(text.ends_with(&format!("= t {format} {}\n", input.len())), "{format}: {text}");
    };
    check("type=SYSCALL msg=audit(1604994496.155:92733): arch=c000003e syscall=59\n", "auditd");
    check("#separator \\x09\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring\n1.5\tC1\n", "zeek");
    check(
        "#Software: Microsoft Internet Information Services 10.0\n#Fields: date time cs-method\n2022-07-15 10:11:12 GET\n",
        "iis",
    );
    check("CEF:0|V|P|1|100|n|5|src=1.2.3.4\n", "cef");
    check("LEEF:1.0|V|P|1|100|src=1.2.3.4\n", "leef");
    check("<34>1 2022-07-15T10:11:12Z h app 1 - - text\n", "syslog");
    check("Jul 15 10:11:12 h sshd[1]: text\n", "syslog");
    check("1.2.3.4 - - [15/Jul/2022:10:11:12 +0000] \"GET / HTTP/1.1\" 200 5\n", "weblog");
    check("time,user,action\n1,a,b\n2,c,d\n", "csv");
    check("nothing of the kind\n", "text");
}

#[test]
fn headers_within_a_stream_change_what_follows() {
    let head = "#separator \\x09\n#path\tconn\n#fields\tts\tuid\n#types\ttime\tstring\n";
    let zeek = format!(
        "{head}1588316619.5\tC1\n#close\tx\n{}1588316620.5\tq\n",
        head.replace("uid", "query").replace("conn", "dns")
    );
    let whole = summary(zeek.as_bytes());
    expect![[r#"
        5 zeek/conn/firewall,network_connection [2020-05-01T07:03:39.500Z stated] host= ts=#1588316619.5 uid=C1
        11 zeek/dns/dns [2020-05-01T07:03:40.500Z stated] host= ts=#1588316620.5 query=q
        = t zeek 163
    "#]].assert_eq(&whole);
    let limits = Limits { block_len_bytes: 1, ..Limits::default() };
    assert_eq!(summary_with(limits, zeek.as_bytes()), whole);
}
