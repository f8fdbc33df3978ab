//! `client`: clients that an administrator enters, and disabling any client.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use oauth::id::ClientId;
use oauth::time::Timestamp;
use serde_json::Value;

use super::desk::Desk;
use super::table::{Table, plain, say_json};
use super::{CliError, parse_id, read_file, read_secret, say};
use crate::admin::clients::draft::{Change, Draft};
use crate::admin::clients::view::NewSecret;
use crate::admin::clients::{self, Addition, logo};
use crate::admin::{Admin, AdminError, date};
use crate::config::Config;
use crate::store::Page;

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
        /// The client id
        id: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Change a client; what isn't named stays
    Edit(Box<Edit>),
    /// Give a client a new secret; the old one stays valid for a while
    RotateSecret {
        /// The client id
        id: String,
        /// How long the old secret stays valid: 0s to 90d, a day if left out
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
    /// Disable a client of any origin and end its connections
    Disable {
        /// The client id
        id: String,
    },
    /// Enable a disabled client
    Enable {
        /// The client id
        id: String,
    },
    /// Delete a client of any origin and end its connections; its id is never given again
    Delete {
        /// The client id
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
    /// The client id
    id: String,
    /// What people read when they are asked to let it in
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    properties: Given,
    /// Another callback beside those that it has; may be given several times
    #[arg(long, value_name = "URI", conflicts_with = "redirect_uri")]
    add_redirect_uri: Vec<String>,
    /// Remove a redirect URI; may be given several times
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
            add_redirect_uris: Vec::new(),
            remove_redirect_uris: Vec::new(),
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
    let desk = Desk::open(config).await?;
    let admin = desk.admin();
    match command {
        Command::Add(arguments) => add(&desk, *arguments).await,
        Command::Edit(arguments) => edit(&admin, *arguments).await,
        Command::List { origin, json } => list(&admin, origin.as_deref(), json).await,
        Command::Show { id, json } => show(&admin, &named(id)?, json).await,
        Command::RotateSecret { id, end_old: true, json, .. } => {
            let (client, ended) = clients::end_old_secret(&admin, &named(id)?).await?;
            match ended {
                _ if json => say_json(&client),
                true => say(&format!("The old secret of client {} is no longer good.", client.id)),
                false => say(&format!("Client {} has no old secret that is still good.", client.id)),
            }
        }
        Command::RotateSecret { id, overlap, secret_stdin, json, .. } => {
            let own = secret_stdin.then(read_secret).transpose()?;
            let rotated = clients::rotate_secret(&admin, &named(id)?, own.as_deref(), overlap.as_deref()).await?;
            tell(&rotated.answer, "has a new secret", json)?;
            match rotated.answer.client.old_secret_expires_at {
                Some(until) if !json => say(&format!("The old secret is good until {}.", date(until))),
                Some(_) | None => Ok(()),
            }
        }
        Command::Disable { id } => {
            let client = clients::disable(&admin, &named(id)?).await?;
            say(&format!("Client {} is disabled; its connections have ended.", client.id))
        }
        Command::Enable { id } => {
            let client = clients::enable(&admin, &named(id)?).await?;
            say(&format!("Client {} is enabled.", client.id))
        }
        Command::Delete { id } => {
            let id = named(id)?;
            clients::delete(&admin, &id).await?;
            say(&format!("Client {id} is deleted; its connections have ended."))
        }
    }
}

async fn add(desk: &Desk<'_>, arguments: Add) -> Result<(), CliError> {
    let Add { name, profile, id, secret_stdin, properties, more_callbacks, json } = arguments;
    let mut draft = Draft { add_redirect_uris: more_callbacks, ..properties.draft(name)? };
    if let Some(profile) = &profile {
        draft.fill_for(profile, &desk.profiles()?).map_err(AdminError::from)?;
    }
    let logo = properties.logo()?;
    let secret = secret_stdin.then(read_secret).transpose()?;
    let admin = desk.admin();
    let added = clients::add(&admin, &Addition { draft, id, secret }).await?;
    // The secret first: what fails after it can be done again.
    tell(&added.answer, "is made", json)?;
    if let Some((kind, content)) = logo {
        logo::set(&admin, &named(added.answer.client.id)?, kind, &content).await?;
    }
    if profile.as_deref() == Some("chatgpt") && !json {
        say("\nChatGPT shows the callback of a connector in its form. If it isn't among those above, add it:\n  \
             portcullis client edit ID --add-redirect-uri https://chatgpt.com/connector/oauth/…")?;
    }
    Ok(())
}

async fn edit(admin: &Admin<'_>, arguments: Edit) -> Result<(), CliError> {
    let id = named(arguments.id)?;
    let mut draft = Draft {
        add_redirect_uris: arguments.add_redirect_uri,
        remove_redirect_uris: arguments.remove_redirect_uri,
        ..arguments.properties.draft(arguments.name)?
    };
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
    let mut edited = clients::edit(admin, &id, &draft, None).await?;
    // What it is after this; a secret that the change made is told before anything can fail.
    let client = &mut edited.answer.client;
    let has_logo = client.logo_url.is_some();
    if clears_logo {
        client.logo_url = None;
    } else if logo.is_some() {
        client.logo_url = Some(clients::logo_url(admin, &id, admin.now));
    }
    tell(&edited.answer, "is changed", arguments.json)?;
    if let Some((kind, content)) = logo {
        logo::set(admin, &id, kind, &content).await?;
    }
    if clears_logo && has_logo {
        logo::remove(admin, &id).await?;
    }
    if edited.asks_again && !arguments.json {
        say("People who had let it in are asked again.")?;
    }
    Ok(())
}

async fn list(admin: &Admin<'_>, origin: Option<&str>, json: bool) -> Result<(), CliError> {
    let (mut all, mut page) = (Vec::new(), Page { after: None, limit: 200 });
    loop {
        let listed = clients::list(admin, origin, &page).await?;
        all.extend(listed.entries);
        page.after = listed.next;
        if page.after.is_none() {
            break;
        }
    }
    if json {
        return say_json(&all);
    }
    let mut table = Table::new(["ID", "ORIGIN", "STATE", "NAME"]);
    for client in &all {
        table.row([&client.id, client.origin, client.state(), client.name.as_deref().unwrap_or("An unnamed client")]);
    }
    table.say()
}

async fn show(admin: &Admin<'_>, id: &ClientId, json: bool) -> Result<(), CliError> {
    let (view, _) = clients::show(admin, id).await?;
    if json {
        return say_json(&view);
    }
    // The same members in the same order, a line each.
    let value = serde_json::to_value(&view).map_err(|error| CliError::Other(error.to_string()))?;
    for (name, value) in value.as_object().into_iter().flatten() {
        let text = match value {
            Value::String(text) => plain(text),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), plain))
                .collect::<Vec<_>>()
                .join("\n                         "),
            Value::Number(at) if name.ends_with("_at") => at.as_i64().map(Timestamp).map(date).unwrap_or_default(),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => other.to_string(),
        };
        say(&format!("{name:<24} {text}"))?;
    }
    Ok(())
}

/// What was done, and what to paste where. Reads nothing: the secret is told here or never.
fn tell(answer: &NewSecret, what: &str, json: bool) -> Result<(), CliError> {
    if json {
        return say_json(answer);
    }
    let NewSecret { client, client_secret, endpoints } = answer;
    say(&format!("Client {} {what}. In its form, paste:\n", client.name.as_deref().unwrap_or(&client.id)))?;
    say(&format!("  MCP server URL       {}", endpoints.mcp_url))?;
    say(&format!("  Client ID            {}", client.id))?;
    match client_secret {
        Some(secret) => say(&format!("  Client secret        {secret}   (shown this once)"))?,
        None if client.has_secret => say("  Client secret        the one that it has")?,
        None => say("  Client secret        none: leave it empty")?,
    }
    say(&format!("  Authorization URL    {}", endpoints.authorization_url))?;
    say(&format!("  Token URL            {}", endpoints.token_url))?;
    say(&format!("  Authentication       {}", client.auth_methods.join(" or ")))?;
    say("\nIts callback must be one of these, to the character:")?;
    for uri in &client.redirect_uris {
        say(&format!("  {uri}"))?;
    }
    Ok(())
}

fn named(id: String) -> Result<ClientId, CliError> {
    parse_id(id, "client")
}
