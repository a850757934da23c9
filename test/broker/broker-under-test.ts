import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";

/** An empty broker for one test, which may be opened several times, as several processes would. */
export interface BrokerUnderTest {
  open(options?: OpenOptions): Promise<Broker>;
  /** What is kept under `<prefix>.rejected.>`, the oldest first. */
  rejected(): Promise<OutgoingMessage[]>;
  subjectPrefix: string;
  /** Closes what was opened and removes what was written. */
  clear(): Promise<void>;
}

/** Milliseconds. */
interface OpenOptions {
  ackWaitMs?: number;
  /** How long a consumer that nobody wakes waits before it looks, where it looks by itself. */
  pollIntervalMs?: number;
}
