//! A group from its creation to its history: three people, a change of title, somebody who joins later.
//! Usage: `group_chat [URL]`, with a server started by `make run`.

use bluetick_client::{
    Client, Error, Event, Events, GroupEvent, GroupUpdate, Message, Page, Role, UserId,
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "mqtt://127.0.0.1".to_owned());
    let connect = |name: &str| Client::builder(&url).user(name).device("group").connect();
    let (ada, _events) = connect("ada").await?;
    let (ben, mut to_ben) = connect("ben").await?;
    let (cleo, mut to_cleo) = connect("cleo").await?;
    cleo.settled().await;

    let group = ada.create_group("Picnic", [ben.user().clone()]).await?;
    let of_ben = ben.chat(group.id());
    group.send("who brings the bread?").await?.await?;
    group.add([cleo.user().clone()]).await?;
    group.set_role(ben.user(), Role::Admin).await?;
    let update = GroupUpdate { title: Some("Picnic, Sunday".to_owned()), ..Default::default() };
    of_ben.update(update).await?;
    let bread = of_ben.send("I do").await?.await?;
    cleo.chat(group.id()).react(bread.seq, "\u{1f956}").await?.await?;

    // Ben was a member from the start, Cleo since she was added.
    println!("ben sees:");
    until(&mut to_ben, |event| matches!(event, Event::Reaction { .. })).await;
    println!("cleo sees:");
    until(&mut to_cleo, |event| matches!(event, Event::Reaction { .. })).await;

    let info = group.info().await?;
    println!("{} has {} members", info.title.unwrap_or_default(), info.members.len());
    for message in group.history(Page::Newest, 100).await? {
        println!("{:>3} {}: {}", message.seq, message.from, message.text().unwrap_or("\u{2013}"));
    }
    Ok(())
}

/// Prints what comes, up to and with this.
async fn until(events: &mut Events, is_last: fn(&Event) -> bool) {
    while let Some(event) = events.next().await {
        if let Some(line) = describe(&event) {
            println!("  {line}");
        }
        if is_last(&event) {
            return;
        }
    }
}

fn describe(event: &Event) -> Option<String> {
    let said = |by: &Message| by.text().unwrap_or_default().to_owned();
    let names = |users: &[UserId]| users.iter().map(UserId::as_str).collect::<Vec<_>>().join(", ");
    let by = &event.message()?.from;
    Some(match event {
        Event::Message(message) => format!("{by}: {}", said(message)),
        Event::Reaction { to, by: reaction } => format!("{by}: {} to {to}", said(reaction)),
        Event::Membership { what, .. } => match what {
            GroupEvent::Created { members, .. } => format!("{by} made it: {}", names(members)),
            GroupEvent::Added { members } => format!("{by} added {}", names(members)),
            GroupEvent::Role { user, role } => format!("{by} made {user} {}", role.as_str()),
            GroupEvent::Updated { title: Some(title), .. } => format!("{by} calls it {title}"),
            other => format!("{by}: {other:?}"),
        },
        _ => return None,
    })
}
