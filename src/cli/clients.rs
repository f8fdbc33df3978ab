//! `client`: clients that an administrator enters, and stopping any client.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use known_clients::profile::Profiles;
use oauth::id::ClientId;
use oauth::time::Timestamp;
use serde::Serialize;

use super::{CliError, open, read_file, say};
use crate::admin::clients::draft::{Change, Draft, Rules};
use crate::admin::clients::view::{ClientView, Endpoints, NewSecret};
use crate::admin::clients::{self as managed, Addition, DEFAULT_OVERLAP, ManageError, Managed, logo};
use crate::clients::logo_path;
use crate::config::{Config, duration};
use crate::crypto::random::Random;
use crate::model::client::{Client, ClientOrigin};
use crate::model::clock::Clock;
use crate::model::secret::Secret;
use crate::store::{Page, Store};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Enter a client by hand: for forms that ask for an id and a secret
    Add(Box<Add>),
    /// List clients, newest first
    List {
        /// Only those of one origin: managed, registered, document
        #[arg(long, value_parser = ["managed", "registered", "document"])]
        origin: Option<String>,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a client
    Show {
        /// Its client id
        id: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a client; what isn't named stays
    Edit(Box<Edit>),
    /// Give a client a new secret; the old one stays good for a while
    RotateSecret {
        /// Its client id
        id: String,
        /// How long the old secret stays good: 0s to 90d, a day if left out
        #[arg(long, value_name = "TIME")]
        overlap: Option<String>,
        /// Read the new secret from standard input (the first line) instead of making one
        #[arg(long)]
        secret_stdin: bool,
        /// Only end the old secret of the rotation before
        #[arg(long, conflicts_with_all = ["overlap", "secret_stdin"])]
        end_old: bool,
        /// Print the answer as JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop a client of any origin: its connections end
    Disable {
        /// Its client id
        id: String,
    },
    /// Let a stopped client work again
    Enable {
        /// Its client id
        id: String,
    },
    /// Delete a client of any origin: its connections end, and its id is never given again
    Delete {
        /// Its client id
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// What people read when they are asked to let it in; with --for, the product's name if left out
    name: Option<String>,
    /// Fill in what is known of a client: chatgpt, claude, insomnia, cursor, vscode …
    #[arg(long = "for", value_name = "CLIENT")]
    profile: Option<String>,
    /// The id that it shall have; a new one is made otherwise
    #[arg(long)]
    id: Option<String>,
    /// Read its secret from standard input (the first line) instead of making one
    #[arg(long)]
    secret_stdin: bool,
    #[command(flatten)]
    properties: Given,
    /// Another callback beside those that --for fills in; may be given several times
    #[arg(long = "add-redirect-uri", value_name = "URI", conflicts_with = "redirect_uri")]
    more_callbacks: Vec<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Edit {
    /// Its client id
    id: String,
    /// What people read when they are asked to let it in
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    properties: Given,
    /// Another callback beside those that it has; may be given several times
    #[arg(long, value_name = "URI", conflicts_with = "redirect_uri")]
    add_redirect_uri: Vec<String>,
    /// A callback less; may be given several times
    #[arg(long, value_name = "URI", conflicts_with = "redirect_uri")]
    remove_redirect_uri: Vec<String>,
    /// Give it refresh tokens again
    #[arg(long, conflicts_with = "no_refresh")]
    refresh: bool,
    /// Ask people for consent again
    #[arg(long, conflicts_with = "first_party")]
    no_first_party: bool,
    /// Go back to what holds for everybody; may be given several times
    #[arg(long, value_enum, value_name = "PROPERTY")]
    clear: Vec<Clear>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Given {
    /// What it is for; people read it when they are asked
    #[arg(long)]
    description: Option<String>,
    /// Its callback, to the character; may be given several times
    #[arg(long, value_name = "URI")]
    redirect_uri: Vec<String>,
    /// none, `client_secret_post`, `client_secret_basic` or `private_key_jwt`; may be given several times. A secret both
    /// ways if left out
    #[arg(long, value_name = "METHOD")]
    auth_method: Vec<String>,
    /// Its public keys for `private_key_jwt`: a JWK set
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// Where its public keys are
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// Give it no refresh tokens: a person signs in again each time its access token is over
    #[arg(long)]
    no_refresh: bool,
    /// A scope that it can be granted; may be given several times. All if left out
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    allow_scope: Vec<String>,
    /// How long its access tokens live, instead of `tokens.access_ttl`
    #[arg(long, value_name = "TIME")]
    access_ttl: Option<String>,
    /// How long a connection may be unused, instead of `tokens.refresh_idle_ttl`
    #[arg(long, value_name = "TIME")]
    refresh_idle_ttl: Option<String>,
    /// How long a connection lasts, instead of `tokens.refresh_absolute_ttl`
    #[arg(long, value_name = "TIME")]
    refresh_absolute_ttl: Option<String>,
    /// It is your own: nobody is asked for consent when its answer goes to an https callback
    #[arg(long)]
    first_party: bool,
    /// Its home page
    #[arg(long, value_name = "URL")]
    client_uri: Option<String>,
    /// Its terms of service
    #[arg(long, value_name = "URL")]
    tos_uri: Option<String>,
    /// Its privacy policy
    #[arg(long, value_name = "URL")]
    policy_uri: Option<String>,
    /// Its logo: PNG, JPEG or WebP, at most 64 KiB, each side 16 to 1024 pixels
    #[arg(long, value_name = "FILE")]
    logo: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Clear {
    Description,
    AllowedScopes,
    AccessTtl,
    RefreshIdleTtl,
    RefreshAbsoluteTtl,
    ClientUri,
    TosUri,
    PolicyUri,
    Logo,
}

impl Given {
    fn draft(&self, name: Option<String>) -> Result<Draft, CliError> {
        let texts = |list: &Vec<String>| Change::to((!list.is_empty()).then(|| list.clone()));
        Ok(Draft {
            name: Change::to(name),
            description: Change::to(self.description.clone()),
            redirect_uris: texts(&self.redirect_uri),
            auth_methods: texts(&self.auth_method),
            jwks: Change::to(self.jwks_file.as_deref().map(read_file).transpose()?),
            jwks_uri: Change::to(self.jwks_uri.clone()),
            refresh: Change::to(self.no_refresh.then_some(false)),
            allowed_scopes: texts(&self.allow_scope),
            access_ttl: Change::to(self.access_ttl.clone()),
            refresh_idle_ttl: Change::to(self.refresh_idle_ttl.clone()),
            refresh_absolute_ttl: Change::to(self.refresh_absolute_ttl.clone()),
            first_party: Change::to(self.first_party.then_some(true)),
            client_uri: Change::to(self.client_uri.clone()),
            tos_uri: Change::to(self.tos_uri.clone()),
            policy_uri: Change::to(self.policy_uri.clone()),
        })
    }

    fn logo(&self) -> Result<Option<(&'static str, Vec<u8>)>, CliError> {
        let Some(path) = &self.logo else { return Ok(None) };
        let content = read_bytes(path)?;
        let kind = logo::judge(&content).map_err(|words| CliError::Other(format!("{}: {words}", path.display())))?;
        Ok(Some((kind, content)))
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, CliError> {
    let failed = |source| CliError::Read { path: path.to_owned(), source };
    let mut content = Vec::new();
    let most = u64::try_from(logo::MAX_BYTES).unwrap_or(u64::MAX) + 1;
    std::fs::File::open(path).map_err(failed)?.take(most).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let store = open(config).await?;
    let now = Clock::system().now();
    match command {
        Command::Add(arguments) => add(config, &store, *arguments, now).await,
        Command::Edit(arguments) => edit(config, &store, *arguments, now).await,
        Command::List { origin, json } => list(&store, origin.as_deref(), json, now).await,
        Command::Show { id, json } => show(config, &store, &named(id)?, json, now).await,
        Command::RotateSecret { id, end_old: true, .. } => {
            let id = found(&store, id).await?;
            if store.end_old_client_secret(&id).await? {
                say(&format!("The old secret of {id} is no longer good."))
            } else {
                say(&format!("{id} has no old secret that is still good."))
            }
        }
        Command::RotateSecret { id, overlap, secret_stdin, json, .. } => {
            let overlap = match overlap {
                None => DEFAULT_OVERLAP,
                Some(text) => duration::parse(&text).map_err(|words| CliError::Other(format!("--overlap: {words}")))?,
            };
            let own = secret_stdin.then(read_secret).transpose()?;
            let id = named(id)?;
            let logo = store.logo_set_at(&id).await?;
            let rotated = managed::rotate_secret(&store, &Random::system(), &id, own.as_deref(), overlap, now).await?;
            tell(config, &rotated, logo, "has a new secret", json, now)?;
            match rotated.client.secrets.old {
                Some(_) if !json => say(&format!("The old secret is good for another {}.", duration::format(overlap))),
                Some(_) | None => Ok(()),
            }
        }
        Command::Disable { id } => {
            let id = found(&store, id).await?;
            store.disable_client(&id, now).await?;
            say(&format!("Client {id} is disabled; its connections have ended."))
        }
        Command::Enable { id } => {
            let id = found(&store, id).await?;
            store.enable_client(&id, now).await?;
            say(&format!("Client {id} may connect again."))
        }
        Command::Delete { id } => {
            let id = found(&store, id).await?;
            store.delete_client(&id, now).await?;
            say(&format!("Client {id} is deleted; its connections have ended."))
        }
    }
}

async fn add(config: &Config, store: &Store, arguments: Add, now: Timestamp) -> Result<(), CliError> {
    let Add { name, profile, id, secret_stdin, properties, more_callbacks, json } = arguments;
    let mut draft = properties.draft(name)?;
    if let Some(profile) = &profile {
        let profiles =
            Profiles::load(config.clients.profiles_file.as_deref()).map_err(|error| CliError::Build(error.into()))?;
        draft.fill_for(profile, &profiles).map_err(ManageError::from)?;
    }
    if !more_callbacks.is_empty() {
        let mut uris = match draft.redirect_uris {
            Change::Set(uris) => uris,
            Change::Keep | Change::Clear => Vec::new(),
        };
        uris.extend(more_callbacks);
        draft.redirect_uris = Change::Set(uris);
    }
    let logo = properties.logo()?;
    let secret = secret_stdin.then(read_secret).transpose()?;
    let addition = Addition { draft, id, secret };
    let added = managed::add(store, &Rules::of(config), &Random::system(), &addition, now).await?;
    // The secret first: what fails after it can be done again.
    tell(config, &added, None, "is made", json, now)?;
    if let Some((kind, content)) = logo {
        store.put_logo(&added.client.id, kind, &content, now).await?;
    }
    if profile.as_deref() == Some("chatgpt") && !json {
        say("\nChatGPT shows the callback of a connector in its form. If it isn't among those above, add it:\n  \
             portcullis client edit ID --add-redirect-uri https://chatgpt.com/connector/oauth/…")?;
    }
    Ok(())
}

async fn edit(config: &Config, store: &Store, arguments: Edit, now: Timestamp) -> Result<(), CliError> {
    let id = found(store, arguments.id.clone()).await?;
    let mut draft = arguments.properties.draft(arguments.name.clone())?;
    let mut revision = None;
    if !arguments.add_redirect_uri.is_empty() || !arguments.remove_redirect_uri.is_empty() {
        let present = store.find_revised_client(&id).await?;
        let (client, found_revision) = present.ok_or_else(|| ManageError::Unknown(id.clone()))?;
        let mut uris: Vec<String> = client.metadata.redirect_uris.iter().map(|uri| uri.as_str().to_owned()).collect();
        for gone in &arguments.remove_redirect_uri {
            if !uris.contains(gone) {
                return Err(CliError::Other(format!("--remove-redirect-uri: {gone:?} is not one of its callbacks")));
            }
            uris.retain(|own| own != gone);
        }
        uris.extend(arguments.add_redirect_uri.iter().cloned());
        draft.redirect_uris = Change::Set(uris);
        revision = Some(found_revision);
    }
    if arguments.refresh {
        draft.refresh = Change::Set(true);
    }
    if arguments.no_first_party {
        draft.first_party = Change::Set(false);
    }
    for property in &arguments.clear {
        match property {
            Clear::Description => draft.description = Change::Clear,
            Clear::AllowedScopes => draft.allowed_scopes = Change::Clear,
            Clear::AccessTtl => draft.access_ttl = Change::Clear,
            Clear::RefreshIdleTtl => draft.refresh_idle_ttl = Change::Clear,
            Clear::RefreshAbsoluteTtl => draft.refresh_absolute_ttl = Change::Clear,
            Clear::ClientUri => draft.client_uri = Change::Clear,
            Clear::TosUri => draft.tos_uri = Change::Clear,
            Clear::PolicyUri => draft.policy_uri = Change::Clear,
            Clear::Logo => {}
        }
    }
    let logo = arguments.properties.logo()?;
    let clears_logo = arguments.clear.contains(&Clear::Logo);
    let set_at = match &logo {
        _ if clears_logo => None,
        Some(_) => Some(now),
        None => store.logo_set_at(&id).await?,
    };
    let edited = managed::edit(store, &Rules::of(config), &Random::system(), &id, &draft, revision).await?;
    // What it is after this; a secret that the change made is told before anything can fail.
    tell(config, &edited, set_at, "is changed", arguments.json, now)?;
    if let Some((kind, content)) = logo
        && !store.put_logo(&id, kind, &content, now).await?
    {
        return Err(ManageError::NotManaged(id).into());
    }
    if clears_logo {
        store.delete_logo(&id).await?;
    }
    if edited.asks_again && !arguments.json {
        say("People who had let it in are asked again.")?;
    }
    Ok(())
}

async fn list(store: &Store, origin: Option<&str>, json: bool, now: Timestamp) -> Result<(), CliError> {
    let origin = origin.and_then(ClientOrigin::parse);
    let mut page = Page { after: None, limit: 200 };
    let mut all = Vec::new();
    if !json {
        say("ID                         ORIGIN      STATE     NAME")?;
    }
    loop {
        let clients = store.clients(origin, &page).await?;
        let Some(last) = clients.last() else { break };
        page.after = Some((last.registered_at, last.id.to_string()));
        for client in &clients {
            let view = ClientView::of(client, now);
            if json {
                all.push(view);
            } else {
                let (state, origin) = (view.state(), client.origin.as_str());
                say(&format!("{:<26} {origin:<11} {state:<9} {}", view.id, plain(client.display_name())))?;
            }
        }
    }
    if json { say_json(&all) } else { Ok(()) }
}

/// A name that a stranger chose, for a terminal: nothing in it moves the cursor or hides.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

async fn show(config: &Config, store: &Store, id: &ClientId, json: bool, now: Timestamp) -> Result<(), CliError> {
    let view = view(config, store, id, now).await?;
    if json {
        return say_json(&view);
    }
    // The same members in the same order, a line each.
    let value = serde_json::to_value(&view).map_err(|error| CliError::Other(error.to_string()))?;
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            serde_json::Value::String(text) => plain(text),
            serde_json::Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), plain))
                .collect::<Vec<_>>()
                .join("\n                         "),
            other @ (serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::Object(_)) => other.to_string(),
        };
        say(&format!("{name:<24} {text}"))?;
    }
    Ok(())
}

async fn view(config: &Config, store: &Store, id: &ClientId, now: Timestamp) -> Result<ClientView, CliError> {
    let found = store.find_revised_client(id).await?;
    let (client, _) = found.ok_or_else(|| ManageError::Unknown(id.clone()))?;
    Ok(shown(config, &client, store.logo_set_at(id).await?, now))
}

fn shown(config: &Config, client: &Client, logo: Option<Timestamp>, now: Timestamp) -> ClientView {
    let mut view = ClientView::of(client, now);
    view.logo_url = logo.map(|at| config.url(&logo_path(&client.id, at)));
    view
}

/// What was done, and what to paste where. Reads nothing: the secret is told here or never.
fn tell(
    config: &Config,
    managed: &Managed,
    logo: Option<Timestamp>,
    what: &str,
    json: bool,
    now: Timestamp,
) -> Result<(), CliError> {
    let client = shown(config, &managed.client, logo, now);
    let client_secret = managed.secret.as_ref().map(Secret::expose).map(str::to_owned);
    let answer = NewSecret { client, client_secret, endpoints: Endpoints::of(config) };
    if json {
        return say_json(&answer);
    }
    let NewSecret { client, client_secret, endpoints } = answer;
    say(&format!("Client {} {what}. In its form, paste:\n", client.name.as_deref().unwrap_or(&client.id)))?;
    say(&format!("  MCP server URL       {}", endpoints.mcp_url))?;
    say(&format!("  Client ID            {}", client.id))?;
    match &client_secret {
        Some(secret) => say(&format!("  Client secret        {secret}   (shown this once)"))?,
        None if client.has_secret() => say("  Client secret        the one that it has")?,
        None => say("  Client secret        none: leave it empty")?,
    }
    say(&format!("  Authorization URL    {}", endpoints.authorization_url))?;
    say(&format!("  Token URL            {}", endpoints.token_url))?;
    say(&format!("  Authentication       {}", client.auth_methods().join(" or ")))?;
    say("\nIts callback must be one of these, to the character:")?;
    for uri in client.redirect_uris() {
        say(&format!("  {uri}"))?;
    }
    Ok(())
}

fn named(id: String) -> Result<ClientId, CliError> {
    ClientId::parse(id)
        .map_err(|why| CliError::Other(format!("there is no such client: {why}; see: portcullis client list")))
}

async fn found(store: &Store, id: String) -> Result<ClientId, CliError> {
    let id = named(id)?;
    match store.find_revised_client(&id).await? {
        Some(_) => Ok(id),
        None => Err(CliError::Other(format!("there is no client {:?}; see: portcullis client list", id.as_str()))),
    }
}

/// A secret, never as an argument: arguments are seen by every process of the machine.
fn read_secret() -> Result<String, CliError> {
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|source| CliError::Read { path: PathBuf::from("standard input"), source })?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

pub(super) fn say_json<T: Serialize>(value: &T) -> Result<(), CliError> {
    say(&serde_json::to_string_pretty(value).map_err(|error| CliError::Other(error.to_string()))?)
}
