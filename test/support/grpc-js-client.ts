import {
  create,
  type DescMessage,
  type DescMethod,
  type DescMethodBiDiStreaming,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import {
  type CallOptions,
  type Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
} from "@grpc/grpc-js";

/**
 * A client of grpc-js for a service of the generated contract. Unary methods answer with a promise, which is rejected with grpc-js's
 * ServiceError; streams are those of grpc-js, over which `for await` goes, and whose `write` takes what `create` makes.
 */
export type GrpcJsClient<S extends DescService> = {
  [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: GrpcJsCallOptions) => Promise<MessageShape<O>>
    : S["method"][K] extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: GrpcJsCallOptions) => ClientReadableStream<MessageShape<O>>
      : S["method"][K] extends DescMethodBiDiStreaming<infer I, infer O>
        ? (options?: GrpcJsCallOptions) => ClientDuplexStream<MessageInitShape<I>, MessageShape<O>>
        : never;
} & Disposable;

export interface GrpcJsCallOptions {
  /** Added to the client's own. */
  metadata?: Readonly<Record<string, string>>;
  timeoutMs?: number;
}

/**
 * Connects when the first call is made. `address` is `host:port`, or a URL as createServers answers with: https speaks TLS and trusts the certificates
 * of `tls.ca` (PEM), and shows the certificate `tls.cert` with its `tls.key`. Dispose of the client, or its connection stays open.
 */
export function createGrpcJsClient<S extends DescService>(
  service: S,
  address: string,
  metadata: Readonly<Record<string, string>> = {},
  tls: { ca?: string; cert?: string; key?: string } = {},
): GrpcJsClient<S> {
  const ServiceClient = makeGenericClientConstructor(
    Object.fromEntries(service.methods.map((method) => [method.localName, definitionOf(method)])),
    service.typeName,
  );
  const { protocol, host } = /^https?:/.test(address) ? new URL(address) : { protocol: "http:", host: address };
  const [root, key, cert] = [tls.ca, tls.key, tls.cert].map((pem) => (pem === undefined ? null : Buffer.from(pem)));
  const channel = protocol === "https:" ? credentials.createSsl(root, key, cert) : credentials.createInsecure();
  const client = new ServiceClient(host, channel);
  const methods = service.methods.map((method) => [method.localName, bind(client, method, metadata)]);
  return { ...Object.fromEntries(methods), [Symbol.dispose]: () => client.close() };
}

function definitionOf({ name, parent, methodKind, input, output }: DescMethod) {
  return {
    path: `/${parent.typeName}/${name}`,
    requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
    responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
    requestSerialize: serializer(input),
    requestDeserialize: deserializer(input),
    responseSerialize: serializer(output),
    responseDeserialize: deserializer(output),
  };
}

function serializer(type: DescMessage) {
  return (message: MessageInitShape<DescMessage>) => Buffer.from(toBinary(type, create(type, message)));
}

function deserializer(type: DescMessage) {
  return (bytes: Buffer) => fromBinary(type, bytes);
}

function bind(client: Client, method: DescMethod, base: Readonly<Record<string, string>>) {
  const { path, requestSerialize, responseDeserialize } = definitionOf(method);
  switch (method.methodKind) {
    case "unary":
      return (request: MessageInitShape<DescMessage>, options?: GrpcJsCallOptions) => {
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        const [metadata, callOptions] = callArguments(base, options);
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          metadata,
          callOptions,
          (error, answer) => (error === null ? resolve(answer) : reject(error)),
        );
        return promise;
      };
    case "server_streaming":
      return (request: MessageInitShape<DescMessage>, options?: GrpcJsCallOptions) =>
        client.makeServerStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          request,
          ...callArguments(base, options),
        );
    case "bidi_streaming":
      return (options?: GrpcJsCallOptions) =>
        client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, ...callArguments(base, options));
    case "client_streaming":
      return () => {
        throw new Error(`${path}: client streaming is not offered here, since the contract has none`);
      };
  }
}

function callArguments(
  base: Readonly<Record<string, string>>,
  { metadata = {}, timeoutMs }: GrpcJsCallOptions = {},
): [Metadata, CallOptions] {
  const all = new Metadata();
  for (const [name, value] of Object.entries({ ...base, ...metadata })) all.set(name, value);
  return [all, timeoutMs === undefined ? {} : { deadline: Date.now() + timeoutMs }];
}
