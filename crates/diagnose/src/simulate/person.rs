//! The person at the browser: signs in and consents by the server's own pages, and looks at what those say.

use reqwest::Client;
use reqwest::header::LOCATION;
use scraper::{ElementRef, Html, Selector};
use url::Url;

use super::exchange::{Came, Request};
use super::report::{Step, Why};
use super::shown::shortened;

const AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
/// The most pages on the way.
const MOST_HOPS: usize = 20;

/// Who sits at the browser.
pub(super) struct Person<'a> {
    /// Keeps cookies; the same one for the whole run.
    pub(super) browser: &'a Client,
    pub(super) user: &'a str,
    pub(super) password: &'a str,
    /// Says no at the consent page.
    pub(super) denies: bool,
}

/// What the pages must say, and where all this must end.
pub(super) struct Expected<'a> {
    pub(super) client_name: Option<&'a str>,
    pub(super) redirect_uri: &'a str,
}

/// Where the browser was sent in the end.
pub(super) struct Arrived {
    pub(super) url: String,
    /// What the person was asked.
    pub(super) asked: Asked,
}

/// What a person is asked before a client gets its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Nothing,
    /// One click: it was approved before.
    ToContinue,
    Everything,
}

struct Form {
    action: String,
    fields: Vec<(String, String)>,
}

impl Person<'_> {
    /// Opens the authorization address and does what the pages ask, until the browser is sent to the client.
    ///
    /// # Errors
    /// When a page leads nowhere, or says something other than it must.
    pub(super) async fn go(&self, step: &mut Step, url: &str, expected: &Expected<'_>) -> Result<Arrived, Why> {
        let (mut here, mut form) = (parse(url)?, None::<Form>);
        let (mut signed_in, mut asked) = (false, Asked::Nothing);
        for _ in 0..MOST_HOPS {
            ends_no_window(&here)?;
            keeps_secrets(&here)?;
            let came = self.load(step, &here, form.take()).await?;
            if let Some(target) = redirect(&here, &came)? {
                if leads_to(&target, expected.redirect_uri) {
                    return Ok(Arrived { url: target, asked });
                }
                here = within(&here, &target, expected.redirect_uri)?;
                continue;
            }
            let page = Html::parse_document(&came.text);
            if let Some(url) = handoff(&page, expected.redirect_uri) {
                return Ok(Arrived { url, asked });
            }
            let next = if let Some(own) = form_with(&page, "input[type=password]") {
                if signed_in {
                    return Err(Why(format!("the sign-in was refused: {}", words(&page, ".alert"))));
                }
                signed_in = true;
                self.filled_in(own)
            } else if let Some(own) = form_with(&page, "button[name=decision]") {
                judge_consent(&page, expected)?;
                let short = !select(&page, "form.continue").is_empty();
                asked = if short { Asked::ToContinue } else { Asked::Everything };
                self.decided(own)
            } else {
                return Err(Why(dead_end(&page, &came)));
            };
            here = target_of(&here, &next)?;
            form = Some(next);
        }
        Err(Why(format!("after {MOST_HOPS} pages the browser is still not sent back")))
    }

    async fn load(&self, step: &mut Step, here: &Url, form: Option<Form>) -> Result<Came, Why> {
        let request = match form {
            None => Request::get(here.as_str()),
            Some(form) => {
                let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
                Request::post(here.as_str()).form(&fields)
            }
        };
        request.header("accept", "text/html,*/*;q=0.8").header("user-agent", AGENT).send(self.browser, step).await
    }

    fn filled_in(&self, mut form: Form) -> Form {
        for (name, value) in &mut form.fields {
            match name.as_str() {
                "username" => self.user.clone_into(value),
                "password" => self.password.clone_into(value),
                _ => {}
            }
        }
        form
    }

    fn decided(&self, mut form: Form) -> Form {
        form.fields.push(("decision".to_owned(), if self.denies { "deny" } else { "approve" }.to_owned()));
        form
    }
}

/// I13: windows of clients close at the first address with `code=` or `error=`, whoever's it is.
fn ends_no_window(here: &Url) -> Result<(), Why> {
    let own = here.as_str();
    match ["?code=", "&code=", "?error=", "&error="].iter().find(|mark| own.contains(*mark)) {
        Some(mark) => Err(Why(format!(
            "the server's own address {} holds “{mark}”, at which windows of clients close too early",
            own.split('?').next().unwrap_or_default()
        ))),
        None => Ok(()),
    }
}

/// Nobody types a password into a page that came without TLS, unless it came from this very machine.
fn keeps_secrets(here: &Url) -> Result<(), Why> {
    let local = matches!(here.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if here.scheme() == "https" || local {
        return Ok(());
    }
    let site = here.origin().ascii_serialization();
    Err(Why(format!(
        "the sign-in is at {site}, without TLS: no password is typed in there; set public_url to the https address"
    )))
}

/// Where a redirect leads; none for a page.
fn redirect(here: &Url, came: &Came) -> Result<Option<String>, Why> {
    let Some(location) = came.header(LOCATION.as_str()) else { return Ok(None) };
    match came.status {
        302 | 303 => {}
        // RFC 9700 §4.12: these send the form on, password included.
        307 | 308 => {
            return Err(Why(format!("a redirect with {} would send the form on to the next site", came.status)));
        }
        _ => return Ok(None),
    }
    let target = here.join(location).map_err(|_| Why(format!("a redirect leads to “{location}”, no address")))?;
    // The text as sent where it is whole: parsing could mend what the client would see broken.
    let whole = Url::parse(location).is_ok();
    Ok(Some(if whole { location.to_owned() } else { target.into() }))
}

fn leads_to(target: &str, redirect_uri: &str) -> bool {
    target.strip_prefix(redirect_uri).is_some_and(|rest| rest.starts_with(['?', '&']))
}

/// The next page, which must be the server's own.
fn within(here: &Url, target: &str, redirect_uri: &str) -> Result<Url, Why> {
    let next = parse(target)?;
    if next.origin() == here.origin() && next.origin().is_tuple() {
        return Ok(next);
    }
    let shown = target.split('?').next().unwrap_or_default();
    Err(Why(format!("the browser is sent to {shown}, which is neither this server nor the callback {redirect_uri}")))
}

/// Where a form is sent: to the site that shows it, for the password must go nowhere else.
fn target_of(here: &Url, form: &Form) -> Result<Url, Why> {
    let target = here.join(&form.action).map_err(|_| Why(format!("a form leads to “{}”, no address", form.action)))?;
    if target.origin() == here.origin() {
        return Ok(target);
    }
    Err(Why(format!("a form would be sent to another site, {}", target.origin().ascii_serialization())))
}

/// The link of the page that hands over to an app on the device.
fn handoff(page: &Html, redirect_uri: &str) -> Option<String> {
    let links = select(page, "a[href]").into_iter().filter_map(|link| link.value().attr("href"));
    links.map(str::to_owned).find(|link| leads_to(link, redirect_uri))
}

fn judge_consent(page: &Html, expected: &Expected<'_>) -> Result<(), Why> {
    let text = words(page, "main");
    if let Some(name) = expected.client_name
        && !text.contains(name)
    {
        return Err(Why(format!("the consent page doesn't name the client, “{name}”: a person can't tell who asks")));
    }
    let callback = parse(expected.redirect_uri)?;
    let destination = match callback.scheme() {
        "http" | "https" => callback.host_str().unwrap_or_default().to_owned(),
        scheme => format!("{scheme}:"),
    };
    if !text.contains(&destination) {
        return Err(Why(format!("the consent page doesn't say that the answer goes to “{destination}”")));
    }
    Ok(())
}

/// The first form that has such an element: where it goes, and its fields as they stand.
fn form_with(page: &Html, having: &str) -> Option<Form> {
    let having = Selector::parse(having).ok()?;
    let inputs = Selector::parse("input[name]").ok()?;
    let form = select(page, "form").into_iter().find(|form| form.select(&having).next().is_some())?;
    let value = |input: &ElementRef<'_>, name| input.value().attr(name).unwrap_or_default().to_owned();
    Some(Form {
        action: form.value().attr("action").unwrap_or_default().to_owned(),
        fields: form.select(&inputs).map(|input| (value(&input, "name"), value(&input, "value"))).collect(),
    })
}

fn select<'a>(page: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    Selector::parse(selector).map(|selector| page.select(&selector).collect()).unwrap_or_default()
}

/// The text of the first such element, in one line.
fn words(page: &Html, selector: &str) -> String {
    let text = select(page, selector).first().map(|found| found.text().collect::<Vec<_>>().join(" "));
    text.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What a page says on which nothing can be done.
fn dead_end(page: &Html, came: &Came) -> String {
    let text = words(page, "main");
    if text.is_empty() {
        return format!("the browser ends at a page with status {} that is no page of this product", came.status);
    }
    format!("the browser ends at a page ({}) that says: {}", came.status, text.chars().take(600).collect::<String>())
}

fn parse(url: &str) -> Result<Url, Why> {
    Url::parse(url).map_err(|_| Why(format!("“{}” is no address", shortened(url))))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::{Form, ends_no_window, leads_to, target_of};

    /// T37: what the person types in goes to the site that asks, and to no other.
    #[test]
    fn forms_go_to_their_own_site_alone() {
        let here = Url::parse("https://h/login").unwrap();
        let to = |action: &str| target_of(&here, &Form { action: action.to_owned(), fields: Vec::new() });
        assert_eq!(to("/login").unwrap().as_str(), "https://h/login");
        for other in ["https://evil.example/login", "//evil.example/", "http://h/login", "javascript:x"] {
            assert!(to(other).is_err(), "{other}");
        }
    }

    /// I13: parameters whose names merely begin so are no end.
    #[test]
    fn only_code_and_error_end_a_window() {
        let ends = |url: &str| ends_no_window(&Url::parse(url).unwrap()).is_err();
        assert!(ends("https://h/login?code=1") && ends("https://h/login?a=b&error=x"));
        assert!(!ends("https://h/authorize?client_id=x&code_challenge=y&state=%26code%3D1"));
    }

    /// The callback is the registered one, to the character.
    #[test]
    fn a_callback_is_met_exactly() {
        assert!(leads_to("https://a/cb?code=x", "https://a/cb"));
        assert!(leads_to("https://a/cb?own=1&code=x", "https://a/cb?own=1"));
        for other in ["https://a/cb/?code=x", "https://a/cbx?code=x", "https://A/cb?code=x", "https://a/cb"] {
            assert!(!leads_to(other, "https://a/cb"), "{other}");
        }
    }
}
