//! Pages of a list: which one is asked for, and the headers that lead to the others.

use axum::Json;
use axum::http::header::LINK;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use portcullis_app::records::select::{Listing, Window};
use serde::Serialize;

use crate::client::BaseUrl;
use crate::params::query_pairs;

/// The page that is asked for. More than 100 rows are cut to 100, as GitLab does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Counted from 1.
    pub number: i64,
    /// Rows on it.
    pub size: i64,
}

/// The most rows a page has.
const MAX_SIZE: i64 = 100;

/// Pages beyond this many rows are not looked for: a client that goes there is lost.
const MAX_OFFSET: i64 = 1_000_000_000;

impl Page {
    /// Returns the page with these numbers; nonsense falls back to the first page of 20.
    pub fn new(number: Option<i64>, size: Option<i64>) -> Page {
        Page {
            number: number.unwrap_or(1).clamp(1, MAX_OFFSET),
            size: match size {
                Some(size) if size > 0 => size.min(MAX_SIZE),
                _ => 20,
            },
        }
    }

    /// Returns the page that a request asks for in its query.
    pub fn of(parts: &Parts) -> Page {
        let pairs = query_pairs(parts.uri.query().unwrap_or_default());
        let number = |wanted: &str| {
            pairs.iter().find(|(name, _)| name == wanted).and_then(|(_, value)| value.parse().ok())
        };
        Page::new(number("page"), number("per_page"))
    }

    /// Returns the window of rows.
    pub fn window(self) -> Window {
        Window { limit: self.size, offset: ((self.number - 1) * self.size).min(MAX_OFFSET) }
    }
}

/// What links to other pages are made of: the request's own address without what must not be repeated.
#[derive(Clone, Debug)]
pub struct PageLinks {
    base: String,
    query: Vec<(String, String)>,
}

impl PageLinks {
    /// Returns the links of a request. Its filters are repeated; its token, should it be in the URL, is not.
    pub fn of(parts: &Parts, base: &BaseUrl) -> PageLinks {
        let query = query_pairs(parts.uri.query().unwrap_or_default())
            .into_iter()
            .filter(|(name, _)| !matches!(name.as_str(), "page" | "per_page" | "private_token"))
            .collect();
        PageLinks { base: format!("{}{}", base.0, parts.uri.path()), query }
    }

    fn to(&self, number: i64, size: i64) -> String {
        let mut url = self.base.clone();
        let numbers = [("page".to_owned(), number.to_string()), ("per_page".to_owned(), size.to_string())];
        for (index, (name, value)) in self.query.iter().chain(&numbers).enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(&encoded(name));
            url.push('=');
            url.push_str(&encoded(value));
        }
        url
    }

    /// Returns the link to the page of this size behind `last`, which the parameter `name` carries.
    fn behind(&self, name: &str, last: &str, size: i64) -> String {
        let others = self.query.iter().filter(|(other, _)| other != name).cloned();
        let place = [(name.to_owned(), last.to_owned()), ("per_page".to_owned(), size.to_string())];
        let pairs: Vec<_> = others
            .chain(place)
            .map(|(name, value)| format!("{}={}", encoded(&name), encoded(&value)))
            .collect();
        format!("{}?{}", self.base, pairs.join("&"))
    }
}

/// Returns a page of a list that is gone through by what stands last on each page: with a link to the next one, and no
/// totals. The parameter `name` carries the place; `last` is `None` on the last page.
pub fn behind<T: Serialize>(
    page: Page,
    links: &PageLinks,
    items: Vec<T>,
    name: &str,
    last: Option<&str>,
) -> Response {
    let mut response = Json(items).into_response();
    let link = last.map(|last| format!("<{}>; rel=\"next\"", links.behind(name, last, page.size)));
    if let Some(value) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(LINK, value);
    }
    response
}

/// Percent-encodes everything but what is unreserved (RFC 3986, section 2.3).
pub(crate) fn encoded(text: &str) -> String {
    const KEPT: percent_encoding::AsciiSet =
        percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    percent_encoding::utf8_percent_encode(text, &KEPT).to_string()
}

/// Percent-encodes a name for the path of an address: its slashes stay.
pub(crate) fn encoded_path(text: &str) -> String {
    encoded(text).replace("%2F", "/")
}

/// Returns a page as a response, with GitLab's headers: on an empty list too, and without totals where there are too many
/// rows to count.
pub fn paginated<T: Serialize>(page: Page, links: &PageLinks, listing: Listing<T>) -> Response {
    let full = i64::try_from(listing.items.len()).unwrap_or(0) >= page.size;
    with_links(page, links, listing, full)
}

/// Returns a page of a list that nobody has counted, but of which it is known whether there is more.
pub fn uncounted<T: Serialize>(page: Page, links: &PageLinks, items: Vec<T>, more: bool) -> Response {
    with_links(page, links, Listing { items, total: None }, more)
}

fn with_links<T: Serialize>(page: Page, links: &PageLinks, listing: Listing<T>, more: bool) -> Response {
    let mut headers = HeaderMap::new();
    let mut set = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    let last = listing.total.map(|total| (total.max(1) - 1) / page.size + 1);
    let more = last.map_or(more, |last| page.number < last);
    let next = more.then_some(page.number + 1);
    let previous = (page.number > 1).then_some(page.number - 1);
    let text = |number: Option<i64>| number.map(|number| number.to_string()).unwrap_or_default();
    set("x-page", page.number.to_string());
    set("x-per-page", page.size.to_string());
    set("x-next-page", text(next));
    set("x-prev-page", text(previous));
    if let (Some(total), Some(last)) = (listing.total, last) {
        set("x-total", total.to_string());
        set("x-total-pages", last.to_string());
    }
    let numbered = [("prev", previous), ("next", next), ("first", Some(1)), ("last", last)];
    let link: Vec<_> = numbered
        .into_iter()
        .filter_map(|(rel, number)| {
            number.map(|number| format!("<{}>; rel=\"{rel}\"", links.to(number, page.size)))
        })
        .collect();
    set("link", link.join(", "));
    (headers, Json(listing.items)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(uri: &str) -> PageLinks {
        let request = axum::http::Request::builder().uri(uri).body(()).unwrap();
        PageLinks::of(&request.into_parts().0, &BaseUrl("http://h".into()))
    }

    fn header(response: &Response, name: &str) -> String {
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    #[test]
    fn headers_lead_to_the_other_pages_and_never_repeat_a_token() {
        let listing = Listing { items: vec![1, 2], total: Some(5) };
        let links = links("/api/v4/x?state=active&private_token=secret&page=2&per_page=2");
        let response = paginated(Page::new(Some(2), Some(2)), &links, listing);
        assert_eq!(header(&response, "x-total"), "5");
        assert_eq!(header(&response, "x-total-pages"), "3");
        assert_eq!(header(&response, "x-next-page"), "3");
        assert_eq!(header(&response, "x-prev-page"), "1");
        let link = header(&response, "link");
        assert!(link.contains("<http://h/api/v4/x?state=active&page=3&per_page=2>; rel=\"next\""), "{link}");
        assert!(!link.contains("secret"));
        assert_eq!(header(&response, "content-type"), "application/json");
    }

    #[test]
    fn an_empty_list_has_headers_too() {
        let response =
            paginated(Page::new(None, None), &links("/x"), Listing::<i64> { items: vec![], total: Some(0) });
        assert_eq!(header(&response, "x-total-pages"), "1");
        assert_eq!(header(&response, "x-next-page"), "");
        assert!(response.headers().contains_key("x-next-page"));
    }

    #[test]
    fn sizes_are_clamped() {
        assert_eq!(Page::new(Some(-3), Some(1_000)), Page { number: 1, size: 100 });
        assert_eq!(Page::new(None, Some(0)), Page { number: 1, size: 20 });
    }
}
