//! A browser without a screen: keeps cookies, follows redirects inside the server, fills in forms, and stops where
//! it is sent to a client.

use std::collections::BTreeMap;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Method, StatusCode};
use scraper::{Html, Selector};
use url::Url;

use crate::server::{PASSWORD, TestServer, USER, http};

/// A person's browser.
pub struct Browser {
    http: Client,
    origin: String,
    pub cookies: BTreeMap<String, String>,
    /// Sent with each request.
    pub headers: Vec<(&'static str, String)>,
    /// All addresses that were asked for.
    pub visited: Vec<String>,
}

/// What a request led to.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub url: String,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

/// Where the browser ended up.
#[derive(Debug)]
pub enum Landing {
    /// A page of the server.
    Page(Page),
    /// It was sent to a client's callback.
    Callback(Callback),
}

/// A client's callback with its parameters.
#[derive(Debug, Clone)]
pub struct Callback {
    pub url: Url,
}

impl Callback {
    /// The values of a parameter.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.url.query_pairs().filter(|(own, _)| own == name).map(|(_, value)| value.into_owned()).collect()
    }

    /// The value of a parameter that must stand once.
    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} stands {} times in {}", all.len(), self.url);
        all[0].clone()
    }
}

impl Landing {
    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => page,
            Self::Callback(callback) => panic!("expected a page, was sent to {}", callback.url),
        }
    }

    pub fn callback(self) -> Callback {
        match self {
            Self::Callback(callback) => callback,
            Self::Page(page) => panic!("expected a callback, got {} {}\n{}", page.status, page.url, page.body),
        }
    }
}

impl Page {
    /// The fields of the page's only form (or the first that has this field).
    pub fn fields(&self, having: &str) -> (String, BTreeMap<String, String>) {
        let html = Html::parse_document(&self.body);
        let input = Selector::parse("input").unwrap();
        for form in html.select(&Selector::parse("form").unwrap()) {
            let fields: BTreeMap<_, _> = form
                .select(&input)
                .filter_map(|input| {
                    let name = input.value().attr("name")?;
                    Some((name.to_owned(), input.value().attr("value").unwrap_or_default().to_owned()))
                })
                .collect();
            if fields.contains_key(having) {
                return (form.value().attr("action").unwrap_or_default().to_owned(), fields);
            }
        }
        panic!("no form with {having:?} at {} ({}):\n{}", self.url, self.status, self.body);
    }

    /// The action and the fields of the first form whose action ends like this.
    pub fn form_to(&self, action_end: &str) -> (String, BTreeMap<String, String>) {
        let html = Html::parse_document(&self.body);
        let forms = Selector::parse("form").unwrap();
        let form = html
            .select(&forms)
            .find(|form| form.value().attr("action").is_some_and(|action| action.ends_with(action_end)))
            .unwrap_or_else(|| panic!("no form to {action_end} at {}:\n{}", self.url, self.body));
        let input = Selector::parse("input").unwrap();
        let fields = form.select(&input).filter_map(|input| {
            let name = input.value().attr("name")?;
            Some((name.to_owned(), input.value().attr("value").unwrap_or_default().to_owned()))
        });
        (form.value().attr("action").unwrap_or_default().to_owned(), fields.collect())
    }

    /// Whether this is the whole consent page.
    pub fn asks(&self) -> bool {
        self.body.contains("value=\"approve\"") && !self.asks_to_continue()
    }

    /// Whether this is the short page, for what was allowed before.
    pub fn asks_to_continue(&self) -> bool {
        self.body.contains("class=\"continue\"")
    }

    /// The page's text without markup.
    pub fn text(&self) -> String {
        let html = Html::parse_document(&self.body);
        let main = Selector::parse("main").unwrap();
        let text: Vec<&str> = html.select(&main).flat_map(|main| main.text()).map(str::trim).collect();
        text.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

impl Browser {
    pub fn new(server: &TestServer) -> Self {
        Self::at(&server.origin)
    }

    pub fn at(origin: &str) -> Self {
        Self {
            http: http(),
            origin: origin.to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
            visited: Vec::new(),
        }
    }

    /// From now on this copy of the server answers, as behind a load balancer.
    pub fn turn_to(&mut self, replica: &TestServer) {
        self.origin.clone_from(&replica.address);
    }

    /// One request, no redirect followed.
    pub async fn send(&mut self, method: Method, url: &str, form: Option<&BTreeMap<String, String>>) -> Page {
        let url = if url.starts_with('/') { format!("{}{url}", self.origin) } else { url.to_owned() };
        self.visited.push(url.clone());
        let mut request = self.http.request(method, &url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !self.cookies.is_empty() {
            let text = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
            request = request.header(COOKIE, text.join("; "));
        }
        if let Some(form) = form {
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (response.status(), response.headers().clone());
        Page { status, url, headers, body: response.text().await.unwrap() }
    }

    /// Sends the form whose action ends like this, as it stands in the page.
    pub async fn submit_to(&mut self, page: &Page, action_end: &str) -> Landing {
        let (action, fields) = page.form_to(action_end);
        let answer = self.send(Method::POST, &action, Some(&fields)).await;
        self.follow(answer).await
    }

    /// Opens an address and follows redirects as far as they stay on the server.
    pub async fn open(&mut self, url: &str) -> Landing {
        let page = self.send(Method::GET, url, None).await;
        self.follow(page).await
    }

    /// Follows redirects from a page.
    pub async fn follow(&mut self, mut page: Page) -> Landing {
        for _ in 0..10 {
            let Some(location) = page.headers.get(LOCATION) else { return Landing::Page(page) };
            assert_eq!(page.status, StatusCode::SEE_OTHER, "only 303 redirects are safe after a POST");
            let location = Url::parse(&page.url).unwrap().join(location.to_str().unwrap()).unwrap();
            if location.origin().ascii_serialization() != self.origin {
                return Landing::Callback(Callback { url: location });
            }
            page = self.send(Method::GET, location.as_str(), None).await;
        }
        panic!("more than ten redirects from {}", page.url);
    }

    /// Sends the form that has the first of these fields, filled in.
    pub async fn submit(&mut self, page: &Page, values: &[(&str, &str)]) -> Landing {
        let having = if values[0].0 == "decision" { "csrf" } else { values[0].0 };
        let (action, mut fields) = page.fields(having);
        for (name, value) in values {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        let answer = self.send(Method::POST, &action, Some(&fields)).await;
        self.follow(answer).await
    }

    /// Signs in on the page at hand.
    pub async fn sign_in_as(&mut self, page: &Page, name: &str, password: &str) -> Landing {
        self.submit(page, &[("username", name), ("password", password)]).await
    }

    /// Signs in as the user that every server has.
    pub async fn sign_in(&mut self, page: &Page) -> Landing {
        self.sign_in_as(page, USER, PASSWORD).await
    }

    /// Opens an authorization address and says yes to everything: sign-in if asked, consent if asked, whole or short.
    pub async fn allow(&mut self, url: &str) -> Callback {
        let mut landing = self.open(url).await;
        for _ in 0..3 {
            landing = match landing {
                Landing::Callback(callback) => return callback,
                Landing::Page(page) if page.body.contains("name=\"password\"") => self.sign_in(&page).await,
                Landing::Page(page) if page.body.contains("value=\"approve\"") => {
                    self.submit(&page, &[("decision", "approve")]).await
                }
                Landing::Page(page) => panic!("stuck at {} {}\n{}", page.status, page.url, page.text()),
            };
        }
        landing.callback()
    }
}
