//! `bluetick user`.

use std::io::{IsTerminal as _, Read as _};

use bluetick_protocol::UserId;

use crate::Failure;
use crate::accounts;
use crate::cli::UserAction;
use crate::config::Config;

pub(crate) fn run(config: &Config, action: UserAction) -> Result<(), Failure> {
    let dir = &config.data_dir;
    match action {
        UserAction::Add { name } => {
            let user = parse(&name)?;
            if accounts::list(dir)?.contains_key(&user) {
                return Err(exists(&user));
            }
            let hash = accounts::hash(&password()?)?;
            accounts::change(dir, |table| match table.contains_key(&user) {
                true => Err(exists(&user)),
                false => {
                    table.insert(user.clone(), hash);
                    Ok(())
                }
            })?;
            println!("added {user}");
        }
        UserAction::Passwd { name } => {
            let user = parse(&name)?;
            if !accounts::list(dir)?.contains_key(&user) {
                return Err(unknown(&user));
            }
            let hash = accounts::hash(&password()?)?;
            accounts::change(dir, |table| match table.get_mut(&user) {
                Some(had) => {
                    *had = hash;
                    Ok(())
                }
                None => Err(unknown(&user)),
            })?;
            println!("changed the password of {user}");
        }
        UserAction::Remove { name } => {
            let user = parse(&name)?;
            accounts::change(dir, |table| {
                table.remove(&user).map(|_| ()).ok_or_else(|| unknown(&user))
            })?;
            println!("removed {user}");
        }
        UserAction::List { json } => {
            let users: Vec<UserId> = accounts::list(dir)?.into_keys().collect();
            if json {
                println!("{}", serde_json::to_string(&users).map_err(Failure::other)?);
            } else {
                users.iter().for_each(|user| println!("{user}"));
            }
        }
    }
    Ok(())
}

fn parse(name: &str) -> Result<UserId, Failure> {
    UserId::try_from(name).map_err(|error| Failure::Configuration(format!("{name:?}: {error}")))
}

fn exists(user: &UserId) -> Failure {
    Failure::Other(format!(
        "{user} exists already; `bluetick user passwd {user}` changes the password"
    ))
}

fn unknown(user: &UserId) -> Failure {
    Failure::Other(format!("there is no user {user}; `bluetick user list` shows all"))
}

/// Asks twice on a terminal, else reads a line (or all there is) from standard input.
fn password() -> Result<Vec<u8>, Failure> {
    if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(Failure::other)?;
        let second = rpassword::prompt_password("Again: ").map_err(Failure::other)?;
        if first != second {
            return Err(Failure::Other("the two are not the same".to_owned()));
        }
        return Ok(first.into_bytes());
    }
    let mut input = Vec::new();
    let limit = accounts::PASSWORD_BYTES_MAX as u64 + 3;
    std::io::stdin().take(limit).read_to_end(&mut input).map_err(Failure::other)?;
    while input.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        input.pop();
    }
    Ok(input)
}
