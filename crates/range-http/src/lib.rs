#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(not(feature = "sendfile"), forbid(unsafe_code))]
#![cfg_attr(feature = "body", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "body"),
    doc = "Byte ranges for HTTP: see [`plan`](plan()) and [`RangeHeader`]. The feature `body` adds what streams."
)]

extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod body_plan;
mod boundary;
mod byte_range;
mod content_range;
mod digest;
mod disposition;
mod entity_tag;
mod entity_tag_list;
mod field;
mod hash;
mod http_date;
mod if_range;
mod multipart;
mod plan;
mod policy;
mod preconditions;
mod range_header;
mod reason;
mod representation;
mod request;
mod resolve;
mod scan;

pub mod client;

#[cfg(feature = "sendfile")]
pub mod sendfile;

#[cfg(feature = "std")]
mod file_stamp;

#[cfg(feature = "http")]
mod http_types;

#[cfg(feature = "body")]
mod body;

#[cfg(feature = "axum")]
mod axum;

#[cfg(feature = "tower")]
mod tower;

pub use body_plan::{BodyPlan, Segment};
pub use byte_range::ByteRange;
pub use content_range::{ContentRange, ContentRangeError};
pub use digest::ReprDigest;
pub use disposition::ContentDisposition;
pub use entity_tag::EntityTag;
pub use entity_tag_list::EntityTagList;
pub use http_date::HttpDate;
pub use if_range::IfRange;
pub use plan::{Plan, plan};
pub use policy::{DateTrust, IfRangeFields, Limits, Multi, OnEmpty, OnInvalid, Policy};
pub use preconditions::{Verdict, evaluate};
pub use range_header::{ByteRangeSpec, RangeError, RangeHeader, Specs};
pub use reason::Reason;
pub use representation::Representation;
pub use request::{MethodKind, RequestView};
pub use resolve::{RangeSet, Resolved};

#[cfg(feature = "std")]
pub use file_stamp::FileStamp;

#[cfg(feature = "http")]
pub use http_types::RangeRequest;

#[cfg(feature = "body")]
pub use body::{BodyError, MemSource, RangeBody, Source, respond};

#[cfg(feature = "tokio")]
pub use body::{Directory, FileSource, FileSourceError};

#[cfg(feature = "tower")]
pub use tower::ServeSource;
