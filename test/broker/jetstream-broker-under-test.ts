import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { inject } from "vitest";
import type { Broker, OutgoingMessage } from "../../src/broker/broker.ts";
import { openJetStream } from "../../src/broker/jetstream.ts";
import { patienceMs, removeStreams, uniqueNatsNames } from "../support/nats.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";

/** The JetStream broker on streams of its own, which are removed after each test. */
export function jetStreamBrokerUnderTest(): BrokerUnderTest {
  const names = uniqueNatsNames();
  const opened: Broker[] = [];
  return {
    subjectPrefix: names.subjectPrefix,
    async open({ ackWaitMs = 30_000 } = {}) {
      const broker = await openJetStream({
        url: inject("natsUrl"),
        ...names,
        ackWaitMs,
        timeoutMs: patienceMs,
        log: () => {},
      });
      opened.push(broker);
      return broker;
    },
    rejected: () => storedMessages(names.rejectedStream),
    async clear() {
      await Promise.all(opened.splice(0).map((broker) => broker.close()));
      await removeStreams(inject("natsUrl"), names);
    },
  };
}

/** Everything that a stream of the shared server holds. */
export async function storedMessages(stream: string): Promise<OutgoingMessage[]> {
  const nats = await connect({ servers: inject("natsUrl") });
  try {
    const manager = await jetstreamManager(nats, { timeout: patienceMs });
    const { state } = await manager.streams.info(stream);
    const sequences = Array.from({ length: state.messages }, (_, index) => state.first_seq + index);
    return await Promise.all(
      sequences.map(async (seq) => {
        const stored = await manager.streams.getMessage(stream, { seq });
        const entries = [...stored!.header].map(([name, values]) => [name, values.join(", ")]);
        return { subject: stored!.subject, headers: Object.fromEntries(entries), body: stored!.data };
      }),
    );
  } finally {
    await nats.close();
  }
}
