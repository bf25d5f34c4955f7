//! `portcullis token`: what an operator does about tokens.

use anyhow::anyhow;
use portcullis_app::{
    access::Authorized,
    personal_tokens::{self, NewPersonalTokenRequest},
};
use portcullis_rules::access::{ScopeSet, act};

use crate::{arguments::TokenCreate, forge, output};

/// Makes a personal access token and prints its secret and nothing else, so that a script can keep it.
pub(crate) fn create(arguments: &TokenCreate) -> anyhow::Result<()> {
    let words = arguments.scopes.iter().map(|word| word.trim());
    let scopes = ScopeSet::parse(words, ScopeSet::FOR_PERSONAL_TOKENS).map_err(|unknown| {
        let known: Vec<_> = ScopeSet::FOR_PERSONAL_TOKENS.names().collect();
        anyhow!("{unknown}; it can hold {}", known.join(", "))
    })?;
    let request = NewPersonalTokenRequest {
        name: arguments.name.clone(),
        description: None,
        scopes,
        expires_at: arguments.expires_at,
    };
    let created = forge::for_task(&arguments.place, async |forge| {
        let access = Authorized::<act::CreatePersonalAccessToken>::by_system("command line");
        personal_tokens::create_for_username(forge, &access, &arguments.user, request).await
    })?;
    output::print(&format!("{}\n", created.secret.reveal()))
}
