//! The configuration: a TOML file, the environment, flags, in that order of growing weight.
//! Everything is read and checked before a port is bound, and all mistakes are told at once.

mod keys;
mod sources;

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bluetick_bridge::BridgeOptions;
use bluetick_bridge::bridge::{Operators, Quotas};
use bluetick_bridge::partition::PartitionOptions;
use bluetick_bridge::store::RocksOptions;
use bluetick_broker::Limits;
use bluetick_broker::transport::{CertificateFiles, ClientCertificates, TlsFiles};
use bluetick_protocol::UserId;

use crate::access::Rule;
use crate::cli::Settings;
use crate::listeners::{Endpoint, Port, UnixPath};
use keys::{KEYS, Key};
use sources::{Value, Values};

pub(crate) use sources::{Environment, ProcessEnvironment};

/// The effective configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) dev: bool,
    pub(crate) mqtt: Vec<Port>,
    pub(crate) mqtts: Vec<Port>,
    pub(crate) ws: Vec<Port>,
    pub(crate) wss: Vec<Port>,
    pub(crate) unix: Vec<UnixPath>,
    pub(crate) http: Vec<SocketAddr>,
    /// `None`: there is no certificate.
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) access: Vec<Rule>,
    pub(crate) log_json: bool,
    pub(crate) log_filter: String,
    pub(crate) grace: Duration,
    pub(crate) limits: Limits,
    pub(crate) bridge: BridgeOptions,
    pub(crate) partition: PartitionOptions,
    pub(crate) erase_every: Duration,
    pub(crate) store: RocksOptions,
    pub(crate) partitions: u16,
    values: Values,
}

/// A value that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    key: String,
    value: String,
    source: String,
    should_be: String,
}

impl Mistake {
    fn new(key: &str, value: &str, source: &str, should_be: &str) -> Self {
        let [key, value, source, should_be] = [key, value, source, should_be].map(str::to_owned);
        Self { key, value, source, should_be }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, source, should_be } = self;
        write!(f, "{key} = {value} ({source}): {should_be}")
    }
}

impl Config {
    /// Puts the sources together.
    ///
    /// # Errors
    /// All mistakes there are.
    pub(crate) fn load(
        settings: &Settings,
        environment: &dyn Environment,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut values = sources::read(settings, environment, &mut mistakes);
        for key in KEYS {
            key.check(&values[key.name], &mut mistakes);
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        leave_out_default_port(&mut values);
        let config = Self::build(values);
        config.check_listeners(&mut mistakes);
        config.check_http(&mut mistakes);
        config.check_certificates(&mut mistakes);
        config.check_dev(&mut mistakes);
        config.check_sizes(&mut mistakes);
        if mistakes.is_empty() { Ok(config) } else { Err(mistakes) }
    }

    /// From values that were checked one by one.
    fn build(values: Values) -> Self {
        let text = |name: &str| values[name].items.first().cloned().unwrap_or_default();
        let number = |name: &str| text(name).replace('_', "").parse::<u64>().unwrap_or_default();
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        let small = |name: &str| u16::try_from(number(name)).unwrap_or(u16::MAX);
        let limits = Limits {
            connections_max: size("limits.connections_max"),
            connecting_per_address_max: size("limits.connecting_per_address_max"),
            connecting_max: size("limits.connecting_max"),
            handshakes_max: size("limits.handshakes_max"),
            connect_timeout_ms: number("limits.connect_timeout_s") * 1000,
            connect_bytes_max: size("limits.connect_bytes_max"),
            stall_timeout_ms: number("limits.stall_timeout_s") * 1000,
            tcp_keep_alive_s: number("limits.tcp_keep_alive_s").try_into().unwrap_or(u32::MAX),
            packet_bytes_max: size("limits.packet_bytes_max"),
            topic_bytes_max: size("limits.topic_bytes_max"),
            topic_levels_max: size("limits.topic_levels_max"),
            subscriptions_max: size("limits.subscriptions_max"),
            subscriptions_total_max: size("limits.subscriptions_total_max"),
            filters_per_packet_max: size("limits.filters_per_packet_max"),
            sessions_per_user_max: size("limits.sessions_per_user_max"),
            inflight_in_max: small("limits.inflight_in_max"),
            inflight_out_max: small("limits.inflight_out_max"),
            user_properties_max: size("limits.user_properties_max"),
            topic_aliases_max: small("limits.topic_aliases_max"),
            pending_bytes_max: size("limits.pending_bytes_max"),
            queued_messages_max: size("limits.queued_messages_max"),
            queued_bytes_max: size("limits.queued_bytes_max"),
            queued_total_bytes_max: size("limits.queued_total_bytes_max"),
            puback_after_store: text("plain.puback_after_store") == "true",
            retained_messages_max: size("limits.retained_messages_max"),
            retained_bytes_max: size("limits.retained_bytes_max"),
            session_expiry_s_max: u32::try_from(number("limits.session_expiry_s_max"))
                .unwrap_or(u32::MAX),
            keep_alive_s_max: small("limits.keep_alive_s_max"),
            server_reference: match &*values["shutdown.servers"].items {
                [] => None,
                // MQTT 5 §4.11 has a list apart by blanks.
                servers => Some(servers.join(" ")),
            },
        };
        Self {
            data_dir: text("data_dir").into(),
            dev: text("dev") == "true",
            mqtt: endpoints(&values, "listen.mqtt"),
            mqtts: endpoints(&values, "listen.mqtts"),
            ws: endpoints(&values, "listen.ws"),
            wss: endpoints(&values, "listen.wss"),
            unix: endpoints(&values, "listen.unix"),
            http: endpoints(&values, "listen.http").into_iter().map(|port: Port| port.at).collect(),
            tls: tls_files(&values),
            access: access_rules(&values),
            log_json: text("log.format") == "json",
            log_filter: text("log.filter"),
            grace: Duration::from_secs(number("shutdown.grace_s")),
            limits,
            bridge: BridgeOptions {
                message_bytes_max: size("chat.message_bytes_max"),
                edit_window_s: number("chat.edit_window_s").try_into().unwrap_or(u32::MAX),
                group_members_max: number("chat.group_members_max").try_into().unwrap_or(u32::MAX),
                quotas: Self::quotas(&values),
                operators: Self::operators(&values),
            },
            partition: PartitionOptions {
                tail_bytes_max: size("chat.tail_bytes_max"),
                receipts_members_max: number("chat.receipts_members_max")
                    .try_into()
                    .unwrap_or(u32::MAX),
            },
            erase_every: Duration::from_secs(number("store.erase_every_s")),
            store: RocksOptions {
                write_buffer_bytes: size("store.write_buffer_bytes"),
                block_cache_bytes: size("store.block_cache_bytes"),
                log_bytes: size("store.log_bytes"),
            },
            partitions: small("store.partitions"),
            values,
        }
    }

    /// Who tries things out in `dev` mode is not to be stopped, unless he wants to try that.
    fn quotas(values: &Values) -> Quotas {
        let dev = values["dev"].items.iter().any(|item| item == "true");
        let number = |name: &str| {
            let value = &values[name];
            let given = value.items.first().filter(|_| !dev || value.source.is_some());
            given.and_then(|text| text.replace('_', "").parse::<u64>().ok()).unwrap_or(0)
        };
        let small = |name: &str| u32::try_from(number(name)).unwrap_or(u32::MAX);
        Quotas {
            user_messages_per_s: small("quota.user_messages_per_s"),
            chat_messages_per_s: small("quota.chat_messages_per_s"),
            stored_bytes_max: number("quota.stored_bytes_max"),
            groups_owned_max: small("quota.groups_owned_max"),
            strangers_per_hour: small("quota.strangers_per_hour"),
        }
    }

    /// Who tries things out is his own operator.
    fn operators(values: &Values) -> Operators {
        let dev = values["dev"].items.iter().any(|item| item == "true");
        let value = &values["plain.operators"];
        if dev && value.source.is_none() {
            return Operators::Everybody;
        }
        let users = value.items.iter().filter_map(|user| UserId::try_from(&**user).ok());
        Operators::Only(users.collect())
    }

    /// Without passwords the server must not be reachable from elsewhere.
    fn check_dev(&self, mistakes: &mut Vec<Mistake>) {
        if !self.dev {
            return;
        }
        for (key, ports) in [
            ("listen.mqtt", &self.mqtt),
            ("listen.mqtts", &self.mqtts),
            ("listen.ws", &self.ws),
            ("listen.wss", &self.wss),
        ] {
            for port in ports.iter().filter(|port| !port.at.ip().is_loopback()) {
                mistakes.push(self.mistake(
                    key,
                    &port.at.to_string(),
                    "with dev = true, which asks for no passwords, only loopback addresses such \
                     as 127.0.0.1:1883 are allowed",
                ));
            }
        }
    }

    /// A server that listens nowhere serves nobody.
    fn check_listeners(&self, mistakes: &mut Vec<Mistake>) {
        let ports = [&self.mqtt, &self.mqtts, &self.ws, &self.wss];
        if ports.iter().all(|ports| ports.is_empty()) && self.unix.is_empty() {
            mistakes.push(self.mistake("listen.mqtt", "[]", "there has to be a listener"));
        }
    }

    /// Whoever asks is answered alike: it is of no use to know for whom a balancer speaks.
    fn check_http(&self, mistakes: &mut Vec<Mistake>) {
        for port in endpoints::<SocketAddr>(&self.values, "listen.http") {
            if port.proxy {
                let text = format!("{}+proxy", port.at);
                let should_be = "takes no PROXY header: leave +proxy out";
                mistakes.push(self.mistake("listen.http", &text, should_be));
            }
        }
    }

    fn check_certificates(&self, mistakes: &mut Vec<Mistake>) {
        let count = |key: &str| self.values[key].items.len();
        let (certificates, keys) = (count("tls.certs"), count("tls.keys"));
        if certificates != keys {
            mistakes.push(self.mistake(
                "tls.keys",
                &self.values["tls.keys"].items.join(", "),
                &format!("must be as many as tls.certs: {certificates}, in the same order"),
            ));
        }
        for key in ["listen.mqtts", "listen.wss"] {
            if certificates == 0 && count(key) > 0 {
                let text = self.values[key].items.join(", ");
                let should_be = "needs a certificate: set tls.certs and tls.keys (--cert, --key)";
                mistakes.push(self.mistake(key, &text, should_be));
            }
        }
    }

    /// A body comes in a packet.
    fn check_sizes(&self, mistakes: &mut Vec<Mistake>) {
        let (body, packet) = (self.bridge.message_bytes_max, self.limits.packet_bytes_max);
        if body > packet {
            mistakes.push(self.mistake(
                "chat.message_bytes_max",
                &body.to_string(),
                &format!("must be at most limits.packet_bytes_max, {packet}, which it comes in"),
            ));
        }
    }

    fn mistake(&self, key: &str, value: &str, should_be: &str) -> Mistake {
        Mistake::new(key, value, self.values[key].source(), should_be)
    }

    /// The effective configuration as a file that would give it, with comments.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        for key in KEYS {
            let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
            if of != section {
                section = of;
                let _ = writeln!(out, "[{section}]\n");
            }
            for line in key.doc.lines() {
                let _ = writeln!(out, "# {}", line.trim());
            }
            let value = &self.values[key.name];
            let default = key.kind.to_toml(&key.default_items());
            let _ = match &value.source {
                Some(source) => writeln!(out, "# Default: {default}. Set by {source}."),
                None => writeln!(out, "# Default."),
            };
            let _ = writeln!(out, "{name} = {}\n", key.kind.to_toml(&value.items));
        }
        out
    }
}

/// The default of `listen.mqtt` is for those who name no listener.
fn leave_out_default_port(values: &mut Values) {
    let others = ["listen.mqtts", "listen.ws", "listen.wss", "listen.unix"];
    let named = others.iter().any(|key| !values[key].items.is_empty());
    if let Some(mqtt) = values.get_mut("listen.mqtt")
        && mqtt.source.is_none()
        && named
    {
        mqtt.items.clear();
    }
}

fn endpoints<A: FromStr>(values: &Values, key: &str) -> Vec<Endpoint<A>> {
    values[key].items.iter().filter_map(|item| item.parse().ok()).collect()
}

fn tls_files(values: &Values) -> Option<TlsFiles> {
    let paths = |key: &str| values[key].items.iter().map(PathBuf::from).collect::<Vec<_>>();
    let pairs = paths("tls.certs").into_iter().zip(paths("tls.keys"));
    let certificates: Vec<_> = pairs.map(|(chain, key)| CertificateFiles { chain, key }).collect();
    let authorities = paths("tls.client_cas");
    let required = values["tls.client_certs"].items == ["required"];
    let clients = (!authorities.is_empty()).then_some(ClientCertificates { authorities, required });
    (!certificates.is_empty()).then_some(TlsFiles { certificates, clients })
}

/// In `dev` mode everything is open, unless somebody wants to try rules.
fn access_rules(values: &Values) -> Vec<Rule> {
    let dev = values["dev"].items.iter().any(|item| item == "true");
    let given = &values["access.rules"];
    let open = ["allow all * #".to_owned(), "allow all * $SYS/#".to_owned()];
    let rules = if dev && given.source.is_none() { &open[..] } else { &given.items };
    rules.iter().filter_map(|rule| rule.parse().ok()).collect()
}

impl Value {
    fn source(&self) -> &str {
        self.source.as_deref().unwrap_or("default")
    }
}

impl Key {
    fn check(&self, value: &Value, mistakes: &mut Vec<Mistake>) {
        let mut wrong = |item: &str| {
            mistakes.push(Mistake::new(self.name, item, value.source(), &self.kind.to_string()));
        };
        for item in &value.items {
            if !self.kind.takes(item) {
                wrong(if item.is_empty() { "\"\"" } else { item });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::cli::Place;

    impl Environment for &[(&str, &str)] {
        fn variables(&self) -> Vec<(OsString, OsString)> {
            self.iter().map(|(name, value)| (name.into(), value.into())).collect()
        }
    }

    fn load(settings: &Settings, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        Config::load(settings, &environment)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    fn file(text: &str) -> (tempfile::NamedTempFile, Settings) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let place = Place { config: Some(file.path().to_owned()), data_dir: None };
        (file, Settings { place, ..Settings::default() })
    }

    #[test]
    fn the_defaults_are_those_of_the_crates() {
        let config = load(&Settings::default(), &[]).expect("valid");
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        assert_eq!(format!("{:?}", config.bridge), format!("{:?}", BridgeOptions::default()));
        let partition = PartitionOptions::default();
        assert_eq!(format!("{:?}", config.partition), format!("{partition:?}"));
        assert_eq!(format!("{:?}", config.store), format!("{:?}", RocksOptions::default()));
    }

    #[test]
    fn flags_outweigh_the_environment_and_that_the_file() {
        let (_file, mut settings) =
            file("data_dir = 'a'\n[chat]\nmessage_bytes_max = 7\n[limits]\ninflight_in_max = 5\n");
        settings.place.data_dir = Some("c\"\u{7f}".to_owned());
        let environment =
            [("BLUETICK_DATA_DIR", "b"), ("BLUETICK_CHAT__MESSAGE_BYTES_MAX", "8"), ("OTHER", "1")];
        let config = load(&settings, &environment).expect("valid");
        assert_eq!(config.data_dir, PathBuf::from("c\"\u{7f}"));
        assert_eq!(config.bridge.message_bytes_max, 8);
        assert_eq!(config.limits.inflight_in_max, 5);

        let printed = config.to_toml();
        assert!(printed.contains("Default: 262144. Set by BLUETICK_CHAT__MESSAGE_BYTES_MAX."));
        let (_file, settings) = file(&printed);
        let again = load(&settings, &[]).expect("what is printed can be read");
        assert_eq!(again.data_dir, config.data_dir);
        assert_eq!(format!("{:?}", again.limits), format!("{:?}", config.limits));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let (_file, mut settings) = file(
            "mqtt = 1\n[limits]\nconections_max = 5\npacket_bytes_max = '4096'\n\
             [log]\nfilter = 'no=such=filter'\n[chat.inner]\nx = 1\n",
        );
        settings.mqtt = vec!["nowhere".to_owned(), "127.0.0.1:0".to_owned()];
        let environment = [
            ("BLUETICK_LIMITS__INFLIGHT_IN_MAX", "0"),
            ("BLUETICK_LIMITS__INFLIGHT_IM_MAX", "1"),
            ("BLUETICK_LOG__FORMAT", "xml"),
            ("BLUETICK_PORT", "tcp://10.0.0.1:1883"),
        ];
        let mut mistakes = load(&settings, &environment).expect_err("mistakes");
        mistakes.sort();
        let expected = [
            "BLUETICK_LIMITS__INFLIGHT_IM_MAX = 1 (environment): there is no such key; \
             did you mean limits.inflight_in_max?",
            "chat.inner = { x = 1 } (FILE): there is no such key",
            "limits.conections_max = 5 (FILE): there is no such key; \
             did you mean limits.connections_max?",
            "limits.inflight_in_max = 0 (BLUETICK_LIMITS__INFLIGHT_IN_MAX): \
             must be a number, 1 to 65535",
            "limits.packet_bytes_max = \"4096\" (FILE): must be a number, 1024 to 268435460",
            "listen.mqtt = nowhere (--mqtt): must be an address and a port, such as 127.0.0.1:1883",
            "log.filter = no=such=filter (FILE): must be a filter, such as info or \
             info,bluetick_broker=debug",
            "log.format = xml (BLUETICK_LOG__FORMAT): must be one of text, json",
            "mqtt = 1 (FILE): there is no such key; did you mean listen.mqtt?",
        ];
        let path = settings.place.config.expect("a path").display().to_string();
        let mistakes: Vec<_> = mistakes.iter().map(|text| text.replace(&path, "FILE")).collect();
        assert_eq!(mistakes, expected);
    }

    #[test]
    fn a_file_that_is_none_is_told_with_the_rest() {
        let (_file, settings) = file("[limits\n");
        let mistakes = load(&settings, &[("BLUETICK_DEV", "yes")]).expect_err("mistakes");
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        let place = Place { config: Some("/none/such".into()), data_dir: None };
        let settings = Settings { place, ..Settings::default() };
        assert!(load(&settings, &[]).expect_err("a mistake").concat().contains("/none/such"));
    }

    #[test]
    fn dev_is_for_loopback_only() {
        let mut settings = Settings { dev: true, ..Settings::default() };
        settings.mqtt = vec!["0.0.0.0:1883".to_owned(), "[::1]:1883".to_owned()];
        let mistakes = load(&settings, &[]).expect_err("refused");
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes.concat().contains("loopback"), "{mistakes:?}");
        settings.mqtt.remove(0);
        assert!(load(&settings, &[]).expect("allowed").dev);
    }

    #[test]
    fn the_default_port_is_for_those_who_name_no_listener() {
        let config = load(&Settings::default(), &[]).expect("valid");
        assert_eq!(config.mqtt.len(), 1);
        let sockets = vec!["/run/mqtt.sock+proxy".to_owned()];
        let settings = Settings { unix: sockets, ..Settings::default() };
        let config = load(&settings, &[]).expect("valid");
        assert_eq!((config.mqtt.len(), config.unix.len()), (0, 1));
        assert!(config.unix[0].proxy && config.unix[0].at.ends_with("mqtt.sock"));
        let (_file, again) = file(&config.to_toml());
        assert_eq!(load(&again, &[]).expect("valid").mqtt, []);
        let (_file, nowhere) = file("[listen]\nmqtt = []\n");
        let mistakes = load(&nowhere, &[]).expect_err("nowhere");
        assert!(mistakes.concat().contains("there has to be a listener"), "{mistakes:?}");
        let config = load(&settings, &[("BLUETICK_LISTEN__MQTT", "[::1]:1883+proxy")]);
        assert_eq!(config.expect("valid").mqtt[0].at.port(), 1883);
    }

    #[test]
    fn http_is_no_listener_of_clients() {
        let http = vec!["127.0.0.1:0".to_owned(), "[::1]:9883+proxy".to_owned()];
        let mut settings = Settings { http, ..Settings::default() };
        let mistakes = load(&settings, &[]).expect_err("a PROXY header");
        assert!(mistakes.concat().contains("[::1]:9883+proxy (--http): takes no"), "{mistakes:?}");
        settings.http.pop();
        let config = load(&settings, &[]).expect("valid");
        assert_eq!((config.mqtt.len(), config.http.len()), (1, 1));
        let (_file, again) = file(&config.to_toml());
        assert_eq!(load(&again, &[]).expect("valid").http, config.http);
        let (_file, alone) = file("[listen]\nmqtt = []\nhttp = ['127.0.0.1:9883']\n");
        let mistakes = load(&alone, &[]).expect_err("no listener");
        assert!(mistakes.concat().contains("there has to be a listener"), "{mistakes:?}");
    }

    #[test]
    fn tls_needs_a_key_for_each_certificate() {
        let mut settings = Settings { dev: true, ..Settings::default() };
        settings.wss = vec!["127.0.0.1:0".to_owned(), "0.0.0.0:0+proxy".to_owned()];
        let mistakes = load(&settings, &[]).expect_err("no certificate");
        assert_eq!(mistakes.len(), 2, "{mistakes:?}");
        assert!(mistakes[0].contains("needs a certificate"), "{mistakes:?}");
        assert!(mistakes[1].contains("only loopback"), "{mistakes:?}");
        settings.wss.pop();
        settings.cert = vec!["a.pem".to_owned(), "b.pem".to_owned()];
        settings.key = vec!["a.key".to_owned()];
        let mistakes = load(&settings, &[]).expect_err("a key is missing");
        assert!(mistakes.concat().contains("as many as tls.certs: 2"), "{mistakes:?}");
        let environment =
            [("BLUETICK_TLS__KEYS", "c.key, d.key"), ("BLUETICK_TLS__CLIENT_CAS", "ca.pem")];
        settings.key.clear();
        let tls = load(&settings, &environment).expect("valid").tls.expect("certificates");
        assert_eq!(tls.certificates[1].key, PathBuf::from("d.key"));
        assert_eq!(tls.paths().count(), 5);
        assert!(tls.clients.is_some_and(|clients| !clients.required));
    }

    #[test]
    fn a_body_has_to_fit_its_packet() {
        let environment = [("BLUETICK_LIMITS__PACKET_BYTES_MAX", "4096")];
        let mistakes = load(&Settings::default(), &environment).expect_err("refused");
        assert!(
            mistakes.concat().contains("at most limits.packet_bytes_max, 4096"),
            "{mistakes:?}"
        );
    }
}
