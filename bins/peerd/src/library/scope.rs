//! Which shares someone may see.

use std::collections::BTreeSet;

/// The shares a key opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every share, those added later included.
    All,
    /// These shares by name.
    Shares(BTreeSet<String>),
}

impl Scope {
    /// Reads the names of a key's shares; `*` among them means all.
    pub fn of<S: AsRef<str>>(names: &[S]) -> Self {
        if names.iter().any(|name| name.as_ref() == "*") {
            return Self::All;
        }
        Self::Shares(names.iter().map(|name| name.as_ref().to_owned()).collect())
    }

    /// Whether this share may be seen.
    pub fn allows(&self, share: &str) -> bool {
        match self {
            Self::All => true,
            Self::Shares(names) => names.contains(share),
        }
    }
}
