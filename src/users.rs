//! `bluetick user`.

use std::io::{IsTerminal as _, Read as _};

use bluetick_protocol::UserId;

use crate::Failure;
use crate::accounts;
use crate::cli::UserAction;
use crate::config::Config;
use crate::output;

pub(crate) fn run(config: &Config, action: UserAction) -> Result<(), Failure> {
    let dir = &config.data_dir;
    match action {
        UserAction::Add { name, password_stdin } => {
            let user = parse(&name)?;
            if accounts::list(dir)?.contains_key(&user) {
                return Err(exists(&user));
            }
            let hash = accounts::hash(&password(password_stdin)?)?;
            accounts::change(dir, |table| match table.contains_key(&user) {
                true => Err(exists(&user)),
                false => {
                    table.insert(user.clone(), hash);
                    Ok(())
                }
            })?;
            output::line(format_args!("added {user}"))?;
        }
        UserAction::Passwd { name, password_stdin } => {
            let user = parse(&name)?;
            if !accounts::list(dir)?.contains_key(&user) {
                return Err(unknown(&user));
            }
            let hash = accounts::hash(&password(password_stdin)?)?;
            accounts::change(dir, |table| match table.get_mut(&user) {
                Some(had) => {
                    *had = hash;
                    Ok(())
                }
                None => Err(unknown(&user)),
            })?;
            output::line(format_args!("changed the password of {user}"))?;
        }
        UserAction::Remove { name } => {
            let user = parse(&name)?;
            accounts::change(dir, |table| {
                table.remove(&user).map(|_| ()).ok_or_else(|| unknown(&user))
            })?;
            output::line(format_args!("removed {user}"))?;
        }
        UserAction::List { json } => {
            let users: Vec<UserId> = accounts::list(dir)?.into_keys().collect();
            if json {
                output::line(serde_json::to_string(&users).map_err(Failure::other)?)?;
            } else {
                users.iter().try_for_each(output::line)?;
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

/// Asks twice on a terminal, else reads all there is on standard input, less the end of its line.
fn password(from_stdin: bool) -> Result<Vec<u8>, Failure> {
    if !from_stdin && std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(Failure::other)?;
        let second = rpassword::prompt_password("Again: ").map_err(Failure::other)?;
        if first != second {
            return Err(Failure::Other("the two are not the same".to_owned()));
        }
        return Ok(first.into_bytes());
    }
    let mut input = Vec::new();
    // Room for the end of the line, and one more to see that there is too much.
    let bytes_max = accounts::PASSWORD_BYTES_MAX as u64 + 3;
    std::io::stdin().take(bytes_max).read_to_end(&mut input).map_err(Failure::other)?;
    for end in [b'\n', b'\r'] {
        if input.last() == Some(&end) {
            input.pop();
        }
    }
    Ok(input)
}
