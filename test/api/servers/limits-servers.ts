import type { ConnectRouter } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { EventService } from "../../../gen/tellwire/v1/event_service_pb.ts";
import { OrganizationService } from "../../../gen/tellwire/v1/organization_service_pb.ts";
import type { ServersOptions } from "../../../src/api/servers/create-servers.ts";
import { createConnectCaller } from "../../../src/gateway/connect-caller.ts";
import { createGateway } from "../../../src/gateway/gateway.ts";
import { organizationRoutes, startTestServers, type TestServers } from "./test-servers.ts";

/** The most that a body or a message may have on these servers. */
export const maxBodyBytes = 64 * 1024;

/** Servers with the REST gateway beside the RPCs, behind the same gate and interceptors, and a stream that answers each event with its type. */
export async function startLimitedServers(options: Partial<ServersOptions> = {}): Promise<TestServers> {
  const { gate, interceptors = [], limits = {} } = options;
  const { bodyTimeoutMs } = limits;
  const gateway = createGateway({
    services: [OrganizationService],
    caller: createConnectCaller({ routes, interceptors, ...(gate === undefined ? {} : { gate }) }),
    maxBodyBytes,
    errorDomain: "tellwire",
    ...(bodyTimeoutMs === undefined ? {} : { bodyTimeoutMs }),
  });
  return await startTestServers({ routes, maxBodyBytes, gateway: gateway.handle, ...options });
}

function routes(router: ConnectRouter): void {
  organizationRoutes()(router);
  router.service(EventService, {
    async *publishEventStream(requests) {
      for await (const { event } of requests) yield { result: { case: "eventId", value: event?.type ?? "" } };
    },
  });
}

/** What a call of Connect's clients failed with. Throws where it succeeded. */
export async function refusalOf(call: Promise<unknown>): Promise<{ code: number; reason: string | undefined }> {
  const error = await call.then(
    (answer) => {
      throw new Error(`the call succeeded: ${JSON.stringify(answer)}`);
    },
    (thrown: unknown) => ConnectError.from(thrown),
  );
  return { code: error.code, reason: error.findDetails(ErrorInfoSchema)[0]?.reason ?? error.message };
}

/** What a JSON error of AIP-193 says. */
export function restRefusal(text: string): { code: number; status: string; reason: string | undefined } {
  const { error } = JSON.parse(text) as {
    error: { code: number; status: string; message: string; details: { "@type": string; reason: string }[] };
  };
  const info = error.details.find((detail) => detail["@type"] === "type.googleapis.com/google.rpc.ErrorInfo");
  return { code: error.code, status: error.status, reason: info?.reason ?? error.message };
}
