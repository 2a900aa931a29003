//! scripted-peer
