//! The pure core of Portcullis: who may do what with a project, and with which token.
//!
//! Everything here is a function from facts to an answer. It reads no clock, no database and no request, so it
//! can be read on one screen and tested over every case there is. It will never do I/O.
//!
//! Start reading at [`access::RULES`], the table that states every permission, then at
//! [`access::decide`], the one function that reads it.

pub mod access;
pub mod bot;
pub mod closing;
pub mod color;
pub mod files;
pub mod id;
pub mod lfs;
pub mod merging;
pub mod names;
pub mod packages;
pub mod secret;
pub mod token;
pub mod web_address;
pub mod working_time;
