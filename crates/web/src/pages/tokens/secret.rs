//! The secret of a new token, shown once, with commands to paste.

use askama::Template;
use portcullis_app::tokens::Created;
use portcullis_rules::access::ScopeSet;

/// A command to be copied, with a secret in it.
pub(in crate::pages) struct Snippet {
    id: &'static str,
    label: &'static str,
    text: String,
}

/// A token that was made just now, with its secret.
#[derive(Template)]
#[template(path = "parts/fresh_token.html")]
pub(in crate::pages) struct Fresh {
    name: String,
    secret: String,
    list_address: String,
    snippets: Vec<Snippet>,
}

/// What the commands are about that stand below a new secret.
pub(in crate::pages) struct UsedFor<'a> {
    /// The start of addresses.
    pub base: &'a str,
    /// The name the token acts under.
    pub username: &'a str,
    /// The path of a project to clone, below the address of the forge.
    pub project: &'a str,
    /// What is asked of the API, below `/api/v4`.
    pub asked: &'a str,
}

impl Fresh {
    pub(in crate::pages) fn of(created: &Created, about: &UsedFor<'_>, list_address: &str) -> Fresh {
        let secret = created.secret.reveal();
        let scopes = created.token.scopes;
        let (base, username) = (about.base, about.username);
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        let scheme = base.split_once("://").map_or("https", |(scheme, _)| scheme);
        let reads = ScopeSet::API | ScopeSet::READ_API;
        let git = reads | ScopeSet::READ_REPOSITORY | ScopeSet::WRITE_REPOSITORY;
        let images = reads | ScopeSet::READ_REGISTRY | ScopeSet::WRITE_REGISTRY;
        let mut snippets = Vec::new();
        if scopes.intersects(git) {
            let text = format!("git clone {scheme}://{username}:{secret}@{host}/{}.git", about.project);
            snippets.push(Snippet { id: "for-git", label: "Git", text });
        }
        if scopes.intersects(reads) {
            let asked = about.asked;
            let text = format!("curl --header \"PRIVATE-TOKEN: {secret}\" \"{base}/api/v4/{asked}\"");
            snippets.push(Snippet { id: "for-curl", label: "REST API", text });
        }
        if scopes.intersects(images) {
            let text =
                format!("echo \"{secret}\" | docker login {host} --username {username} --password-stdin");
            snippets.push(Snippet { id: "for-docker", label: "Docker", text });
            let text = format!(
                "kubectl create secret docker-registry portcullis-pull \\\n  --docker-server={host} \\\n  \
                 --docker-username={username} \\\n  --docker-password={secret}"
            );
            snippets.push(Snippet { id: "for-kubernetes", label: "Kubernetes pull secret", text });
        }
        Fresh {
            name: created.token.name.clone(),
            secret: secret.to_owned(),
            list_address: list_address.to_owned(),
            snippets,
        }
    }
}
