//! Who connects where, and where that is kept on this machine.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bluetick_client::{Builder, ChatId, Client, UserId};

use crate::Failure;

/// Bytes of a password's or a certificate's file, at most.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Who connects where.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Such as `mqtt://127.0.0.1:1883`.
    pub url: String,
    /// Who.
    pub user: String,
    /// His password; none for a server without.
    pub password: Option<String>,
    /// A file whose first line is the password.
    pub password_file: Option<PathBuf>,
    /// The device; `None`: one that this machine has made up and kept.
    pub device: Option<String>,
    /// Certificate authorities (PEM) to trust in place of the system's.
    pub authorities: Option<PathBuf>,
    /// Where outboxes and caches are; `None`: as the XDG base directories say.
    pub state_dir: Option<PathBuf>,
}

/// An account's folder on this machine: it has the mode 0700, as messages are in it.
#[derive(Debug)]
pub(crate) struct Place {
    dir: PathBuf,
    device: String,
}

impl Account {
    /// Who, checked.
    pub(crate) fn user_id(&self) -> Result<UserId, Failure> {
        UserId::try_from(self.user.as_str()).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// A user or a chat, as it is named on the command line.
    pub(crate) fn chat(&self, name: &str) -> Result<ChatId, Failure> {
        let me = self.user_id()?;
        if let Ok(chat) = ChatId::try_from(name) {
            return Ok(chat);
        }
        let user = UserId::try_from(name);
        user.map(|user| ChatId::direct(&me, &user)).map_err(|error| {
            Failure::Usage(format!("{name:?} is neither a user nor a chat: {error}"))
        })
    }

    /// The account's folder, made if it is not there.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let me = self.user_id()?;
        let dir = match &self.state_dir {
            Some(dir) => dir.clone(),
            None => state_home()?.join("bluetick"),
        };
        let dir = dir.join(format!("{me}@{}", file_name(&self.url)));
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&dir);
        made.map_err(|error| Failure::Other(format!("{}: {error}", dir.display())))?;
        let device = match &self.device {
            Some(device) => device.clone(),
            None => own_device(&dir.join("device"))
                .map_err(|error| Failure::Other(format!("{}: {error}", dir.display())))?,
        };
        Ok(Place { dir, device })
    }

    /// A client of the SDK for this account, without a device yet.
    pub(crate) fn builder(&self) -> Result<Builder, Failure> {
        let mut builder = Client::builder(&self.url).user(&self.user).program(PROGRAM);
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => Some(password.clone()),
            (None, Some(path)) => {
                let text = read(path)?;
                Some(text.lines().next().unwrap_or_default().to_owned())
            }
            (None, None) => None,
        };
        if let Some(password) = password {
            builder = builder.password(password);
        }
        if let Some(path) = &self.authorities {
            builder = builder.authorities(read(path)?);
        }
        Ok(builder)
    }
}

/// What this program calls itself.
const PROGRAM: &str = concat!("bluetick ", env!("CARGO_PKG_VERSION"));

impl Place {
    /// The device for a use, such as `send`: each is another one, as two programs under one name would throw
    /// each other out.
    pub(crate) fn device(&self, purpose: &str) -> String {
        match purpose {
            "chat" => self.device.clone(),
            _ => format!("{}-{purpose}", self.device),
        }
    }

    /// A file of the account.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Waits until no other process of this machine is at the same; it is free when the file is dropped.
    /// Blocks.
    pub(crate) fn lock(&self, name: &str) -> io::Result<File> {
        let path = self.file(name);
        let file =
            File::options().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.lock()?;
        Ok(file)
    }
}

fn state_home() -> Result<PathBuf, Failure> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|dir| dir.is_absolute());
    absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")))
        .ok_or_else(|| {
            let text = "neither XDG_STATE_HOME nor HOME says where to keep what is not sent yet; \
                        name a folder: --state-dir";
            Failure::Usage(text.to_owned())
        })
}

/// A URL as the name of a folder.
fn file_name(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let plain = |char: char| match char {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => char,
        _ => '_',
    };
    rest.trim_end_matches('/').chars().map(plain).take(100).collect()
}

/// The name of this machine's device for the account: made up once, as a host's name may be another's too.
fn own_device(path: &Path) -> io::Result<String> {
    let made = File::options().create_new(true).write(true).mode(0o600).open(path);
    match made {
        Ok(mut file) => {
            let name = format!("terminal-{:08x}", random()?);
            file.write_all(name.as_bytes())?;
            file.sync_all()?;
            Ok(name)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let name = fs::read_to_string(path)?;
            match name.trim() {
                // Another process is making it, or has died at it.
                "" => Ok("terminal".to_owned()),
                name => Ok(name.to_owned()),
            }
        }
        Err(error) => Err(error),
    }
}

fn random() -> io::Result<u32> {
    let mut bytes = [0; 4];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u32::from_ne_bytes(bytes))
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let opened = File::open(path);
    let read = opened.and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_account_keeps_its_device_in_a_folder_of_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let account = |url: &str| Account {
            url: url.to_owned(),
            user: "alice".to_owned(),
            state_dir: Some(dir.path().to_owned()),
            ..Account::default()
        };
        let place = account("mqtt://[::1]:1883/").place().expect("a place");
        let again = account("mqtt://[::1]:1883").place().expect("a place");
        assert_eq!(place.device("chat"), again.device("chat"));
        assert_ne!(place.device("chat"), place.device("send"));
        let other = account("mqtt://../../x").place().expect("a place");
        assert_ne!(other.device("chat"), place.device("chat"));
        assert_eq!(other.dir.parent(), Some(dir.path()));
        let mode = fs::metadata(&place.dir).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn users_and_chats_are_told_apart() {
        let account = Account { user: "bob".to_owned(), ..Account::default() };
        let chat = |name| account.chat(name).map(|chat| chat.as_str().to_owned());
        assert_eq!(chat("alice").expect("a user"), "alice~bob");
        assert_eq!(chat("g-7k2m9x4q1zrt").expect("a group"), "g-7k2m9x4q1zrt");
        assert!(matches!(chat("Alice!"), Err(Failure::Usage(_))));
    }
}
