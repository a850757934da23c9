import type { BrokerLog } from "../../src/broker/broker.ts";

/** For tests in which what the broker logs is beside the point. */
export const silentBrokerLog: BrokerLog = () => {};
