//! Examples at the end of help texts. Each of them is a command that works.

pub(super) const TOP_SHORT: &str = "Start with `besa demo`. `besa help <command>` teaches each command.";

pub(super) const TOP: &str = "\
Start here:
  besa demo                              replay a real attack and find it
  besa hunt evidence/                    hunt with the built-in rules
  besa hunt -r sigma/rules evidence/     hunt with your rules
  besa hunt -i iocs.txt -i bundle.json evidence/

As a node:
  besa intel import bundle.json          keep intelligence
  besa serve                             serve it over TAXII 2.1
  besa taxii pull URL                    take in what another server has

Exit codes of a hunt: 0 nothing found, 1 findings, 2 error, 130 stopped before anything was found.";

pub(super) const HUNT_SHORT: &str = "`besa hunt --help` has examples.";

pub(super) const HUNT: &str = "\
Examples:
  besa hunt evidence.zip
      The built-in rules over everything in an archive.

  besa hunt --rules sigma/rules --level high C/Windows/System32/winevt/Logs
      SigmaHQ's rules over a folder of event logs, findings of level high and critical.

  besa hunt --rules rules/ --intel feed.json --format html --out report.html case-17/
      A report to send on.

  ssh gate 'zcat /var/log/conn.log.gz' | besa hunt --intel iocs.txt --format jsonl -
      Evidence from standard input, one JSON object a finding on standard output.

  besa hunt --from 2022-07-01 --to 2022-07-16 --account account.json evidence/
      A window of time; the account of the run for a program.

JSON lines, stable fields: rule_id, title, author, level, kind (sigma, stix, indicator,
correlation), tags, techniques, time (null if the record has none), time_precision, time_zone
(stated, assumed, assumed-year), source {path, record}, logsource {product, service, category},
host, matched {field: value, or a list of values}; related and intel_ref where there are any.

Ctrl-C stops reading, gives what was found and says that it is partial; a second Ctrl-C quits.
Exit codes: 0 nothing found, 1 findings, 2 error, 130 stopped before anything was found.";

pub(super) const ARCHIVE_ADD: &str = "\
Examples:
  besa archive add evidence/ --archive history
  zcat conn.log.gz | besa archive add - --archive history --json
  besa archive add evidence/ --archive history --rules sigma/rules --intel iocs.txt --format jsonl --out findings.jsonl";

pub(super) const ARCHIVE_EXPORT: &str = "\
Examples:
  besa archive export --archive history --from 2022-07-15 --to 2022-07-16 | jq .fields.Image
  besa archive export --archive history --source windows/sysmon --field Image --field CommandLine --format csv --out processes.csv";

pub(super) const ARCHIVE_HUNT: &str = "\
Examples:
  besa archive hunt --archive history --intel new-iocs.txt --intel-only
  besa archive hunt --archive history --rules sigma/rules --from 2022-05-01 --to 2022-08-01 --format jsonl";

pub(super) const EXPLAIN: &str = "\
Examples:
  besa explain --rule rules/whoami.yml --record evidence/Security.evtx:4711
  besa explain --rule 4d5de4d3-537a-43ad-99d1-10b88c564cb2 --record 'case.zip!web/u_ex.log:12'";

pub(super) const BENCH: &str = "\
Example:
  besa bench --rules sigma/rules C/Windows/System32/winevt/Logs

Decode and match are processor time of the threads that do it, so other work on the machine
disturbs them little; hunts are timed by the clock, from the first read to the last finding in order.
Each figure is the best of its runs. Bytes are those after decompression; the plain read reads the
files as they lie. The digest is that of `besa hunt --format jsonl` over the same evidence.
Exit codes: 0 measured, 2 error.";

pub(super) const RULES_CHECK: &str = "\
Examples:
  besa rules check sigma/rules
  besa rules check --placeholder 'Administrators_Domain=Domain Admins' sigma/rules-placeholder
  besa rules check --json rules/ | jq '.refused[].reason'";

pub(super) const RULES_TEST: &str = "\
Example:
  echo '{\"Image\": \"C:\\\\Windows\\\\System32\\\\whoami.exe\"}' | besa rules test whoami.yml -";

pub(super) const PATTERN_CHECK: &str = "\
Example:
  besa pattern check \"[ipv4-addr:value ISSUBSET '198.51.100.0/24']\"";

pub(super) const PATTERN_MATCH: &str = "\
Example:
  besa pattern match \"[domain-name:value = 'example.com'] REPEATS 5 TIMES WITHIN 60 SECONDS\" observed.json";

pub(super) const SERVE: &str = "\
Examples:
  besa collection add --title Feed --alias feed
  besa user add ana --role contributor --password-stdin < password
  besa collection access feed ana=rw
  besa serve
      A node for this machine at http://127.0.0.1:6443/taxii2/.

  besa serve --data /var/lib/besa --listen [::]:6443 --tls-certificate chain.pem --tls-key key.pem
      A node for others.";

pub(super) const USER_ADD: &str = "\
Examples:
  besa user add ana --role contributor --password-stdin < password
  besa user add feed-reader --role reader --certificate reader.pem";

pub(super) const TOKEN_ADD: &str = "\
Example:
  besa token add ana --label siem --scope ro --days 30";

pub(super) const COLLECTION_ADD: &str = "\
Example:
  besa collection add --title Feed --alias feed --access ana=rw --access bob=ro";

pub(super) const INTEL_IMPORT: &str = "\
Examples:
  besa intel import bundle.json --collection feed
  curl -s https://feed.example/bundle.json | besa intel import -";

pub(super) const INTEL_SEARCH: &str = "\
Examples:
  besa intel search 'webshell sharepoint'
  besa intel search --value 'hxxp://evil[.]example/a'
  besa intel search --type indicator --limit 10";

pub(super) const ALLIANCE_JOIN: &str = "\
Example:
  besa alliance join charter-0.json --pin 'abcd efgh …' --node-key node.key \\
      --as identity--00000000-0000-4000-8000-000000000000 --data /var/lib/besa";

pub(super) const FOLLOW: &str = "\
Examples:
  besa follow /var/log/suricata/eve.json /var/log/zeek/ --allies /var/lib/besa
  besa follow --json -r sigma/rules/web /var/log/nginx/ >> findings.jsonl";

pub(super) const ALLIANCE_PEER: &str = "\
Example:
  besa alliance peer identity--00000000-0000-4000-8000-000000000001 --token-stdin < token \\
      --url https://csirt-b.example:6443/api/ --ca csirt-b.pem";

pub(super) const ALLIANCE_RELEASE: &str = "\
Example:
  besa alliance release indicator--00000000-0000-4000-8000-000000000000 --wait 10";

pub(super) const RELEASE_EXPLAIN: &str = "\
Examples:
  besa release explain indicator--00000000-0000-4000-8000-000000000000 --data /var/lib/besa \\
      --to identity--00000000-0000-4000-8000-000000000001
  besa release explain report.json --charter charter-*.json --to public \\
      --as identity--00000000-0000-4000-8000-000000000000";

pub(super) const INTAKE_CHECK: &str = "\
Example:
  besa intake check from-ally.json --assets assets.json";

pub(super) const AUTHORITY_KEYGEN: &str = "\
Example:
  besa authority keygen --out authority.key --passphrase-stdin < passphrase";

pub(super) const AUTHORITY_NODE_KEYGEN: &str = "\
Example:
  besa authority node-keygen --out node.key";

pub(super) const AUTHORITY_SHOW: &str = "\
Examples:
  besa authority show authority.key
  besa authority show --json node.key | jq -r .public_key";

pub(super) const AUTHORITY_STATEMENT: &str = "\
Example:
  besa authority statement keys.json --charter charter-0.json --out statement.json
      With keys.json: {\"identity_ref\": \"identity--3c10e93f-798e-5a26-a0c1-08156efab7f5\",
      \"certified\": [{\"node_key\": \"9d61…\", \"valid_from\": \"2027-01-01\", \"valid_until\": \"2028-01-01\"}]}";

pub(super) const AUTHORITY_SIGN: &str = "\
Example:
  besa authority sign charter-0.json --key authority.key --passphrase-stdin \\
      --out charter-0.signed.json < passphrase";

pub(super) const CHARTER_NEW: &str = "\
Example:
  besa charter new alliance.json --out charter-0.json";

pub(super) const CHARTER_AMEND: &str = "\
Example:
  echo '{\"quorum\": {\"witness_signatures\": 2}}' | besa charter amend - --charter charter-0.json --out charter-1.json";

pub(super) const CHARTER_MERGE: &str = "\
Example:
  besa charter merge from-a.json from-b.json from-c.json --out charter-0.json";

pub(super) const CHARTER_SHOW: &str = "\
Examples:
  besa charter show charter-0.json
  besa charter show --json charter-0.json | jq -r '.members[] | select(.signed | not) | .name'";

pub(super) const CHARTER_VERIFY: &str = "\
Examples:
  besa charter verify charter-*.json statement-*.json
  besa charter verify charter-0.json --pin '7K3M 9QX2 B0ZD 41RT W8NC 6YHE 5VJA 2SFG'";

pub(super) const CHARTER_CHECK_RELEASE: &str = "\
Example:
  besa charter check-release release.json objects.json --charter charter-0.json charter-1.json";

pub(super) const TAXII_PULL: &str = "\
Example:
  besa taxii pull https://node.example/api/collections/feed/ --user ana --password-stdin < password";

pub(super) const COMPLETIONS: &str = "\
Examples:
  besa completions bash > ~/.local/share/bash-completion/completions/besa
  besa completions zsh  > ~/.zfunc/_besa
  besa completions fish > ~/.config/fish/completions/besa.fish";

pub(super) const MAN: &str = "\
Examples:
  besa man | man -l -
  besa man --dir /usr/local/share/man/man1";
