import {
  create,
  type DescMethodBiDiStreaming,
  type DescMethodUnary,
  type DescService,
  type JsonValue,
  type Message,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { type CallOptions, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import type { ServiceError } from "@grpc/grpc-js";
import { createGrpcJsClient } from "../support/grpc-js-client.ts";
import type { TellwireProcess } from "../support/tellwire.ts";
import { connectOutcome, detailTypes, grpcJsOutcome, type Outcome, restOutcome } from "./matrix-outcome.ts";
import { writeRestRequest } from "./matrix-rest.ts";

/** One protocol, as a client of it sees the service. The key is undefined for a call without one. */
export interface Door {
  name: string;
  call(method: DescMethodUnary, request: Message, key: string | undefined): Promise<Outcome>;
  close(): void;
}

/** The same for calls that stream both ways: all requests are sent, and the answers collected. A failed call is its error alone. */
export interface StreamDoor {
  name: string;
  call(method: DescMethodBiDiStreaming, requests: Message[], key: string | undefined): Promise<Outcome>;
  close(): void;
}

type Urls = Pick<TellwireProcess, "httpUrl" | "grpcUrl">;

/** Every protocol that has unary calls, on the port that it is for, and some on both. */
export function openDoors({ httpUrl, grpcUrl }: Urls): Door[] {
  const http1 = { baseUrl: httpUrl, httpVersion: "1.1" } as const;
  const http2 = { baseUrl: grpcUrl, httpVersion: "2" } as const;
  return [
    restDoor(httpUrl),
    connectDoor("Connect JSON", createConnectTransport({ ...http1, useBinaryFormat: false, jsonOptions })),
    connectDoor(
      "Connect JSON, by GET where it may",
      createConnectTransport({ ...http1, useBinaryFormat: false, useHttpGet: true, jsonOptions }),
    ),
    connectDoor("Connect binary", createConnectTransport(http1)),
    connectDoor("Connect over h2c", createConnectTransport(http2)),
    connectDoor("gRPC-Web", createGrpcWebTransport(http1)),
    connectDoor("gRPC by Connect", createGrpcTransport({ baseUrl: grpcUrl })),
    grpcJsDoor(grpcUrl),
  ];
}

/** Every protocol that has calls which stream both ways; all of them need HTTP/2. */
export function openStreamDoors({ grpcUrl: baseUrl }: Urls): StreamDoor[] {
  return [
    connectStreamDoor(
      "Connect JSON",
      createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false, jsonOptions }),
    ),
    connectStreamDoor("Connect binary", createConnectTransport({ baseUrl, httpVersion: "2" })),
    connectStreamDoor("gRPC-Web over h2c", createGrpcWebTransport({ baseUrl, httpVersion: "2" })),
    connectStreamDoor("gRPC by Connect", createGrpcTransport({ baseUrl })),
    grpcJsStreamDoor(baseUrl),
  ];
}

const jsonOptions = { registry: detailTypes };

function restDoor(baseUrl: string): Door {
  return {
    name: "REST",
    async call(method, message, key) {
      const { target, body, readAnswer, ...request } = writeRestRequest(method, message);
      const response = await fetch(baseUrl + target, {
        ...request,
        headers: { ...bearer(key), ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body }),
      });
      const text = await response.text();
      return response.ok ? { answer: readAnswer(text) } : restOutcome(response.status, text);
    },
    close() {},
  };
}

function connectDoor(name: string, transport: Transport): Door {
  return {
    name,
    async call(method, message, key) {
      const call = pick<UnaryCall>(createClient(method.parent, transport), method);
      try {
        return { answer: toJson(method.output, await call(message, { headers: bearer(key) }), jsonOptions) };
      } catch (error) {
        return connectOutcome(connectError(error));
      }
    },
    close() {},
  };
}

function connectStreamDoor(name: string, transport: Transport): StreamDoor {
  return {
    name,
    async call(method, messages, key) {
      const call = pick<StreamCall>(createClient(method.parent, transport), method);
      const answers: JsonValue[] = [];
      try {
        for await (const answer of call(each(messages), { headers: bearer(key) })) {
          answers.push(toJson(method.output, answer, jsonOptions));
        }
        return { answer: answers };
      } catch (error) {
        return connectOutcome(connectError(error));
      }
    },
    close() {},
  };
}

function grpcJsDoor(address: string): Door {
  const clients = grpcJsClients(address);
  return {
    name: "gRPC by grpc-js",
    async call(method, message, key) {
      const call = pick<(message: Message, options: object) => Promise<Message>>(clients.of(method.parent), method);
      try {
        return { answer: toJson(method.output, await call(message, { metadata: bearer(key) }), jsonOptions) };
      } catch (error) {
        return grpcJsOutcome(serviceError(error));
      }
    },
    close: clients.close,
  };
}

function grpcJsStreamDoor(address: string): StreamDoor {
  const clients = grpcJsClients(address);
  return {
    name: "gRPC by grpc-js",
    async call(method, messages, key) {
      type Duplex = AsyncIterable<Message> & { write(message: Message): boolean; end(): void };
      const stream = pick<(options: object) => Duplex>(clients.of(method.parent), method)({ metadata: bearer(key) });
      for (const message of messages) stream.write(message);
      stream.end();
      const answers: JsonValue[] = [];
      try {
        for await (const answer of stream) answers.push(toJson(method.output, answer, jsonOptions));
        return { answer: answers };
      } catch (error) {
        return grpcJsOutcome(serviceError(error));
      }
    },
    close: clients.close,
  };
}

type UnaryCall = (message: Message, options: CallOptions) => Promise<Message>;
type StreamCall = (messages: AsyncIterable<Message>, options: CallOptions) => AsyncIterable<Message>;

/** The clients' types know their methods one by one; a matrix goes over all of them. */
function pick<Call>(client: object, method: { localName: string }): Call {
  return (client as Record<string, Call>)[method.localName]!;
}

function grpcJsClients(address: string) {
  const clients = new Map<DescService, Disposable>();
  return {
    of(service: DescService): Disposable {
      const client = clients.get(service) ?? createGrpcJsClient(service, address);
      clients.set(service, client);
      return client;
    },
    close() {
      for (const client of clients.values()) client[Symbol.dispose]();
    },
  };
}

/** Errors of the test itself are no outcome. */
function connectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  throw error;
}

function serviceError(error: unknown): ServiceError {
  if (error instanceof Error && "metadata" in error && "code" in error) return error as ServiceError;
  throw error;
}

function bearer(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}

async function* each<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}

/** A message of a method's input, from its fields. */
export function messageOf(method: DescMethodUnary | DescMethodBiDiStreaming, fields: object): Message {
  return create(method.input, fields as MessageInitShape<typeof method.input>);
}
