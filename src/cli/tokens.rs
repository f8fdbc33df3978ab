//! `token`: tokens of the admin API.

use clap::Subcommand;
use oauth::time::Timestamp;

use super::desk::Desk;
use super::table::{Table, say_json};
use super::{CliError, say};
use crate::admin::date;
use crate::admin::tokens::{self, Addition};
use crate::config::Config;
use crate::model::api_token::ApiScope;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a token for the admin API; it is shown once
    Add {
        /// What the log calls whoever uses it
        name: String,
        /// What it may do: clients:read, users:write … or "all"; several with commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPE")]
        scope: Vec<String>,
        /// After which time it expires, such as 90d; never if left out
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// Print the token as JSON
        #[arg(long)]
        json: bool,
    },
    /// List the tokens that are not revoked, oldest first
    List {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token, and all tokens that were made with it
    Revoke {
        /// Its name or id
        name: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let admin = desk.admin();
    match command {
        Command::Add { name, scope, expires, json } => {
            let all = scope.iter().any(|word| word == "all");
            let scopes = if all { ApiScope::ALL.map(|scope| scope.as_str().to_owned()).to_vec() } else { scope };
            let made = tokens::add(&admin, Addition { name, scopes, expires_in: expires }).await?;
            if json {
                return say_json(&made);
            }
            say(&format!(
                "Token {} ({}), shown this once:\n\n  {}\n\nUse it at {} as a bearer token.",
                made.view.name,
                made.view.scopes.join(" "),
                made.token,
                config.url("/api/v1")
            ))?;
            if !config.api.enabled {
                say("Note: api.enabled is false in this configuration, so no server takes it.")?;
            }
            Ok(())
        }
        Command::List { json } => {
            let tokens = tokens::list(&admin).await?;
            if json {
                return say_json(&tokens);
            }
            let time = |at: Option<Timestamp>| at.map_or_else(|| "never".to_owned(), date);
            let mut table = Table::new(["NAME", "ID", "EXPIRES", "LAST USED", "MADE BY", "SCOPES"]);
            for token in &tokens {
                let maker = token.created_by.as_deref().unwrap_or("command line");
                let (expires, used, scopes) =
                    (time(token.expires_at), time(token.last_used_at), token.scopes.join(" "));
                table.row([&token.name, &token.id, &expires, &used, maker, &scopes]);
            }
            table.say()
        }
        Command::Revoke { name } => {
            let token = tokens::named(&admin, &name).await?;
            match tokens::revoke(&admin, &token.id).await? {
                1 => say(&format!("Token {} is revoked.", token.name)),
                stopped => say(&format!("Token {} is revoked, and {} made with it.", token.name, stopped - 1)),
            }
        }
    }
}
