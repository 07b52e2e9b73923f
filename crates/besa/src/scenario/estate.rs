//! The three members: their networks, hosts and people. All of it is invented; names end in
//! `.example` (RFC 2606), addresses are private or set aside for documentation (RFC 5737, 3849).

use super::rng::Rng;

/// A member of the alliance.
#[derive(Debug)]
pub(super) struct Member {
    /// Folder name.
    pub(super) key: &'static str,
    pub(super) domain: &'static str,
    pub(super) netbios: &'static str,
    /// First two octets of the private network.
    pub(super) network: &'static str,
    /// The domain's part of every SID.
    pub(super) sid: &'static str,
    /// Public address of the web server.
    pub(super) public_ip: &'static str,
    /// Share of the benign volume.
    pub(super) share: f64,
    pub(super) users: Vec<User>,
    pub(super) clients: Vec<Host>,
    pub(super) files_server: Host,
    pub(super) first_names: &'static [&'static str],
}

/// A person with an account.
#[derive(Clone, Debug)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) rid: u32,
}

/// A machine.
#[derive(Clone, Debug)]
pub(super) struct Host {
    /// Lower case, without the domain.
    pub(super) name: String,
    pub(super) fqdn: String,
    pub(super) ip: String,
    /// Whether its Sysmon is set to MD5 alone (servers) or MD5 and SHA256 (clients).
    pub(super) md5_only: bool,
}

impl Member {
    /// A server of the member; its last two octets are fixed by its name.
    pub(super) fn server(&self, name: &str) -> Host {
        let last = match name {
            "dc01" => 10,
            "exchange01" => 20,
            "sharepoint01" => 30,
            "printsrv01" => 40,
            "filesrv01" => 50,
            "devbuild01" => 60,
            _ => 70,
        };
        self.host(name, &format!("{}.1.{last}", self.network), true)
    }

    fn host(&self, name: &str, ip: &str, md5_only: bool) -> Host {
        Host { name: name.to_owned(), fqdn: format!("{name}.{}", self.domain), ip: ip.to_owned(), md5_only }
    }

    pub(super) fn user_sid(&self, user: &User) -> String {
        format!("{}-{}", self.sid, user.rid)
    }

    /// The client a person sits at, most of the time.
    pub(super) fn client_of<'a>(&'a self, rng: &mut Rng, user: &User) -> &'a Host {
        let own = user.rid as usize % self.clients.len();
        if rng.chance(0.93) { &self.clients[own] } else { rng.pick(&self.clients) }
    }

    /// An address outside, from the ranges for documentation that no attacker of the scenario has.
    pub(super) fn outside(rng: &mut Rng) -> String {
        let range = *rng.pick(&["192.0.2", "198.51.100"]);
        format!("{range}.{}", rng.between(100, 255))
    }

    /// An address outside of version 6.
    pub(super) fn outside_v6(rng: &mut Rng) -> String {
        format!("2001:db8:{:x}:{:x}::{:x}", rng.below(4096), rng.below(65_536), rng.below(65_536))
    }
}

struct Plan {
    key: &'static str,
    domain: &'static str,
    netbios: &'static str,
    network: &'static str,
    sid: &'static str,
    public_ip: &'static str,
    share: f64,
    users: usize,
    clients: usize,
    first_names: &'static [&'static str],
    last_names: &'static [&'static str],
}

const PLANS: [Plan; 3] = [
    Plan {
        key: "albania",
        domain: "gov-al.example",
        netbios: "GOVAL",
        network: "10.10",
        sid: "S-1-5-21-3124470199-1530072684-2871690245",
        public_ip: "192.0.2.10",
        share: 0.6,
        users: 420,
        clients: 180,
        first_names: &[
            "arben", "besa", "drita", "elira", "fatos", "genta", "ilir", "jonida", "klea", "liri", "mira",
            "nertil", "olta", "petrit", "rina", "sokol", "teuta", "valon", "xhoana", "zana", "agim", "bora",
        ],
        last_names: &[
            "hoxha", "shehu", "dervishi", "leka", "gjoka", "marku", "prifti", "kola", "basha", "zeneli",
            "meta", "rama", "cela", "dushku", "muca", "toska", "kodra", "lame", "ndoja", "bushi",
        ],
    },
    Plan {
        key: "ally-b",
        domain: "gov-b.example",
        netbios: "GOVB",
        network: "10.20",
        sid: "S-1-5-21-2209876135-4017765322-1190458833",
        public_ip: "192.0.2.20",
        share: 0.2,
        users: 240,
        clients: 90,
        first_names: &[
            "amal", "basma", "dana", "faris", "hala", "jamil", "karim", "layla", "majd", "nadia", "omar",
            "rania", "salem", "tala", "yasmin", "ziad",
        ],
        last_names: &[
            "haddad", "nasser", "khoury", "sabah", "masri", "tamimi", "qasim", "awad", "farah", "hamdan",
            "issa", "jaber", "mansour", "odeh",
        ],
    },
    Plan {
        key: "ally-c",
        domain: "gov-c.example",
        netbios: "GOVC",
        network: "10.30",
        sid: "S-1-5-21-1718894402-3355612870-2046631958",
        public_ip: "192.0.2.30",
        share: 0.2,
        users: 260,
        clients: 100,
        first_names: &[
            "anna", "bjorn", "carla", "dirk", "emma", "felix", "greta", "henrik", "ines", "jan", "katja",
            "lars", "maria", "nils", "olga", "pieter", "rosa", "stefan", "tilda", "viktor",
        ],
        last_names: &[
            "berg",
            "costa",
            "dahl",
            "eriksen",
            "fischer",
            "garcia",
            "horvat",
            "jansen",
            "keller",
            "lindqvist",
            "moreau",
            "novak",
            "petersen",
            "rossi",
            "silva",
            "virtanen",
            "weber",
        ],
    },
];

/// The three members with their people; the same for every seed's scale.
pub(super) fn members(seed: u64) -> Vec<Member> {
    PLANS.iter().map(|plan| member(plan, seed)).collect()
}

fn member(plan: &Plan, seed: u64) -> Member {
    let mut rng = Rng::new(seed, &format!("{}/people", plan.key));
    let mut users: Vec<User> = Vec::new();
    while users.len() < plan.users {
        let mut name = format!("{}.{}", rng.pick(plan.first_names), rng.pick(plan.last_names));
        if users.iter().any(|user| user.name == name) {
            name.push_str(&(users.len() % 10).to_string());
        }
        if users.iter().all(|user| user.name != name) {
            users.push(User { name, rid: 1_104 + users.len() as u32 * 3 });
        }
    }
    let files_server = Host {
        name: "filesrv01".into(),
        fqdn: format!("filesrv01.{}", plan.domain),
        ip: format!("{}.1.50", plan.network),
        md5_only: true,
    };
    let mut member = Member {
        key: plan.key,
        domain: plan.domain,
        netbios: plan.netbios,
        network: plan.network,
        sid: plan.sid,
        public_ip: plan.public_ip,
        share: plan.share,
        users,
        clients: Vec::new(),
        files_server,
        first_names: plan.first_names,
    };
    member.clients = (1..=plan.clients)
        .map(|n| {
            let ip = format!("{}.{}.{}", plan.network, 20 + n / 200, 10 + n % 200);
            member.host(&format!("ws{n:04}"), &ip, false)
        })
        .collect();
    member
}
