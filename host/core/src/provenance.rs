//! Where the bytes of a component come from, as far as this host can tell.

use serde::{Deserialize, Serialize};

/// A signature over a component that this host has verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The name of the key in the settings, when it was verified.
    pub key: String,
    /// The public key, 32 bytes in hexadecimal.
    pub public_key: String,
    /// The signature (Ed25519, of the 32 bytes of the component's SHA-256), 64 bytes in base64.
    pub signature: String,
}

/// What is known of the origin of a component. What the component says of itself is not proven by anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The file it was uploaded from, as given.
    pub file: Option<String>,
    /// The user of the machine who did it.
    pub uploaded_by: Option<String>,
    /// Who signed it.
    pub signed: Option<Signed>,
    /// The contract that it was built for, as in `datanode:node@0.1.0`.
    pub contract: Option<String>,
    /// Languages that it says it was written in.
    pub languages: Vec<String>,
    /// Tools that it says it was built by.
    pub tools: Vec<String>,
}
