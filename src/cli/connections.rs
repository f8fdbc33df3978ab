//! `connections`: which person has let which client in.

use clap::Subcommand;
use oauth::id::{ClientId, GrantId};

use super::desk::Desk;
use super::table::{Table, say_json};
use super::{CliError, parse_id, say};
use crate::admin::{connections, date, people};
use crate::config::Config;
use crate::store::Page;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List live connections, newest first
    List {
        /// Only those of this account (its login name)
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// Only those of this client
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// End a connection: its tokens become invalid, and its person is asked again before the client gets new ones
    End {
        /// The id of the connection
        id: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), CliError> {
    let desk = Desk::open(config).await?;
    let admin = desk.admin();
    match command {
        Command::List { user, client, json } => {
            let user = match user {
                Some(name) => Some(people::named(&admin, &name).await?.id),
                None => None,
            };
            let client = client.map(|id| parse_id::<ClientId>(id, "client")).transpose()?;
            let (mut all, mut page) = (Vec::new(), Page { after: None, limit: 200 });
            loop {
                let listed = connections::list(&admin, user.as_ref(), client.as_ref(), &page).await?;
                all.extend(listed.entries);
                page.after = listed.next;
                if page.after.is_none() {
                    break;
                }
            }
            if json {
                return say_json(&all);
            }
            let mut table = Table::new(["ID", "ACCOUNT", "CLIENT", "SINCE", "LAST REFRESH", "ENDS"]);
            for own in &all {
                let refreshed = own.refreshed_at.map_or_else(|| "never".to_owned(), date);
                let client = own.client_name.as_deref().unwrap_or(&own.client_id);
                let (since, ends) = (date(own.created_at), date(own.expires_at));
                table.row([&own.id, &own.username, client, &since, &refreshed, &ends]);
            }
            table.say()
        }
        Command::End { id } => {
            let id = parse_id::<GrantId>(id, "connections")?;
            connections::end(&admin, &id).await?;
            say(&format!("Connection {id} has ended."))
        }
    }
}
