//! What is under way, for whoever draws a picture of it: where the bytes of a download stand, and who reads from us.

#[path = "under_way/ranges.rs"]
mod ranges;
mod support;
#[path = "under_way/transfers.rs"]
mod transfers;
