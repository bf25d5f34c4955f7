//! Makes the calls that are recorded: one at a time for each hook, again when they fail, and never to where the server
//! could be misused to reach.
//!
//! The name of the other side is looked up once. Every address that it has must be allowed, and the connection goes to
//! those addresses and to no others, whatever the name means a moment later. Redirects are not followed, proxies are not
//! asked, and nothing of the answer but its status is read.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_rules::token::MICROSECONDS;
use portcullis_store::webhooks::{self, Call, Webhook};
use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::PURPOSE;
use crate::Error;
use crate::addresses::is_public;
use crate::forge::Forge;

/// How long one attempt may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// For how long a worker has a call for itself, in microseconds: longer than an attempt can take.
const CLAIM: i64 = 60 * MICROSECONDS;

/// How often a call is tried.
const MAX_ATTEMPTS: i64 = 4;

/// How long after the first attempt the second is made, in microseconds; each further one waits six times as long.
const RETRY_AFTER: i64 = 10 * MICROSECONDS;

/// After how many failures in a row a hook is not called for a while, and after how many not any more.
const FAILURES_UNTIL_PAUSE: i64 = 4;
const FAILURES_UNTIL_END: i64 = 40;

/// How long the first pause is, and the longest, in microseconds; each further one is twice as long.
const FIRST_PAUSE: i64 = 60 * MICROSECONDS;
const LONGEST_PAUSE: i64 = 24 * 3600 * MICROSECONDS;

/// Returns a new identifier in the form of a UUID.
pub(super) fn uuid(forge: &Forge) -> String {
    let mut random = [0; 16];
    forge.random().fill(&mut random);
    portcullis_registry::SessionId::from_random(random).to_string()
}

/// Returns whether an address can be of the public Internet, as far as it shows without looking up its name.
pub(super) fn may_be_public(url: &Url) -> bool {
    match literal(url) {
        Some(address) => is_public(address),
        None => {
            let host = url.host_str().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
            host != "localhost" && !host.ends_with(".localhost")
        }
    }
}

/// Returns the host of an address that is written as numbers.
fn literal(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Makes the next call that is due. Returns whether there was one.
pub(crate) async fn make_next(forge: &Forge) -> Result<bool, Error> {
    let now = forge.now();
    // Looking costs no write: most looks find nothing.
    let mut tx = forge.db().read().await?;
    let due = webhooks::next_call_at(&mut tx).await?.is_some_and(|at| at <= now);
    drop(tx);
    if !due {
        return Ok(false);
    }
    let mut tx = forge.db().begin().await?;
    let Some(call) = webhooks::claim_call(&mut tx, now, now + CLAIM).await? else { return Ok(false) };
    let hook = webhooks::of_call(&mut tx, call.webhook).await?;
    tx.commit().await?;
    let Some(hook) = hook else {
        // Its project is being deleted.
        let mut tx = forge.db().begin().await?;
        webhooks::end_call(&mut tx, call.id).await?;
        tx.commit().await?;
        return Ok(true);
    };
    let attempt = tokio::time::timeout(PATIENCE, send(forge, &hook, &call)).await;
    let attempt = attempt.unwrap_or_else(|_| Err("no answer in time".to_owned()));
    let now = forge.now();
    let mut tx = forge.db().begin().await?;
    match attempt {
        Ok(()) => {
            webhooks::succeeded(&mut tx, hook.id).await?;
            webhooks::end_call(&mut tx, call.id).await?;
        }
        Err(why) => {
            tracing::info!(
                webhook.id = hook.id.0,
                project.id = hook.project.0,
                attempt = call.attempts,
                why,
                "a web hook failed"
            );
            let (until, ended) = pause_after(hook.failures + 1, now);
            webhooks::failed(&mut tx, hook.id, until, ended).await?;
            if call.attempts + 1 < MAX_ATTEMPTS && ended.is_none() {
                let wait = RETRY_AFTER * 6_i64.pow(u32::try_from(call.attempts).unwrap_or(0).min(3));
                webhooks::retry_call(&mut tx, call.id, now + wait).await?;
            } else {
                webhooks::end_call(&mut tx, call.id).await?;
            }
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Returns until when a hook that failed so often is not called, and since when not any more.
fn pause_after(failures: i64, now: i64) -> (Option<i64>, Option<i64>) {
    if failures >= FAILURES_UNTIL_END {
        return (None, Some(now));
    }
    if failures < FAILURES_UNTIL_PAUSE {
        return (None, None);
    }
    let doublings = u32::try_from(failures - FAILURES_UNTIL_PAUSE).unwrap_or(0).min(20);
    (Some(now + (FIRST_PAUSE << doublings).min(LONGEST_PAUSE)), None)
}

/// Returns the addresses of the other side, all of which may be called.
async fn addresses(forge: &Forge, url: &Url) -> Result<Vec<SocketAddr>, String> {
    let port = url.port_or_known_default().ok_or("the address has no port")?;
    let found: Vec<SocketAddr> = match literal(url) {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => {
            let host = url.host_str().ok_or("the address has no host")?;
            let found = tokio::net::lookup_host((host, port)).await;
            found.map_err(|_| "the host was not found".to_owned())?.collect()
        }
    };
    if found.is_empty() {
        return Err("the host has no address".to_owned());
    }
    let local = forge.settings().webhooks_may_call_local_network;
    if !local && !found.iter().all(|address| is_public(address.ip())) {
        return Err("the host has an address of the local network".to_owned());
    }
    Ok(found)
}

/// Answers every question with the addresses that were checked.
struct Pinned(Vec<SocketAddr>);

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        Box::pin(std::future::ready(Ok(addresses)))
    }
}

/// Makes one attempt.
async fn send(forge: &Forge, hook: &Webhook, call: &Call) -> Result<(), String> {
    let url = Url::parse(&hook.url).map_err(|error| error.to_string())?;
    let pinned = Pinned(addresses(forge, &url).await?);
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(Arc::new(pinned))
        .connect_timeout(CONNECT_PATIENCE)
        .timeout(PATIENCE)
        .pool_max_idle_per_host(0)
        .http1_only()
        .user_agent("Portcullis")
        .danger_accept_invalid_certs(!hook.verifies)
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client
        .post(url)
        .header("Content-Type", "application/json")
        .header("X-Gitlab-Event", &call.event)
        .header("X-Gitlab-Webhook-UUID", &hook.uuid)
        .header("X-Gitlab-Event-UUID", &call.key)
        .header("X-Gitlab-Instance", forge.base_url())
        .header("Idempotency-Key", &call.key);
    if let Some(sealed) = &hook.sealed_token {
        let token = forge.sealing().open_sealed(PURPOSE, sealed).ok_or("the token cannot be decrypted")?;
        let seconds = forge.now().div_euclid(MICROSECONDS);
        request = request
            .header("webhook-id", &call.key)
            .header("webhook-timestamp", seconds)
            .header("webhook-signature", signature(&token, &call.key, seconds, &call.body))
            .header("X-Gitlab-Token", token);
    }
    // The address may hold a secret, so the error must not repeat it.
    let answer =
        request.body(call.body.clone()).send().await.map_err(|error| error.without_url().to_string())?;
    let status = answer.status().as_u16();
    if (200..300).contains(&status) { Ok(()) } else { Err(format!("the answer has the status {status}")) }
}

/// Returns the signature of a call, as the specification "Standard Webhooks" has it: who receives it can tell that whoever
/// knows the token has sent it, and when.
fn signature(token: &str, key: &str, seconds: i64, body: &str) -> String {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let tag = hmac::sign(&secret, format!("{key}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_then_a_hook_is_not_called_any_more() {
        assert_eq!(pause_after(3, 0), (None, None));
        assert_eq!(pause_after(4, 5), (Some(5 + FIRST_PAUSE), None));
        assert_eq!(pause_after(6, 0), (Some(4 * FIRST_PAUSE), None));
        assert_eq!(pause_after(39, 0), (Some(LONGEST_PAUSE), None));
        assert_eq!(pause_after(40, 7), (None, Some(7)));
    }

    #[test]
    fn a_signature_is_the_one_that_receivers_compute() {
        assert_eq!(signature("secret", "id", 1, "{}"), "v1,490pAcC1LQ1k1cOcmH0da199+A88OKCj0Io4WnJlp68=");
    }

    #[test]
    fn an_address_in_any_spelling_is_seen_through() {
        for url in [
            "http://127.0.0.1/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://017700000001/",
            "http://[::1]:80/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost:8080/",
        ] {
            assert!(!may_be_public(&Url::parse(url).unwrap()), "{url}");
        }
        for url in ["https://example.com/", "http://8.8.8.8/", "http://notlocalhost/"] {
            assert!(may_be_public(&Url::parse(url).unwrap()), "{url}");
        }
    }
}
