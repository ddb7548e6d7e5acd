//! The mistakes that a server may have in it, to see whether they would be noticed.

/// One mistake in a server, each of a kind that programs like this one have had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "the simulation of the sound server makes none of them")]
pub(crate) enum Sabotage {
    /// Commits are acknowledged once written, and synced only now and then; a crash takes what was
    /// not. Breaks *Sent*: "it is on stable storage".
    AcknowledgesBeforeSync,
    /// Now and then a commit has written nothing, and says that it went well. Breaks *Sent*: "if the
    /// store fails, nothing is acknowledged".
    SwallowsFailedCommits,
    /// Ids of messages are known only until their commit. Breaks *Once*: "whenever it is sent again".
    ForgetsIds,
    /// A retransmission is not seen to be one. Breaks *Once*: "still recognises MQTT's own
    /// retransmission".
    OverlooksDup,
    /// Two messages of a chat that go out together change places. Breaks *Ordered*: "every member
    /// gets the messages in that order".
    SwapsNeighbours,
    /// What is not for a device is left out without a word. Breaks *Ordered*: "a hole without
    /// `after` is a loss".
    HidesHoles,
    /// A session's cursor is stored as far as there was something to send, not as far as was
    /// acknowledged. Breaks *Kept*: "until it is delivered", at the next restart.
    StoresCursorsAhead,
    /// What was under way when a connection ended counts as delivered. Breaks *Kept*: "what has not
    /// been delivered to any device waits".
    WritesOffWhatWasUnderWay,
    /// A session that comes back is not sent again what it had not acknowledged. Breaks *Kept*, in
    /// the same place.
    ForgetsToRedeliver,
    /// A session ends with its connection, though it was to outlive it. Breaks *Kept* for each
    /// device ("each device gets everything once"): another device of its user may be ahead.
    EndsSessionsEarly,
    /// A message counts as delivered when it is sent. Breaks *Receipts*: "*delivered* means that a
    /// device of that member acknowledged it".
    CountsSentAsDelivered,
    /// A receipt counts as told when it is sent. Breaks *Receipts*: "they reach the author".
    CountsSentAsTold,
    /// Receipts of a chat that go out together are taken for one, the last, whosever they are.
    /// Breaks *Receipts*: "an author gets the latest pair per member".
    CoalescesReceipts,
    /// Watermarks are not stored. Breaks *Receipts*: "watermarks only ever rise", "both are stored".
    KeepsWatermarksInMemory,
    /// Whoever comes from an address is who came from there first. Breaks *Private*: "nobody reads a
    /// chat that he is not a member of".
    TrustsAddresses,
    /// A message of a direct chat goes to everybody who is subscribed to `chats/+/messages`. Breaks
    /// *Private*, in the same place.
    Broadcasts,
    /// That a membership has ended is not stored. Breaks *Private* at the next restart: "a member who
    /// is removed gets that event as the last one".
    ForgetsRemovals,
    /// A member who comes back has never been away, as the store has it. Breaks *Private*: "both
    /// memberships and nothing in between".
    ForgetsAbsences,
    /// A member who joins while none of his devices is there starts at the head of the log. Breaks
    /// *Kept*: "a later one at its own `added` event".
    JoinsAtHead,
    /// What is deleted is still given to those who had not got it. Breaks *Private*: "the body is
    /// erased".
    RemembersDeleted,
    /// A body is gone that nobody has deleted. Breaks *Kept*: "until it is delivered".
    LosesBodies,
    /// A block is not stored. Breaks *Private*: "what is not for this user (he had blocked its author)".
    ForgetsBlocks,
    /// Whoever turns read receipts off is told that they are, and they are not. Breaks *Receipts*.
    IgnoresPrivacy,
    /// Whoever goes is still there. Breaks the truth of presence, which *Receipts* stands for.
    OverlooksWhoGoes,
    /// A stranger is refused with another reason where there is a chat. Breaks *Private*: "the same
    /// answer, so that nobody can probe".
    RefusesOtherwiseWhatExists,
    /// An answer to a request is not stored. Breaks *Once*: "a repeat gets the first answer".
    ForgetsAnswers,
}
