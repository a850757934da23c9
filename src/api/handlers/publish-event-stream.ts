import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Validator } from "@bufbuild/protovalidate";
import type { HandlerContext } from "@connectrpc/connect";
import {
  PublishEventRequestSchema,
  type PublishEventStreamRequest,
  type PublishEventStreamResponseSchema,
} from "../../../gen/tellwire/v1/event_service_pb.ts";
import { publicId } from "../../domain/ids.ts";
import type { PublishInOrder, PublishNext } from "../../usecases/publish-in-order.ts";
import { callerError } from "../caller-error.ts";
import { violationsError } from "../field-violations.ts";
import { inOrder } from "../in-order.ts";
import { principalOf } from "../interceptors/auth-interceptor.ts";
import type { OnServerError } from "../interceptors/error-interceptor.ts";
import { errorStatus } from "../messages/error-details.ts";
import { newEvent, requiredEvent } from "../messages/event-message.ts";

export interface PublishEventStreamOptions {
  validator: Validator;
  newRequestId: () => string;
  onServerError: OnServerError;
}

/**
 * PublishEventStream: the events reach the broker in the order of the requests, 256 of them at a time, and each is checked and answered by
 * itself, in that order too. What is wrong with one is the answer to it, and the call goes on.
 */
export function createPublishEventStream(publishInOrder: PublishInOrder, options: PublishEventStreamOptions) {
  return (requests: AsyncIterable<PublishEventStreamRequest>, context: HandlerContext): AsyncIterable<Answer> => {
    const publish = publishInOrder(principalOf(context));
    return inOrder(requests, {
      window: 256,
      work: async (request, index) => ({
        index: BigInt(index),
        result: await answerTo(request, { publish, options }),
      }),
    });
  };
}

type Answer = MessageInitShape<typeof PublishEventStreamResponseSchema>;

interface Publishing {
  publish: PublishNext;
  options: PublishEventStreamOptions;
}

async function answerTo(
  { event }: PublishEventStreamRequest,
  { publish, options }: Publishing,
): Promise<NonNullable<Answer["result"]>> {
  try {
    // The rules of the single call, field for field.
    const single = create(PublishEventRequestSchema, event === undefined ? {} : { event });
    const checked = options.validator.validate(PublishEventRequestSchema, single);
    if (checked.kind === "error") throw checked.error;
    if (checked.kind === "invalid") throw violationsError(checked.violations);
    const id = await publish(newEvent(requiredEvent(event), "event"), "event");
    return { case: "eventId", value: publicId("event", id) };
  } catch (thrown) {
    const requestId = options.newRequestId();
    const shown = callerError(thrown, requestId);
    // Nothing in here speaks the protocol, so nothing throws the protocol's own errors.
    if (shown === undefined) throw thrown;
    if (shown.log)
      options.onServerError({ requestId, method: "tellwire.v1.EventService/PublishEventStream", error: thrown });
    return { case: "error", value: errorStatus(shown.error) };
  }
}
