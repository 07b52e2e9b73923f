//! The ways out of a node, and what each may carry.
//!
//! An exit that cannot keep a limit must not carry what is under that limit: a mail has no place for
//! a granular marking, a log is read by whoever keeps it.

use besa_stix::marking::Tlp;
use serde::Serialize;

/// A way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// A signed release, node to node.
    Release,
    /// TAXII over TLS to an authenticated caller.
    Taxii,
    /// A MISP server of the recipient.
    Misp,
    /// A file handed over.
    Export,
    /// A web page for the recipient.
    Page,
    /// Mail.
    Mail,
    /// A log, an error message, a metric.
    Log,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Release, Self::Taxii, Self::Misp, Self::Export, Self::Page, Self::Mail, Self::Log];

    /// As written on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Taxii => "taxii",
            Self::Misp => "misp",
            Self::Export => "export",
            Self::Page => "page",
            Self::Mail => "mail",
            Self::Log => "log",
        }
    }

    /// Reads a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|exit| exit.as_str() == text)
    }

    /// The strictest level it may carry.
    pub fn ceiling(self) -> Tlp {
        match self {
            Self::Release | Self::Taxii => Tlp::Red,
            Self::Misp | Self::Export => Tlp::AmberStrict,
            Self::Page => Tlp::Amber,
            Self::Mail => Tlp::Green,
            Self::Log => Tlp::Clear,
        }
    }

    /// Whether it is encrypted on the way, to the recipient and nobody else.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Self::Release | Self::Taxii | Self::Misp | Self::Page)
    }

    /// Whether markings of single properties arrive with it.
    pub fn keeps_granular_markings(self) -> bool {
        matches!(self, Self::Release | Self::Taxii | Self::Export)
    }
}
