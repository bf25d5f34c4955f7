//! Somebody with a browser: a cookie, and the origin that browsers send with a form.

use crate::{Answer, Caller, TestForge};

/// Somebody with a browser.
pub struct Browser<'a> {
    pub forge: &'a TestForge,
    pub caller: Caller,
    pub cookie: Option<String>,
}

impl<'a> Browser<'a> {
    pub fn new(forge: &'a TestForge) -> Browser<'a> {
        Browser { forge, caller: forge.anyone(), cookie: None }
    }

    /// Returns the browser of a person who is given a password and signed in.
    #[track_caller]
    pub fn signed_in(forge: &'a TestForge, username: &str) -> Browser<'a> {
        Browser { cookie: Some(forge.session(username)), ..Browser::new(forge) }
    }

    pub fn get(&self, path: &str) -> Answer {
        let cookie = self.cookie.as_deref().map(|cookie| ("cookie", cookie));
        self.caller.send("GET", path, cookie.as_slice(), b"")
    }

    /// Sends a form of one of our own pages.
    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let url = self.forge.url.clone();
        let mut headers =
            vec![("origin", url.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        headers.extend(self.cookie.as_deref().map(|cookie| ("cookie", cookie)));
        self.caller.send("POST", path, &headers, encoded(fields).as_bytes())
    }

    /// Signs in, and keeps the cookie.
    pub fn sign_in(&mut self, login: &str, password: &str) -> Answer {
        let answer = self.post("/users/sign_in", &[("login", login), ("password", password)]);
        if let Some(cookie) = answer.header("set-cookie") {
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer
    }
}

/// Returns the fields of a form as a browser sends them.
pub fn encoded(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    fields.join("&")
}

/// Returns the number of the form in a page that must not be acted on twice.
#[track_caller]
pub fn form_number(page: &str) -> String {
    let rest = page.split("name=\"form_number\" value=\"").nth(1).expect("a form with a number");
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// Returns what an authenticator with this secret (base32, spaces allowed) shows at a moment in Unix microseconds.
#[track_caller]
pub fn authenticator_code(secret: &str, at: i64) -> String {
    let secret: String = secret.chars().filter(|character| !character.is_whitespace()).collect();
    let secret = totp_rs::Secret::try_from_base32(secret).expect("base32");
    let totp =
        totp_rs::Builder::new().with_secret(secret).with_account_name("test").build().expect("a secret");
    totp.generate(u64::try_from(at / 1_000_000).expect("a time")).to_string()
}
