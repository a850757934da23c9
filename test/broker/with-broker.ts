import { afterEach, beforeEach } from "vitest";
import type { Broker } from "../../src/broker/broker.ts";
import type { BrokerUnderTest } from "./broker-under-test.ts";

/** Starts a broker of its own for each test of the block, opens it, tells the tests of it, and clears it afterwards. */
export function withBroker(
  start: () => Promise<BrokerUnderTest>,
  onOpen: (underTest: BrokerUnderTest, broker: Broker) => void,
): void {
  let started: BrokerUnderTest | undefined;
  beforeEach(async () => {
    started = await start();
    onOpen(started, await started.open());
  });
  afterEach(() => started?.clear());
}
