//! Somebody who sends requests.

use serde_json::{Value, json};
use ureq::http::{HeaderMap, Method, Request};

use crate::contract;

/// Somebody who sends requests, with or without a token.
#[derive(Clone)]
pub struct Caller {
    pub url: String,
    pub token: Option<String>,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

/// Returns the value of an `Authorization` header for HTTP Basic.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

impl Answer {
    /// Returns the body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON in {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Expects a status, and returns the answer.
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Expects a status and a body.
    #[track_caller]
    pub fn expect_json(self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body));
    }
}

impl Caller {
    pub fn new(url: &str, token: Option<String>) -> Caller {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(std::time::Duration::from_secs(60)))
            .build();
        Caller { url: url.to_owned(), token, agent: config.into() }
    }

    /// Returns the same caller with another token.
    pub fn with_token(&self, token: &str) -> Caller {
        Caller { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Sends a request as it is: the path from the root, headers beside the token's, and a body.
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Sends a request to a server that may be gone, or go while it answers.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer, ureq::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = Request::builder().method(method.clone()).uri(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header("PRIVATE-TOKEN", token);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_vec()).expect("a request");
        // Bodies with GET and DELETE are what some clients send.
        let request = self.agent.configure_request(request).allow_non_standard_methods(true).build();
        let mut answer = self.agent.run(request)?;
        let bytes = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let answer = Answer { status: answer.status().as_u16(), headers: answer.headers().clone(), text };
        contract::check(method.as_str(), path, &answer);
        Ok(answer)
    }

    /// Posts JSON to a server that may be gone, or go while it answers.
    pub fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let json = [("content-type", "application/json")];
        self.try_send("POST", &format!("/api/v4{path}"), &json, body.to_string().as_bytes())
    }

    fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let path = format!("/api/v4{path}");
        if body.is_null() {
            self.send(method, &path, &[], b"")
        } else {
            self.send(method, &path, &[("content-type", "application/json")], body.to_string().as_bytes())
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.json("GET", path, &Value::Null)
    }

    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.json("POST", path, &body)
    }

    pub fn put(&self, path: &str, body: Value) -> Answer {
        self.json("PUT", path, &body)
    }

    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.json("PATCH", path, &body)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.json("DELETE", path, &Value::Null)
    }

    /// Uploads a file to a project, as the part `file` of a form.
    pub fn upload(&self, project: i64, file_name: &str, content: &[u8]) -> Answer {
        let head = format!(
            "--boundary\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\n"
        );
        let form = [head.as_bytes(), content, b"\r\n--boundary--\r\n"].concat();
        let kind = [("content-type", "multipart/form-data; boundary=boundary")];
        self.send("POST", &format!("/api/v4/projects/{project}/uploads"), &kind, &form)
    }

    /// Publishes a file of a generic package; `path` is name, version and file name.
    pub fn publish(&self, project: i64, path: &str, content: &[u8]) -> Answer {
        self.send("PUT", &format!("/api/v4/projects/{project}/packages/generic/{path}"), &[], content)
    }

    /// Creates an issue, and returns its number.
    #[track_caller]
    pub fn issue(&self, project: i64, title: &str) -> i64 {
        let answer = self.post(&format!("/projects/{project}/issues"), json!({ "title": title })).expect(201);
        answer.json()["iid"].as_i64().expect("a number")
    }
}
