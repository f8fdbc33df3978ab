//! `token`: tokens of the admin API.

use clap::Subcommand;

use super::{CliError, open, say};
use crate::api::tokens::{TokenView, expiry, scopes};
use crate::config::Config;
use crate::crypto::random::Random;
use crate::model::api_token::{ApiScopes, Making, check_name};
use crate::model::clock::Clock;
use crate::model::secret::SecretKind;
use crate::store::NewApiToken;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token for the admin API; it is shown once
    Add {
        /// What the log calls whoever uses it
        name: String,
        /// What it may do: clients:read, users:write … or "all"; several with commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE")]
        scope: Vec<String>,
        /// After which time it stops, such as 90d; never if left out
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Print the token and its facts as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Stop a token, and all that were made with it
    Revoke {
        /// Its name or id
        name: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let now = Clock::system().now();
    match command {
        Command::Add { name, scope, expires, json } => {
            check_name(&name).map_err(CliError::Other)?;
            let scopes = if scope.iter().any(|word| word == "all") {
                ApiScopes::all()
            } else {
                scopes(&scope).map_err(|words| CliError::Other(format!("--scope: {words}")))?
            };
            let expires_at = expires
                .map(|text| expiry(&text, now).map_err(|words| CliError::Other(format!("--expires: {words}"))))
                .transpose()?;
            let random = Random::system();
            let (id, secret) = (random.api_token_id(), random.secret(SecretKind::ApiToken));
            let hash = secret.hash();
            let new = NewApiToken {
                id: &id,
                name: &name,
                hash: &hash,
                scopes: &scopes,
                created_at: now,
                created_by: None,
                expires_at,
            };
            if open(config).await?.insert_api_token(&new).await? != Making::Done {
                return Err(CliError::Other(format!("there is a token named {name:?}; see: portcullis token list")));
            }
            if json {
                return say(&serde_json::json!({
                    "id": id.as_str(), "name": name, "token": secret.expose(), "scopes": scopes.names().collect::<Vec<_>>(),
                })
                .to_string());
            }
            say(&format!(
                "Token {name} ({scopes}), shown this once:\n\n  {}\n\nUse it at {} as a bearer token.",
                secret.expose(),
                config.url("/api/v1")
            ))?;
            if !config.api.enabled {
                say("Note: api.enabled is false in this configuration, so nothing takes it.")?;
            }
            Ok(())
        }
        Command::List { json } => {
            let tokens = open(config).await?.api_tokens().await?;
            if json {
                let views: Vec<TokenView> = tokens.into_iter().map(TokenView::from).collect();
                return super::clients::say_json(&views);
            }
            say(
                "NAME                     ID                          EXPIRES (unix)  LAST USED    MADE BY              SCOPES",
            )?;
            for token in tokens {
                let time =
                    |at: Option<oauth::time::Timestamp>| at.map_or_else(|| "never".to_owned(), |at| at.0.to_string());
                say(&format!(
                    "{:<24} {:<27} {:<15} {:<12} {:<20} {}",
                    token.name,
                    token.id,
                    time(token.expires_at),
                    time(token.last_used_at),
                    token.created_by.as_deref().unwrap_or("command line"),
                    token.scopes
                ))?;
            }
            Ok(())
        }
        Command::Revoke { name } => {
            let store = open(config).await?;
            let found =
                store.api_tokens().await?.into_iter().find(|token| token.name == name || token.id.as_str() == name);
            let unknown = || CliError::Other(format!("there is no token {name:?}; see: portcullis token list"));
            let token = found.ok_or_else(unknown)?;
            match store.revoke_api_token(&token.id, now).await? {
                0 => Err(unknown()),
                1 => say(&format!("Token {} is revoked.", token.name)),
                stopped => say(&format!("Token {} is revoked, and {} made with it.", token.name, stopped - 1)),
            }
        }
    }
}
