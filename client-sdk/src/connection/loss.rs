//! Why a connection was lost or could not be made, and what to do about it.

use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode};
use rumqttc::v5::{ConnectionError, StateError};

use crate::event::Connection;

/// What to do about a loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// Try again, later.
    Retry,
    /// Do not try again before somebody asks for it.
    Stop(Connection),
}

impl Loss {
    pub(super) fn of(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectionRefused(code)
            | ConnectionError::MqttState(StateError::ConnFail { reason: code }) => refused(*code),
            ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, .. }) => {
                sent_away(*reason_code)
            }
            _ => Self::Retry,
        }
    }
}

fn refused(code: ConnectReturnCode) -> Loss {
    use ConnectReturnCode as Code;
    let code = match code {
        Code::BadUserNamePassword | Code::NotAuthorized => {
            return Loss::Stop(Connection::CredentialsRefused);
        }
        Code::UnsupportedProtocolVersion | Code::RefusedProtocolVersion => 0x84,
        Code::ClientIdentifierNotValid | Code::BadClientId => 0x85,
        Code::Banned => 0x8A,
        Code::BadAuthenticationMethod => 0x8C,
        // Busy, unavailable, moved: it may be better later.
        _ => return Loss::Retry,
    };
    Loss::Stop(Connection::Rejected { code })
}

fn sent_away(code: DisconnectReasonCode) -> Loss {
    match code {
        DisconnectReasonCode::SessionTakenOver | DisconnectReasonCode::AdministrativeAction => {
            Loss::Stop(Connection::TakenOver)
        }
        DisconnectReasonCode::NotAuthorized => Loss::Stop(Connection::CredentialsRefused),
        _ => Loss::Retry,
    }
}
