//! The manual as pages: nobody has to sign in, and every link leads somewhere.

use std::collections::{BTreeMap, BTreeSet};

use scraper::{Html, Selector};
use url::Url;

use crate::on_both_databases;
use crate::server::{TestServer, http};

/// A page's links and the ids in it.
fn links_and_ids(body: &str) -> (Vec<String>, BTreeSet<String>) {
    let page = Html::parse_document(body);
    let all = |selector: &str, name: &str| {
        let selector = Selector::parse(selector).unwrap();
        page.select(&selector).filter_map(|own| own.attr(name)).map(str::to_owned).collect::<Vec<_>>()
    };
    (all("a[href]", "href"), all("[id]", "id").into_iter().collect())
}

on_both_databases! {
    async fn every_link_of_the_manual_leads_somewhere(database) {
        let server = TestServer::start(database).await;
        let start = Url::parse(&server.url("/docs/manual/")).unwrap();
        let (mut pages, mut waiting) = (BTreeMap::new(), vec![start.clone()]);
        while let Some(address) = waiting.pop() {
            if pages.contains_key(address.as_str()) {
                continue;
            }
            let answer = http().get(address.clone()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{address}");
            let body = answer.text().await.unwrap();
            let (links, ids) = links_and_ids(&body);
            let links: Vec<Url> = links.iter().map(|link| address.join(link).unwrap()).collect();
            for link in links.iter().filter(|link| link.as_str().starts_with(start.as_str())) {
                let mut page = link.clone();
                page.set_fragment(None);
                waiting.push(page);
            }
            pages.insert(address.to_string(), (links, ids, body));
        }
        let written = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/manual")).unwrap().count();
        assert_eq!(pages.len(), written, "{:?}", pages.keys());
        for (address, (links, _, body)) in &pages {
            for link in links {
                let mut page = link.clone();
                page.set_fragment(None);
                if let (Some((_, ids, _)), Some(anchor)) = (pages.get(page.as_str()), link.fragment()) {
                    assert!(ids.contains(anchor), "{address} leads to {link}, where no heading has that id");
                }
            }
            let text: String = Html::parse_document(body).root_element().text().collect();
            for sign in ["](", "**", "```", "|---", "see \""] {
                assert!(!text.contains(sign), "{address} shows {sign:?}");
            }
            assert!(!body.contains("<script") && !body.contains("style="), "{address}");
        }
    }

    async fn pages_are_found_by_either_name_and_missing_ones_say_so(database) {
        let server = TestServer::start(database).await;
        for path in ["/docs/manual/", "/docs/manual/index", "/docs/manual/clients", "/docs/manual/clients.md"] {
            assert_eq!(http().get(server.url(path)).send().await.unwrap().status(), 200, "{path}");
        }
        let moved = http().get(server.url("/docs/manual")).send().await.unwrap();
        assert_eq!((moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()), (308, "/docs/manual/"));
        let missing = http().get(server.url("/docs/manual/nothing")).send().await.unwrap();
        assert_eq!(missing.status(), 404);
        assert!(missing.text().await.unwrap().contains(&server.url("/docs/manual/")));
    }
}
