import type { Broker, IncomingMessage } from "../../src/broker/broker.ts";

/** The same broker, each of whose consumers is handed its first messages in one batch, however they come. */
export function handingOutTogether(broker: Broker, count: number): Broker {
  return {
    ...broker,
    consume(options, handle) {
      const first: IncomingMessage[] = [];
      return broker.consume(options, (batch) => {
        if (first.length >= count) return handle(batch);
        first.push(...batch);
        if (first.length >= count) handle(first);
      });
    },
  };
}
