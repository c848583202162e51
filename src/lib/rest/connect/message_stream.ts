/** A stream as the gRPC door writes it, read one message at a time. */

export interface MessageStream {
  start(headers: Record<string, string>): void;
  /** Adds a message. False: the reader is slower than we are; wait for `drained` before the next. */
  write(message: Uint8Array): boolean;
  /** True while a `write` would only grow the buffer. */
  readonly isFull: boolean;
  readonly hasUnsent: boolean;
  /** Resolves when `write` is welcome again, or the stream is closed. */
  drained(): Promise<void>;
  readonly isClosed: boolean;
  /** Ends the stream with a status, after what was written. */
  end(status: MessageStatus): void;
  /** Calls back once when the stream is gone, whoever ended it. */
  onClose(callback: () => void): void;
}

export interface MessageStatus {
  code: number;
  message?: string;
}

export interface ReadableMessages extends MessageStream {
  /** The next message, or how the stream ended; undefined once the reader has left. */
  take(): Promise<{ message: Uint8Array } | { end: MessageStatus } | undefined>;
  /** The reader leaves. */
  close: () => void;
}

/** Beyond this a stream is full. */
const BUFFER_BYTES_MAX = 1024 * 1024;

/** Makes a stream. `setHeader` is called for each header of the answer. */
export function createMessageStream(
  setHeader: (name: string, value: string) => void,
): ReadableMessages {
  const messages: Uint8Array[] = [];
  let bytes = 0;
  let final: MessageStatus | undefined;
  let hasLeft = false;
  let wakeReader = () => {};
  const writers: (() => void)[] = [];
  const closers: (() => void)[] = [];

  const wake = () => {
    wakeReader();
    for (const resolve of writers.splice(0)) resolve();
  };
  const over = () => {
    wake();
    for (const callback of closers.splice(0)) callback();
  };
  const isClosed = () => hasLeft || final !== undefined;
  return {
    start(headers) {
      for (const [name, value] of Object.entries(headers)) setHeader(name, value);
    },
    write(message) {
      if (isClosed()) return false;
      messages.push(message);
      bytes += message.length;
      wakeReader();
      return bytes < BUFFER_BYTES_MAX;
    },
    get isFull() {
      return bytes >= BUFFER_BYTES_MAX;
    },
    get hasUnsent() {
      return bytes > 0;
    },
    async drained() {
      while (!isClosed() && bytes >= BUFFER_BYTES_MAX) {
        await new Promise<void>((resolve) => writers.push(resolve));
      }
    },
    get isClosed() {
      return isClosed();
    },
    end(status) {
      if (isClosed()) return;
      final = status;
      over();
    },
    onClose: (callback) => void closers.push(callback),
    async take() {
      while (messages.length === 0 && !isClosed()) {
        await new Promise<void>((resolve) => wakeReader = resolve);
      }
      if (hasLeft) return undefined;
      const message = messages.shift();
      if (message === undefined) return final && { end: final };
      bytes -= message.length;
      wake();
      return { message };
    },
    close() {
      if (hasLeft) return;
      hasLeft = true;
      messages.length = 0;
      over();
    },
  };
}
