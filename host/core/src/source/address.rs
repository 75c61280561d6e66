//! Which addresses a host may connect to for a guest: public ones, and what the operator allows beside them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RuleError;

/// A network, in CIDR: `10.1.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether an address is of this network. An IPv4 address inside of an IPv6 one is an IPv6 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let network =
            IpNet::from_str(text).map_err(|_| RuleError::Network(text.chars().take(80).collect()))?;
        Ok(Self(network.trunc()))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What kind of address it is that the host does not connect to; None where it does.
pub fn why_refused(address: IpAddr, allowed: &[Network]) -> Option<&'static str> {
    if allowed.iter().any(|network| network.contains(address)) {
        return None;
    }
    match address {
        IpAddr::V4(address) => why_v4(address),
        IpAddr::V6(address) => why_v6(address),
    }
}

const METADATA: &str = "where clouds keep credentials of their machines";
const LOOPBACK: &str = "an address of this machine";
const PRIVATE: &str = "an address of a private network";
const LINK: &str = "an address of the local link";
const MULTICAST: &str = "a multicast address";
const DOCUMENTATION: &str = "an address of documentation";
const SPECIAL: &str = "a special address";

/// Addresses of the registries of special ones (IANA), first match first.
fn why_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, d] = address.octets();
    Some(match (a, b, c, d) {
        (169, 254, 169, 254) | (100, 100, 100, 200) | (192, 0, 0, 192) | (168, 63, 129, 16) => METADATA,
        (0 | 127, ..) => LOOPBACK,
        (10, ..) | (172, 16..=31, ..) | (192, 168, ..) => PRIVATE,
        (100, 64..=127, ..) => "an address of a provider's network (CGNAT)",
        (169, 254, ..) => LINK,
        (192, 0, 0, _) | (192, 88, 99, _) | (198, 18..=19, ..) | (240..=255, ..) => SPECIAL,
        (192, 0, 2, _) | (198, 51, 100, _) | (203, 0, 113, _) => DOCUMENTATION,
        (224..=239, ..) => MULTICAST,
        _ => return None,
    })
}

/// Of all IPv6 addresses only the global unicast ones (`2000::/3`) are public; some of those lead elsewhere again.
fn why_v6(address: Ipv6Addr) -> Option<&'static str> {
    let parts = address.segments();
    let is_registry = parts[0] == 0x2001 && (0x0001..=0x01ff).contains(&parts[1]);
    Some(match parts {
        [0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x254] => METADATA,
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => LOOPBACK,
        // Mapped, compatible, translated (RFC 2765, NAT64), 6to4, Teredo.
        [0, 0, 0, 0, 0, 0xffff | 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0x64, 0xff9b, ..]
        | [0x2002, ..]
        | [0x2001, 0, ..] => "an IPv6 address that holds an IPv4 address",
        [0xfc00..=0xfdff | 0xfec0..=0xfeff, ..] => PRIVATE,
        [0xfe80..=0xfebf, ..] => LINK,
        [0xff00..=0xffff, ..] => MULTICAST,
        [0x2001, 0x0db8, ..] | [0x3fff, 0..=0x0fff, ..] => DOCUMENTATION,
        [0x2000..=0x3fff, ..] if !is_registry => return None,
        _ => SPECIAL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<Network> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        why_refused(text.parse().unwrap(), &allowed).is_some()
    }

    #[test]
    fn only_public_addresses_are_reached_unless_a_network_is_allowed() {
        for public in [
            "1.1.1.1",
            "8.8.8.8",
            "93.184.216.34",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
        ] {
            assert!(!refused(public, &[]), "{public}");
        }
        for special in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12:3456::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(refused(special, &[]), "{special}");
        }
        assert!(!refused("10.1.2.3", &["10.1.0.0/16"]) && refused("10.2.2.3", &["10.1.0.0/16"]));
        assert!(!refused("127.0.0.1", &["192.168.0.0/24", "127.0.0.1/32"]));
        // The same machine by another way is not meant.
        assert!(refused("::ffff:10.1.2.3", &["10.1.0.0/16"]) && refused("::1", &["127.0.0.0/8"]));
        assert_eq!("10.1.2.3/16".parse::<Network>().unwrap().to_string(), "10.1.0.0/16");
        for wrong in ["10.0.0.1", "10.0.0.0/33", "all", "", "10.0.0.0/8 "] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
