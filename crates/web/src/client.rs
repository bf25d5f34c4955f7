//! Who is at the other end: the client's address, and the address it used for us.
//!
//! Forwarded headers are believed only from configured proxies; from anyone else they are noise.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use portcullis_app::access::Origin;
use portcullis_app::settings::Settings;

use crate::server::Peer;

/// The client of a request; set once by the front.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address.
    pub address: Option<IpAddr>,
    /// Whether a header claims that somebody else is behind it, and nobody we trust vouches for that.
    pub unvouched_forwarding: bool,
    /// Whether it speaks to us encrypted, as far as we can tell.
    pub encrypted: bool,
    /// The id of the request in the log.
    pub request_id: Arc<str>,
}

impl Client {
    /// Returns the client of a request that came over `peer`'s connection.
    pub fn of(headers: &HeaderMap, peer: Option<Peer>, settings: &Settings, request_id: Arc<str>) -> Client {
        let direct = peer.map(|peer| peer.address.ip().to_canonical());
        let encrypted = peer.is_some_and(|peer| peer.encrypted);
        let forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
        let trusted =
            |address: &IpAddr| settings.trusted_proxies.iter().any(|net: &IpNet| net.contains(address));
        if !direct.as_ref().is_some_and(trusted) {
            return Client { address: direct, unvouched_forwarding: forwarded, encrypted, request_id };
        }
        // The chain is read from its end: each proxy we trust vouches for the address before it.
        let chain: Vec<_> = headers
            .get_all("x-forwarded-for")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|address| address.trim().parse::<IpAddr>().ok().map(|address| address.to_canonical()))
            .collect();
        let mut address = direct;
        for claimed in chain.into_iter().rev() {
            let Some(claimed) = claimed else { break };
            address = Some(claimed);
            if !trusted(&claimed) {
                break;
            }
        }
        let proto = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
        Client {
            address,
            unvouched_forwarding: false,
            encrypted: encrypted || proto == Some("https"),
            request_id,
        }
    }

    /// Returns the client of a request, as the front noted it.
    pub fn from_parts(parts: &Parts) -> Client {
        parts.extensions.get::<Client>().cloned().unwrap_or_else(|| Client {
            address: None,
            unvouched_forwarding: true,
            encrypted: false,
            request_id: Arc::from(""),
        })
    }

    /// Returns where the request came from, for logs and the audit log.
    pub fn origin(&self) -> Origin {
        Origin { address: self.address, request_id: Arc::clone(&self.request_id) }
    }
}

/// The start of every link in an answer, such as `https://git.example.com`, without a slash at its end.
#[derive(Clone, Debug)]
pub struct BaseUrl(pub Arc<str>);

impl BaseUrl {
    /// Returns the configured address, or the one that the client used.
    pub fn of(parts: &Parts, settings: &Settings) -> BaseUrl {
        match &settings.external_url {
            Some(url) => BaseUrl(Arc::from(url.trim_end_matches('/'))),
            None => BaseUrl::called(parts)
                .unwrap_or_else(|| BaseUrl(Arc::from(format!("http://{}", settings.listen)))),
        }
    }

    /// Returns the address that links to other pages of a list begin with: the one that the client called, also where
    /// another one is configured, because clients do not follow a page to another origin. Behind a proxy it is the
    /// configured one: what the proxy was called with may not have come through.
    pub fn of_pages(parts: &Parts, settings: &Settings) -> BaseUrl {
        let proxied = ["x-forwarded-for", "forwarded"].iter().any(|name| parts.headers.contains_key(*name));
        BaseUrl::called(parts).filter(|_| !proxied).unwrap_or_else(|| BaseUrl::of(parts, settings))
    }

    /// Returns the address that the client called, if it said so.
    fn called(parts: &Parts) -> Option<BaseUrl> {
        let host = parts
            .headers
            .get("host")
            .and_then(|value| value.to_str().ok())
            .or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
            .filter(|host| is_host(host))?;
        let scheme = if Client::from_parts(parts).encrypted { "https" } else { "http" };
        Some(BaseUrl(Arc::from(format!("{scheme}://{host}"))))
    }

    /// Returns the host name, without a port.
    pub fn host(&self) -> &str {
        let host = self.0.split_once("://").map_or(&*self.0, |(_, host)| host);
        host.split('/')
            .next()
            .and_then(|host| host.rsplit_once(':').map_or(Some(host), |(name, _)| Some(name)))
            .unwrap_or("localhost")
    }
}

/// Returns whether a Host header holds nothing but a host and a port, so that it can stand in a link.
fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']' | b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: Option<&str>, trusted: &[&str]) -> Client {
        let mut headers = HeaderMap::new();
        if let Some(forwarded) = forwarded {
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
        }
        let settings = Settings {
            trusted_proxies: trusted.iter().map(|net| net.parse().unwrap()).collect(),
            ..Settings::default()
        };
        let local = "127.0.0.1:8080".parse().unwrap();
        let peer = Peer { address: peer.parse().unwrap(), local, encrypted: false };
        Client::of(&headers, Some(peer), &settings, Arc::from("r"))
    }

    #[test]
    fn forwarded_headers_count_only_from_configured_proxies() {
        let spoofed = client("203.0.113.9:1", Some("127.0.0.1"), &[]);
        assert_eq!(spoofed.address, Some("203.0.113.9".parse().unwrap()));
        assert!(spoofed.unvouched_forwarding);
        let proxied = client("10.0.0.1:1", Some("198.51.100.7, 203.0.113.9, 10.0.0.2"), &["10.0.0.0/8"]);
        assert_eq!(proxied.address, Some("203.0.113.9".parse().unwrap()));
        assert!(!proxied.unvouched_forwarding);
        let garbled = client("10.0.0.1:1", Some("nonsense"), &["10.0.0.0/8"]);
        assert_eq!(garbled.address, Some("10.0.0.1".parse().unwrap()));
    }
}
