//! Networks that hold an address: one look-up per length of prefix.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

/// Networks with a number each.
#[derive(Debug, Default)]
pub(crate) struct Networks {
    by_network: HashMap<IpNet, Vec<u32>>,
    /// Lengths of prefix that occur: of IPv4, of IPv6.
    prefixes: [Vec<u8>; 2],
}

impl Networks {
    pub(crate) fn add(&mut self, network: IpNet, number: u32) {
        let lengths = &mut self.prefixes[usize::from(network.addr().is_ipv6())];
        if !lengths.contains(&network.prefix_len()) {
            lengths.push(network.prefix_len());
        }
        self.by_network.entry(network.trunc()).or_default().push(number);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_network.is_empty()
    }

    /// Appends the numbers of the networks that hold the address; an IPv4 address mapped into
    /// IPv6 lies in IPv4 networks too.
    pub(crate) fn holding(&self, address: IpAddr, out: &mut Vec<u32>) {
        self.of_family(address, out);
        if let IpAddr::V6(address) = address
            && let Some(mapped) = address.to_ipv4_mapped()
        {
            self.of_family(mapped.into(), out);
        }
    }

    fn of_family(&self, address: IpAddr, out: &mut Vec<u32>) {
        for prefix in &self.prefixes[usize::from(address.is_ipv6())] {
            let network = IpNet::new(address, *prefix).map(|network| network.trunc());
            out.extend(network.ok().and_then(|network| self.by_network.get(&network)).into_iter().flatten());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sigma::leaf::{in_network, parse_address};

    #[test]
    fn equals_asking_each_network() {
        let networks: Vec<IpNet> =
            ["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "127.0.0.1/32", "fe80::/10", "::/0", "::ffff:0:0/96"]
                .map(|text| text.parse().unwrap())
                .into();
        let mut index = Networks::default();
        (0..).zip(&networks).for_each(|(number, network)| index.add(*network, number));
        for text in
            ["10.1.2.3", "10.2.0.1", "::ffff:10.1.0.1", "fe80::1%eth0", "[::1]", "127.0.0.1", "8.8.8.8"]
        {
            let address = parse_address(text.as_bytes()).unwrap();
            let mut found = Vec::new();
            index.holding(address, &mut found);
            found.sort_unstable();
            let expected: Vec<u32> = (0..)
                .zip(&networks)
                .filter(|(_, network)| in_network(network, address))
                .map(|(number, _)| number)
                .collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
