//! Addresses and networks of ISSUBSET and ISSUPERSET, IPv4 and IPv6 (section 9.6.1).

use std::net::IpAddr;

impl std::fmt::Display for Net {
    /// The address in its shortest text, and the prefix unless it is a single address.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let width = if self.is_v6 {
            write!(f, "{}", std::net::Ipv6Addr::from_bits(self.bits))?;
            128
        } else {
            write!(f, "{}", std::net::Ipv4Addr::from_bits((self.bits >> 96) as u32))?;
            32
        };
        if self.prefix < width { write!(f, "/{}", self.prefix) } else { Ok(()) }
    }
}

/// An address or a network; host bits of what was written are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Net {
    is_v6: bool,
    /// Left-aligned in 128 bits.
    bits: u128,
    prefix: u32,
}

impl Net {
    /// Reads `address` or `address/prefix length`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let (is_v6, bits, width) = match address.parse().ok()? {
            IpAddr::V4(v4) => (false, u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (true, v6.to_bits(), 128),
        };
        let prefix = match prefix {
            Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
            None => width,
        };
        (prefix <= width).then(|| Self { is_v6, bits: bits & mask(prefix), prefix })
    }

    /// Whether it is of IPv6.
    pub(super) fn is_v6(self) -> bool {
        self.is_v6
    }

    /// Every address of `self` is one of `other`; equal networks are subsets of each other.
    pub(super) fn is_subset(self, other: Self) -> bool {
        self.is_v6 == other.is_v6
            && self.prefix >= other.prefix
            && self.bits & mask(other.prefix) == other.bits
    }
}

fn mask(prefix: u32) -> u128 {
    u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets() {
        for (inner, outer, expected) in [
            ("198.51.100.7", "198.51.100.0/24", true),
            ("198.51.100.0/24", "198.51.100.9/24", true),
            ("198.51.100.0/23", "198.51.100.0/24", false),
            ("10.0.0.1", "0.0.0.0/0", true),
            ("2001:db8::1", "2001:0db8:0000:0000:0000:0000:0000:0000/64", true),
            ("2001:db8:1::1", "2001:db8::/48", false),
            ("::ffff:10.0.0.1", "10.0.0.0/8", false),
        ] {
            assert_eq!(
                Net::parse(inner).unwrap().is_subset(Net::parse(outer).unwrap()),
                expected,
                "{inner} {outer}"
            );
        }
        for bad in ["", "1.2.3", "1.2.3.4/33", "1.2.3.4/", "1.2.3.4/+8", "::1/129", "1.2.3.4/8/8", "01.2.3.4"]
        {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
    }
}
