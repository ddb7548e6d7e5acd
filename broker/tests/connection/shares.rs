//! Shared subscriptions (MQTT 5 §4.8.2), by statement; `plain.rs` has how they are balanced and kept.

use crate::client::Client;
use crate::host::Anybody;

/// Two members of a share, of whom the first gets the first message, and a publisher.
async fn share(
    broker: &bluetick_broker::Broker<Anybody>,
    first_qos: u8,
    second_qos: u8,
) -> (Client, Client, Client) {
    let mut first = Client::connect(broker, "first").await;
    let mut second = Client::connect(broker, "second").await;
    first.subscribe("$share/g/t", first_qos).await;
    second.subscribe("$share/g/t", second_qos).await;
    (first, second, Client::connect(broker, "publisher").await)
}

/// MQTT 5: [MQTT-4.8.2-3].
#[tokio::test]
async fn each_gets_its_own_qos() {
    let broker = Anybody::broker();
    let (mut first, mut second, mut publisher) = share(&broker, 0, 1).await;
    for id in [1, 2] {
        publisher.publish(0x34, "t", id, "x").await;
        assert_eq!(publisher.next().await[0], 0x50);
    }
    assert_eq!(first.hear().await.to_string(), "q0 t=x");
    assert_eq!(second.hear().await.to_string(), "q1 t=x");
}

/// MQTT 5: [MQTT-4.8.2-4], [MQTT-4.8.2-5].
#[tokio::test]
async fn what_was_begun_at_qos_2_is_for_one_alone() {
    for comes_back in [true, false] {
        let broker = Anybody::broker();
        let (mut first, mut second, mut publisher) = share(&broker, 2, 2).await;
        publisher.publish(0x34, "t", 1, "x").await;
        let sent = first.hear().await;
        if comes_back {
            first.lose(&broker).await;
            second.is_silent().await;
            let mut first = Client::connect(&broker, "first").await;
            let again = first.hear().await;
            assert_eq!(
                (again.to_string().as_str(), again.packet_id),
                ("q2 dup t=x", sent.packet_id)
            );
        } else {
            first.end(&broker).await;
        }
        second.is_silent().await;
    }
}

/// MQTT 5: [MQTT-4.8.2-6].
#[tokio::test]
async fn what_one_refuses_no_other_gets() {
    for (qos, ack) in [(1, 0x40), (2, 0x50)] {
        let broker = Anybody::broker();
        let (mut first, mut second, mut publisher) = share(&broker, qos, qos).await;
        publisher.publish(0x34, "t", 1, "x").await;
        let sent = first.hear().await;
        let [high, low] = sent.packet_id;
        first.send(&[ack, 3, high, low, 0x83]).await;
        first.is_silent().await;
        second.is_silent().await;
        first.lose(&broker).await;
        second.is_silent().await;
        Client::connect(&broker, "first").await.is_silent().await;
    }
}
