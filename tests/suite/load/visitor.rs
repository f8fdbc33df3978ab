//! A person's browser that tries again when the server asks for it.

use std::collections::BTreeMap;

use reqwest::Method;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use url::Url;

use super::caller::Caller;
use crate::browser::Page;
use crate::connector::form;

/// A browser.
#[derive(Clone)]
pub struct Visitor {
    caller: Caller,
    pub cookies: BTreeMap<String, String>,
}

/// Which part of the server a path belongs to.
fn part(path: &str) -> &'static str {
    match path.trim_start_matches('/').split('/').next().unwrap_or_default() {
        "authorize" => "authorize",
        "login" => "login",
        "consent" => "consent",
        "account" => "account",
        "logout" => "logout",
        _ => "page",
    }
}

impl Visitor {
    pub fn new(caller: &Caller) -> Self {
        Self { caller: caller.clone(), cookies: BTreeMap::new() }
    }

    /// The `Cookie` header.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    async fn go(&mut self, method: Method, place: &str, fields: Option<&BTreeMap<String, String>>) -> Page {
        let url = Url::parse(&self.caller.origin).unwrap().join(place).unwrap();
        let mut request = self.caller.request(method, url.as_str());
        if !self.cookies.is_empty() {
            request = request.header(COOKIE, self.cookie());
        }
        if let Some(fields) = fields {
            let pairs: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(form(&pairs));
        }
        let reply = self.caller.send(part(url.path()), request).await;
        for cookie in reply.headers.get_all(SET_COOKIE) {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { status: reply.status, url: url.into(), headers: reply.headers, body: reply.text }
    }

    /// Follows redirects inside the server; gives the page, or the address outside that it ends at.
    async fn follow(&mut self, mut page: Page) -> Result<Page, Url> {
        for _ in 0..10 {
            let Some(location) = page.headers.get(LOCATION) else { return Ok(page) };
            let location = Url::parse(&page.url).unwrap().join(location.to_str().unwrap()).unwrap();
            if location.origin().ascii_serialization() != self.caller.origin {
                return Err(location);
            }
            page = self.go(Method::GET, location.as_str(), None).await;
        }
        panic!("more than ten redirects from {}", page.url);
    }

    /// Opens an address that shows a page.
    pub async fn open(&mut self, place: &str) -> Page {
        let page = self.go(Method::GET, place, None).await;
        let page = self.follow(page).await.unwrap_or_else(|away| panic!("was sent to {away}"));
        assert_eq!(page.status, 200, "{}: {}", page.url, page.text());
        page
    }

    /// Sends the form that has this field, with these values; gives where that led.
    pub async fn fill_in(&mut self, page: &Page, having: &str, values: &[(&str, &str)]) -> Result<Page, Url> {
        let (action, mut fields) = page.fields(having);
        fields.extend(values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let page = self.go(Method::POST, &action, Some(&fields)).await;
        self.follow(page).await
    }

    /// Sends the form whose action ends like this.
    pub async fn press(&mut self, page: &Page, action_end: &str) {
        let (action, fields) = page.form_to(action_end);
        let page = self.go(Method::POST, &action, Some(&fields)).await;
        let page = self.follow(page).await.unwrap_or_else(|away| panic!("was sent to {away}"));
        assert_eq!(page.status, 200, "{}: {}", page.url, page.text());
    }
}
