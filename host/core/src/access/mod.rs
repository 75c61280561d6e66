//! Who may do what.
//!
//! One database is one organisation. Its people are users and teams of users; a *role* ([`Role`]) says what somebody may do
//! in the organisation, in a namespace, or with a table; a *right* ([`Right`]) says what a token may be used for at most. An
//! [`Action`] needs both: the right of the token, and the role of whoever has it. [`allowed`] is the one place where that
//! is decided, without a database and without a clock.
//!
//! ```
//! use datanode_core::access::{Action, Principal, Right, Rights, Role, Subject, Target, UserRef, allowed};
//!
//! let ada = UserRef { uid: "u-1".to_owned(), id: 1, username: "ada".to_owned() };
//! let may_read = Principal::new(ada, "0123456789abcdef", Rights::of(&[Right::Read]))
//!     .with_role(Subject::Namespace("fx".to_owned()), Role::Editor);
//! let prices = Target::table("t-1", "fx_prices", Some("fx"), None);
//! assert!(allowed(&may_read, Action::ReadTable, &prices).is_ok());
//! // She is an editor of the namespace, but this token is for reading.
//! assert!(allowed(&may_read, Action::EditTable, &prices).is_err());
//! ```

mod action;
mod bucket;
mod decide;
mod people;
mod principal;
mod right;
mod role;
mod token;

pub use action::{Action, Need};
pub use bucket::{Buckets, MAX_PER_MINUTE, TooFast};
pub use decide::{Denied, Missing, allowed, may_issue};
pub use people::{PeopleError, check_email, check_per_minute, check_team_name, check_text, check_username};
pub use principal::{Actor, Principal, UserRef};
pub use right::{Right, Rights, UnknownRight};
pub use role::{Role, Subject, Target, UnknownRole};
pub use token::{BadToken, SALT_BYTES, SECRET_BYTES, TOKEN_ID_BYTES, TokenHash, TokenText};

#[cfg(test)]
mod tests;
