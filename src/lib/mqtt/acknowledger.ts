/** Acknowledges messages in the order in which they arrived, whatever order they are done in. */

export interface Acknowledger {
  /** Notes a message that has arrived; call what is returned when the broker may forget it. */
  expect(messageId: number): () => void;
  /** From now on nothing is acknowledged: the connection is gone, and its ids mean nothing. */
  close(): void;
}

/** `send` gets all that may be acknowledged at once, in order [MQTT-4.6.0-2]. */
export function createAcknowledger(send: (messageIds: number[]) => void): Acknowledger {
  const expected: { messageId: number; isDone: boolean }[] = [];
  let isScheduled = false;
  let isClosed = false;

  const flush = () => {
    isScheduled = false;
    if (isClosed) return;
    const waiting = expected.findIndex(({ isDone }) => !isDone);
    const done = expected.splice(0, waiting === -1 ? expected.length : waiting);
    if (done.length > 0) send(done.map(({ messageId }) => messageId));
  };

  return {
    expect(messageId) {
      const entry = { messageId, isDone: false };
      expected.push(entry);
      return () => {
        entry.isDone = true;
        if (isScheduled) return;
        isScheduled = true;
        // One commit ends many waits: their acknowledgements leave in one write.
        setImmediate(flush);
      };
    },
    close() {
      isClosed = true;
      expected.length = 0;
    },
  };
}
