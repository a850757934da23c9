import { create, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "../../../gen/google/rpc/code_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { type Status, StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import type { TellwireError } from "../../errors.ts";
import { durationOf } from "./wire-values.ts";

/** One detail of an error, with its type. */
export interface ErrorDetail {
  desc: DescMessage;
  value: MessageShape<DescMessage>;
}

/** The details of an error (AIP-193): its reason, then each bad field and when to try again, where there are any. */
export function errorDetails({ reason, metadata, fieldViolations, retryAfterMs }: TellwireError): ErrorDetail[] {
  const details = [detail(ErrorInfoSchema, create(ErrorInfoSchema, { reason, domain: "tellwire", metadata }))];
  if (fieldViolations.length > 0) {
    const violations = fieldViolations.map(({ field, description }) => ({ field, description }));
    details.push(detail(BadRequestSchema, create(BadRequestSchema, { fieldViolations: violations })));
  }
  if (retryAfterMs !== undefined) {
    details.push(detail(RetryInfoSchema, create(RetryInfoSchema, { retryDelay: durationOf(retryAfterMs) })));
  }
  return details;
}

/** An error as a value inside of an answer. */
export function errorStatus(error: TellwireError): Status {
  return create(StatusSchema, {
    code: Code[error.code],
    message: error.message,
    details: errorDetails(error).map(({ desc, value }) => anyPack(desc, value)),
  });
}

function detail<Desc extends DescMessage>(desc: Desc, value: MessageShape<Desc>): ErrorDetail {
  return { desc, value };
}
