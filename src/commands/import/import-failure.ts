import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import type { Status } from "../../../gen/google/rpc/status_pb.ts";
import { TellwireError } from "../../errors.ts";

/** Why a line was refused. */
export interface Refusal {
  /** Of the catalogue; empty where the answer names none. */
  reason: string;
  /** For people, the reason included. */
  text: string;
}

/** The refusal that stands in a result. */
export function refusalOfStatus(status: Status | undefined): Refusal {
  if (status === undefined) return { reason: "", text: "the server did not say what came of it" };
  const info = status.details.map((detail) => anyUnpack(detail, ErrorInfoSchema)).find((each) => each !== undefined);
  return refusal(status.message, info?.reason);
}

/** The refusal that a call failed with. */
export function refusalOfError(error: ConnectError): Refusal {
  return refusal(error.rawMessage, error.findDetails(ErrorInfoSchema)[0]?.reason);
}

/** What ends an import: the server cannot be reached, refuses the key, or fails. */
export function refusalOfCall(error: unknown, line: number): TellwireError {
  const { code, rawMessage } = ConnectError.from(error);
  const isKey = code === Code.Unauthenticated || code === Code.PermissionDenied;
  const fix = isKey ? " (--key or TELLWIRE_OPERATOR_KEY has to be the operator's key)" : "";
  const isUnreachable = code === Code.Unavailable;
  const where = isUnreachable ? " (check --url or TELLWIRE_PUBLIC_URL)" : "";
  const again = "; what was imported before it stays, and the file may be imported again";
  return new TellwireError(isKey ? "CONFIG_INVALID" : "INTERNAL", `line ${line}: ${rawMessage}${fix}${where}${again}`, {
    cause: error,
  });
}

function refusal(message: string, reason = ""): Refusal {
  return { reason, text: reason === "" ? message : `${message} (${reason})` };
}
