//! What a connection is made with, in rumqttc's terms.

use std::time::Duration;

use bluetick_protocol::{
    ALL_MESSAGES_FILTER, ALL_PRESENCE_FILTER, ALL_RECEIPTS_FILTER, ALL_REPLIES_FILTER,
    ALL_TYPING_FILTER, UserId, compact,
};
#[cfg(feature = "tls")]
use rumqttc::TlsConfiguration;
use rumqttc::Transport;
use rumqttc::v5::MqttOptions;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectProperties, Filter};

use super::{Address, Scheme};
use crate::builder::Dialect;

/// How long a connection may take to be made, to the CONNACK.
const CONNECT_TIMEOUT_S: u64 = 10;

/// Topics that the server may give a number.
pub(super) const ALIASES_MAX: u16 = 64;

/// All that is set once.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) address: Address,
    pub(crate) user: UserId,
    pub(crate) device: String,
    pub(crate) program: String,
    pub(crate) dialect: Dialect,
    pub(crate) bare_acks: bool,
    pub(crate) messages: bool,
    pub(crate) own_messages: bool,
    pub(crate) receipts: bool,
    pub(crate) presence: bool,
    pub(crate) typing: bool,
    pub(crate) manual_acks: bool,
    pub(crate) unacked_max: u16,
    pub(crate) packet_bytes_max: u32,
    pub(crate) keep_alive: Duration,
    pub(crate) session_expiry_s: u32,
    pub(crate) backoff: (Duration, Duration),
    #[cfg(feature = "tls")]
    pub(crate) tls: std::sync::Arc<rustls::ClientConfig>,
}

impl Settings {
    pub(super) fn options(&self, password: String) -> MqttOptions {
        let Address { host, port, .. } = &self.address;
        let host = match self.address.scheme {
            Scheme::Mqtt | Scheme::Mqtts => host.clone(),
            Scheme::Ws | Scheme::Wss => self.address.url(),
        };
        let mut options = MqttOptions::new(&self.device, host, *port);
        let properties = ConnectProperties {
            session_expiry_interval: Some(self.session_expiry_s),
            receive_maximum: Some(self.unacked_max),
            max_packet_size: Some(self.packet_bytes_max),
            topic_alias_max: Some(ALIASES_MAX),
            request_response_info: None,
            request_problem_info: self.bare_acks.then_some(0),
            user_properties: vec![("client".to_owned(), self.program.clone())],
            authentication_method: None,
            authentication_data: None,
        };
        options
            .set_credentials(self.user.as_str(), password)
            .set_clean_start(false)
            .set_manual_acks(true)
            .set_keep_alive(self.keep_alive)
            .set_connection_timeout(CONNECT_TIMEOUT_S)
            .set_connect_properties(properties)
            .set_transport(self.transport());
        options
    }

    fn transport(&self) -> Transport {
        match self.address.scheme {
            #[cfg(feature = "tls")]
            Scheme::Mqtts => Transport::tls_with_config(TlsConfiguration::Rustls(self.tls.clone())),
            #[cfg(feature = "websocket")]
            Scheme::Ws => Transport::ws(),
            #[cfg(all(feature = "tls", feature = "websocket"))]
            Scheme::Wss => Transport::wss_with_config(TlsConfiguration::Rustls(self.tls.clone())),
            // What this build has not is no address.
            _ => Transport::tcp(),
        }
    }

    /// What to subscribe to.
    pub(super) fn filters(&self) -> Vec<Filter> {
        let (messages, receipts, typing) = Self::names(self.dialect);
        // Not at QoS 1: an answer must not wait until the application takes what came before. One that is
        // lost is asked for again.
        let mut filters = vec![Filter::new(ALL_REPLIES_FILTER, QoS::AtMostOnce)];
        if self.messages {
            let mut messages = Filter::new(messages, QoS::AtLeastOnce);
            messages.nolocal = !self.own_messages;
            filters.push(messages);
        }
        if self.receipts {
            filters.push(Filter::new(receipts, QoS::AtLeastOnce));
        }
        if self.typing {
            filters.push(Filter::new(typing, QoS::AtMostOnce));
        }
        if self.presence {
            filters.push(Filter::new(ALL_PRESENCE_FILTER, QoS::AtMostOnce));
        }
        filters
    }

    /// What an earlier program may have subscribed to in this session, and this one does not want.
    pub(super) fn unwanted(&self) -> Vec<&'static str> {
        let other = match self.dialect {
            Dialect::Json => Dialect::Compact,
            Dialect::Compact => Dialect::Json,
        };
        let (messages, receipts, typing) = Self::names(other);
        let mut unwanted = vec![messages, receipts, typing];
        let (messages, receipts, typing) = Self::names(self.dialect);
        if !self.messages {
            unwanted.push(messages);
        }
        if !self.receipts {
            unwanted.push(receipts);
        }
        if !self.typing {
            unwanted.push(typing);
        }
        if !self.presence {
            unwanted.push(ALL_PRESENCE_FILTER);
        }
        unwanted
    }

    fn names(dialect: Dialect) -> (&'static str, &'static str, &'static str) {
        match dialect {
            Dialect::Json => (ALL_MESSAGES_FILTER, ALL_RECEIPTS_FILTER, ALL_TYPING_FILTER),
            Dialect::Compact => (
                compact::ALL_MESSAGES_FILTER,
                compact::ALL_RECEIPTS_FILTER,
                compact::ALL_TYPING_FILTER,
            ),
        }
    }
}
