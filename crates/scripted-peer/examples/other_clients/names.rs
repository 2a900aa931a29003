//! What is compared with what: the rows and columns of `docs/other-clients.md`.

/// Something that goes wrong on the server's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    RangeIgnored,
    FileChanged,
    WrongStart,
    CompletePart,
    CutNearTheEnd,
}

/// A program that resumes downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Peerd,
    Curl,
    Aria2,
    Wget,
}

impl Case {
    pub(crate) const ALL: [Self; 5] =
        [Self::RangeIgnored, Self::FileChanged, Self::WrongStart, Self::CompletePart, Self::CutNearTheEnd];

    /// How a row of the page begins.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::RangeIgnored => "(a) Range ignored: 200",
            Self::FileChanged => "(b) file changed, same size",
            Self::WrongStart => "(c) 206 with a wrong start",
            Self::CompletePart => "(d) 416 on a complete part",
            Self::CutNearTheEnd => "(e) cut at 99 %",
        }
    }
}

impl Client {
    pub(crate) const ALL: [Self; 4] = [Self::Peerd, Self::Curl, Self::Aria2, Self::Wget];

    /// The program, as it is called in `$PATH`.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Peerd => "peerd",
            Self::Curl => "curl",
            Self::Aria2 => "aria2c",
            Self::Wget => "wget",
        }
    }

    /// What its manual says to type for a download that is to be resumed, before the URL.
    pub(crate) fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Peerd => &["get"],
            Self::Curl => &["-C", "-", "-O"],
            Self::Aria2 | Self::Wget => &["-c"],
        }
    }

    /// How a column of the page is headed.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Peerd => "`peerd get`",
            Self::Curl => "`curl -C -`",
            Self::Aria2 => "`aria2c -c`",
            Self::Wget => "`wget -c`",
        }
    }

    /// The whole command as one would type it.
    pub(crate) fn command(self) -> String {
        format!("{} {} URL", self.program(), self.arguments().join(" "))
    }
}
